"""The tables that figures, `dvc plots` and the report are made from, out of evaluation results.

Knows rows and statistics; knows nothing of drawing. Policies are called by their keys, `base` and `residual`.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soarm.errors import StageError
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import wilson
from soarm.evaluation.summary import Summary
from soarm.report.style import Table

if TYPE_CHECKING:  # evaluating ACT needs no residual
    from soarm.residual.reach import OracleResult

Policies = Mapping[str, Summary]
"""Key of a policy -> its summary."""


def success(policies: Policies) -> Table:
    """Success rate of each policy with Wilson's interval."""
    return [
        {
            "policy": policy,
            "success_rate": one.success_rate,
            "ci95_low": one.success_ci95.low,
            "ci95_high": one.success_ci95.high,
            "n_scenes": one.n_scenes,
        }
        for policy, one in policies.items()
    ]


def failures(policies: Policies) -> Table:
    """Scenes per failure class and policy, all classes."""
    return [
        {"policy": policy, "outcome": outcome, "scenes": count, "n_scenes": one.n_scenes}
        for policy, one in policies.items()
        for outcome, count in one.failures.items()
    ]


def reached(policies: Policies) -> Table:
    """Share of scenes that got at least to each stage, and to success, with Wilson's interval."""
    rows = []
    for policy, one in policies.items():
        counts = {**one.reached, "success": round(one.success_rate * one.n_scenes)}
        for stage, count in counts.items():
            low, high = wilson(count, one.n_scenes)
            share = count / one.n_scenes
            rows.append(
                {
                    "policy": policy,
                    "stage": stage,
                    "share": share,
                    "ci95_low": low,
                    "ci95_high": high,
                    "n_scenes": one.n_scenes,
                }
            )
    return rows


def scenes(base: Results, residual: Results | None = None) -> Table:
    """Where things lay in each scene, and who solved it.

    `solved` is `success` or `failure` for one policy; `both`, `residual_only`, `base_only` or `neither` for two.
    """
    rows = []
    for i, row in enumerate(base.rows):
        solved = (
            ("success" if row.success else "failure") if residual is None else _PAIRED[row.success, residual.rows[i].success]
        )
        places = {one.name: row.value(one.name) for one in base.task.scene_columns if one.name.endswith("_m")}
        rows.append({"seed": row.seed, "solved": solved, **places})
    return rows


def times(base: Results, residual: Results) -> Table:
    """Time to success of both policies on the scenes that both solve and whose times are known [s]."""
    return [
        {"seed": b.seed, "base_s": b.time_to_success_s, "residual_s": r.time_to_success_s}
        for b, r in zip(base.rows, residual.rows, strict=True)
        if math.isfinite(b.time_to_success_s + r.time_to_success_s)
    ]


def durations(results: Results) -> Table:
    """Time to success of one policy on the scenes it solves [s]."""
    return [{"seed": row.seed, "time_to_success_s": row.time_to_success_s} for row in results.rows if row.success]


def ceilings(measured: Sequence[OracleResult], chosen: float) -> Table:
    """Success that each reach of a residual allows, with Wilson's interval, the base (factor 0) first.

    Args:
        measured: What was measured.
        chosen: The factor that was chosen.
    """
    return [
        {"policy": "ceiling" if one.factor else "base", **_counted(one), "chosen": one.factor == chosen} for one in measured
    ]


def joint_ceilings(measured: Sequence[OracleResult]) -> Table:
    """Success that is left when one joint's reach is cut to a fraction, with Wilson's interval."""
    return [{"joint": one.joint, **_counted(one)} for one in measured]


def _counted(one: OracleResult) -> Mapping[str, float]:
    low, high = wilson(one.solved, one.n_scenes)
    return {
        "factor": one.factor,
        "success_rate": one.solved / one.n_scenes,
        "ci95_low": low,
        "ci95_high": high,
        "steps_mean": one.steps_mean,
        "n_scenes": one.n_scenes,
    }


def curves(folder: Path) -> Table:
    """Read a training's curves: `step`, and every metric that the folder has a TSV of; NaN where it was not logged.

    Raises:
        StageError: A file holds something that is not a number.
    """
    steps: dict[float, dict[str, float]] = {}
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.tsv"))}
    for name, path in files.items():
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.reader(file, delimiter="\t")
            next(reader, None)
            try:
                for step, value in reader:
                    steps.setdefault(float(step), {})[name] = float(value)
            except ValueError as error:
                told = f"{path}, line {reader.line_num}: {error}; it must hold a step and a number"
                raise StageError(f"{told}. Train again: `dvc repro -f {folder.parents[1].name}`") from None
    return [{"step": step, **{name: steps[step].get(name, math.nan) for name in files}} for step in sorted(steps)]


_PAIRED = {(True, True): "both", (False, True): "residual_only", (True, False): "base_only", (False, False): "neither"}
