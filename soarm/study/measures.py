"""What a run is measured by: the curve as numbers, and the final policy against the base it stands on."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.errors import DatasetError
from soarm.evaluation.paired import require_same_scenes
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import paired_table, wilson
from soarm.study.method import Point

TARGET = 0.9
"""Success on the validation scenes whose reaching is timed."""
TARGET_EVALUATIONS = 3
"""Points in a row that must have it: one of them alone may be luck."""
GAMMA = 0.99
"""Discount per control step of `return_discounted`, the sparse reward that the residual is trained on."""
_CURVE = ("step", "n_solved", "n_scenes", "solved")


def area(curve: Sequence[Point], budget: int) -> NDArray[np.float64]:
    """Return the area under the success curve per validation scene, shape (N,), each in [0, 1]; their mean is the run's AUC.

    Success between two points is a straight line, behind the last one it stays.

    Args:
        curve: Points by step, the first at 0.
        budget: Environment steps that count as 1.
    """
    steps = np.array([point.step for point in curve], np.float64)
    solved = np.array([point.solved for point in curve], np.float64)  # (points, N)
    if steps[-1] < budget:
        steps, solved = np.append(steps, budget), np.concatenate([solved, solved[-1:]])
    for i in np.flatnonzero(steps > budget)[:1]:  # the line towards it is cut off at the budget
        share = (budget - steps[i - 1]) / (steps[i] - steps[i - 1])
        solved[i] = solved[i - 1] + share * (solved[i] - solved[i - 1])
    inside = np.minimum(steps, budget)
    return np.asarray(np.trapezoid(solved, inside, axis=0) / budget, np.float64)


def steps_to_target(curve: Sequence[Point], target: float = TARGET, evaluations: int = TARGET_EVALUATIONS) -> float:
    """Return the environment steps of the first of `evaluations` points in a row at or above `target`; else infinity."""
    above = [point.success_rate >= target for point in curve]
    starts = range(len(curve) - evaluations + 1)
    return next((float(curve[i].step) for i in starts if all(above[i : i + evaluations])), math.inf)


def compared(base: Results, policy: Results, control_hz: int) -> dict[str, Any]:
    """Return the final policy against its base on the same test scenes.

    Ratios are policy over base: of time over the scenes both solve, of command jerk and acceleration and of episode
    length over all scenes. `return` is the shaped return, `return_discounted` the discounted sparse one.

    Raises:
        SpecMismatchError: The two were not run on the same scenes.
    """
    require_same_scenes(base, policy)
    table, n = paired_table(base.success, policy.success), len(base)
    both = base.success & policy.success
    return {
        "n_scenes": n,
        "base_success": float(base.success.mean()),
        "base_ci95": wilson(int(base.success.sum()), n),
        "success": float(policy.success.mean()),
        "ci95": wilson(int(policy.success.sum()), n),
        "gains": table.residual_only,
        "regressions": table.base_only,
        "mcnemar_p": table.mcnemar_p,
        "time_ratio": _ratio(base.column("time_to_success_s")[both], policy.column("time_to_success_s")[both]),
        "n_both_solve": int(both.sum()),
        "steps_ratio": _ratio(base.column("steps"), policy.column("steps")),
        "jerk_ratio": _ratio(base.column("action_jerk_rms_deg_s3"), policy.column("action_jerk_rms_deg_s3")),
        "acceleration_ratio": _ratio(
            base.column("action_acceleration_rms_deg_s2"), policy.column("action_acceleration_rms_deg_s2")
        ),
        "base_return": float(base.column("return_shaped").mean()),
        "return": float(policy.column("return_shaped").mean()),
        "base_return_discounted": _discounted(base),
        "return_discounted": _discounted(policy),
        "base_time_to_success_s": _mean(base.column("time_to_success_s")),
        "time_to_success_s": _mean(policy.column("time_to_success_s")),
        "base_episode_s": float(base.column("steps").mean()) / control_hz,
        "episode_s": float(policy.column("steps").mean()) / control_hz,
    }


def write_curve(curve: Sequence[Point], path: Path) -> None:
    """Write a curve as CSV; `solved` has one digit per validation scene, in their order."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_CURVE)
        for point in curve:
            digits = "".join("1" if one else "0" for one in point.solved)
            writer.writerow([point.step, sum(point.solved), len(point.solved), f"s{digits}"])  # s: no spreadsheet's number


def read_curve(path: Path) -> tuple[Point, ...]:
    """Read what `write_curve` wrote.

    Raises:
        DatasetError: It is missing or not such a curve.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        curve = tuple(Point(int(row["step"]), tuple(digit == "1" for digit in row["solved"][1:])) for row in rows)
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise DatasetError(f"{path} is no curve of a run ({error!r}); run it again: `dvc repro -f study/dvc.yaml`") from None
    if not curve or curve[0].step != 0 or len({len(point.solved) for point in curve}) != 1:
        raise DatasetError(
            f"{path} holds {len(curve)} points; a curve starts at step 0 and every point has the same scenes: "
            "run it again: `dvc repro -f study/dvc.yaml`"
        )
    return curve


def _discounted(results: Results) -> float:
    # The sparse reward is paid once, with the last step of a solved episode.
    steps = results.column("steps").astype(np.float64)
    return float(np.mean(np.where(results.success, GAMMA ** (steps - 1.0), 0.0)))


def _ratio(base: NDArray[Any], policy: NDArray[Any]) -> float:
    before, after = _mean(base), _mean(policy)
    return after / before if before > 0 else math.nan


def _mean(values: NDArray[Any]) -> float:
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if len(numbers) else math.nan
