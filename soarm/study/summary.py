"""All runs as one table: per variant over its training seeds, with intervals, and against the reference variant.

The unit of inference is the training seed. Intervals of success and of area under the curve resample seeds and scenes and are
widened for few seeds; differences pair runs of the same seed scene by scene. The p-values are Welch's over the same seeds,
corrected by Holm over the variants: with few seeds they see large differences only.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.errors import DatasetError
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import Estimate, crossed_bootstrap, holm, iqm_bootstrap, welch_p
from soarm.smallfile import DATASET_BYTES, read_json
from soarm.study import measures
from soarm.study.method import Point
from soarm.study.variants import StudyParams

Floats = NDArray[np.float64]
NOTHING = Estimate(math.nan, math.nan, math.nan, 0)
# Of a run's metrics, what a variant's row has the mean of.
MEANS = (
    *("base_success", "gains", "regressions", "time_ratio", "steps_ratio", "jerk_ratio", "acceleration_ratio"),
    *("base_return", "return", "base_return_discounted", "return_discounted", "base_episode_s", "episode_s"),
    "env_steps_per_s",
)
# And what of it is kept run by run.
OF_A_RUN = ("success", "ci95", "gains", "regressions", "mcnemar_p", "time_ratio", "jerk_ratio", "steps_to_90")


@dataclasses.dataclass(frozen=True)
class Finished:
    """A run that is there.

    Attributes:
        seed: Its training seed.
        metrics: What it wrote.
        curve: Its curve.
        success: Of the final policy per test scene, shape (N,).
        scenes: Seeds of the test scenes, N.
        area: Under the curve per validation scene, shape (M,).
        gained: Of it, what lies above a flat curve at the first point, shape (M,).
    """

    seed: int
    metrics: Mapping[str, Any]
    curve: tuple[Point, ...]
    success: Floats
    scenes: tuple[int, ...]
    area: Floats
    gained: Floats


@dataclasses.dataclass(frozen=True)
class Row:
    """A variant over its runs. Differences are this variant minus its reference, of the same budget, over the seeds both have.

    Attributes:
        variant: Its name.
        label: What tables call it.
        method: Its method.
        reference: The variant it is compared with.
        seeds: Training seeds of the runs there are.
        budget: Environment steps of each.
        n_scenes: Test scenes of each.
        success: Mean final success.
        success_iqm: Interquartile mean over seeds.
        success_worst: Of the seeds.
        auc: Mean area under the success curve on validation scenes, 1 is perfect from the first step.
        auc_gain: Of it, what lies above a flat curve at the first point, which of a residual is the base.
        success_difference: Of mean final success.
        success_p: Holm-corrected p-value of that; NaN where there are too few seeds.
        auc_difference: Of the area.
        auc_p: Its p-value.
        reached_90: Runs that reached 90 % on the validation scenes.
        steps_to_90: Median of the environment steps to 90 %; infinite where half of the runs did not get there.
        seconds_to_90: The same in seconds, validation included.
        best_look: Mean over runs of the most validation scenes solved at any point of the curve, as a share.
        last_look: The same at the last point; what lies between the two is luck and forgetting, and reported by nobody who
            takes the best of his evaluations.
        mcnemar_p_worst: Largest p-value of a run against its own base.
        means: Mean over runs of `MEANS`; gains and regressions as shares of the scenes.
    """

    variant: str
    label: str
    method: str
    reference: str
    seeds: tuple[int, ...]
    budget: int
    n_scenes: int
    success: Estimate
    success_iqm: Estimate
    success_worst: float
    auc: Estimate
    auc_gain: Estimate
    success_difference: Estimate
    success_p: float
    auc_difference: Estimate
    auc_p: float
    reached_90: int
    steps_to_90: float
    seconds_to_90: float
    best_look: float
    last_look: float
    mcnemar_p_worst: float
    means: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the row without nesting; an estimate is its value with `_ci95`."""
        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if isinstance(value, Estimate):
                values |= {field.name: value.value, f"{field.name}_ci95": [value.low, value.high]}
            elif field.name == "means":
                values |= value
            else:
                values[field.name] = list(value) if isinstance(value, tuple) else value
        return values


@dataclasses.dataclass(frozen=True)
class StudySummary:
    """The study as far as it has been run.

    Attributes:
        rows: One per variant with a run, best final success first.
        runs: Variant -> its runs.
        missing: Runs that params.yaml asks for and that are not there, as `<variant>-<seed>`.
        budget: Environment steps of every run whose variant has no budget of its own.
        revisions: Of the code the runs were made with.
    """

    rows: tuple[Row, ...]
    runs: Mapping[str, tuple[Finished, ...]]
    missing: tuple[str, ...]
    budget: int
    revisions: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics of the stage; a variant's `runs` are by training seed."""
        return {
            "complete": not self.missing,
            "missing": list(self.missing),
            "budget": self.budget,
            "run_revisions": list(self.revisions),
            "variants": {row.variant: row.to_dict() | {"runs": self._runs(row.variant)} for row in self.rows},
        }

    def _runs(self, variant: str) -> dict[int, dict[str, Any]]:
        return {run.seed: {key: run.metrics[key] for key in OF_A_RUN} for run in self.runs[variant]}


def load(folder: Path, seed: int, budget: int) -> Finished:
    """Read what a run left.

    Raises:
        DatasetError: Something is missing or unreadable.
    """
    path = folder / "metrics.json"
    metrics = read_json(path, DatasetError, f"Remove {folder} and run it again", most_bytes=DATASET_BYTES)
    curve, policy = measures.read_curve(folder / "curve.csv"), Results.load(folder, "policy")
    if metrics["budget"] != budget:
        raise DatasetError(
            f"{folder} was run with a budget of {metrics['budget']} environment steps, params.yaml says {budget}; run it "
            "again: `soarm study` with its name, or delete the folder"
        )
    area = measures.area(curve, budget)
    return Finished(seed, metrics, curve, policy.success.astype(np.float64), policy.seeds, area, area - curve[0].solved)


def summarise(folder: Path, params: StudyParams, rng: np.random.Generator) -> StudySummary:
    """Aggregate the runs in `folder`.

    Args:
        folder: Holds a folder `<variant>-<seed>` per run.
        params: Which runs there should be.
        rng: Of the bootstraps.

    Raises:
        DatasetError: There is no run, or two were made with other budgets or scenes.
    """
    runs: dict[str, tuple[Finished, ...]] = {}
    missing = []
    for variant, seed in params.runs():
        at = folder / f"{variant}-{seed}"
        if at.is_dir():
            runs[variant] = (*runs.get(variant, ()), load(at, seed, params.budget(variant)))
        else:
            missing.append(at.name)
    if not runs:
        raise DatasetError(f"{folder} holds none of the runs of params.yaml; make them with `dvc repro study/dvc.yaml`")
    _require_same_scenes(runs)
    n_resamples = params.bootstrap_resamples
    rows = _corrected([_row(name, params, runs, rng, n_resamples) for name in runs])
    revisions = sorted({str(run.metrics["git_rev"]) for found in runs.values() for run in found})
    ordered = tuple(sorted(rows, key=lambda row: -row.success.value))
    return StudySummary(ordered, runs, tuple(missing), params.env_steps, tuple(revisions))


def _row(
    name: str,
    params: StudyParams,
    found: Mapping[str, Sequence[Finished]],
    rng: np.random.Generator,
    n_resamples: int,
) -> Row:
    variant, runs = params.variant(name), found[name]
    reference = variant.reference
    rates = [float(run.success.mean()) for run in runs]
    n_scenes = len(runs[0].success)
    others = found.get(reference, ()) if name != reference and params.budget(name) == params.budget(reference) else ()
    pairs = [(run, other) for run in runs for other in others if run.seed == other.seed]
    means = {key: _mean(run.metrics[key] for run in runs) for key in MEANS}
    means |= {key: means[key] / n_scenes for key in ("gains", "regressions")}
    return Row(
        variant=name,
        label=variant.label,
        method=variant.method,
        reference=reference,
        seeds=tuple(run.seed for run in runs),
        budget=params.budget(name),
        n_scenes=n_scenes,
        success=crossed_bootstrap([run.success for run in runs], rng, n_resamples, (0.0, 1.0)),
        success_iqm=iqm_bootstrap(rates, rng, n_resamples, (0.0, 1.0)),
        success_worst=min(rates),
        auc=crossed_bootstrap([run.area for run in runs], rng, n_resamples, (0.0, 1.0)),
        auc_gain=_difference([run.gained for run in runs], rng, n_resamples),
        success_difference=_difference([run.success - other.success for run, other in pairs], rng, n_resamples),
        success_p=welch_p(*_means([(run.success, other.success) for run, other in pairs])),
        auc_difference=_difference([run.area - other.area for run, other in pairs], rng, n_resamples),
        auc_p=welch_p(*_means([(run.area, other.area) for run, other in pairs])),
        reached_90=sum(run.metrics["steps_to_90"] is not None for run in runs),
        steps_to_90=_median(run.metrics["steps_to_90"] for run in runs),
        seconds_to_90=_median(run.metrics["seconds_to_90"] for run in runs),
        best_look=_mean(max(point.success_rate for point in run.curve) for run in runs),
        last_look=_mean(run.curve[-1].success_rate for run in runs),
        mcnemar_p_worst=max(float(run.metrics["mcnemar_p"]) for run in runs),
        means=means,
    )


def _corrected(rows: Sequence[Row]) -> list[Row]:
    """Return rows with p-values corrected for how many comparisons there are."""
    success, auc = (_holm([getattr(row, name) for row in rows]) for name in ("success_p", "auc_p"))
    return [
        dataclasses.replace(row, success_p=success_p, auc_p=auc_p)
        for row, success_p, auc_p in zip(rows, success, auc, strict=True)
    ]


def _holm(p_values: Sequence[float]) -> list[float]:
    corrected = iter(holm([p for p in p_values if math.isfinite(p)]))
    return [next(corrected) if math.isfinite(p) else math.nan for p in p_values]


def _difference(pairs: Sequence[Floats], rng: np.random.Generator, n_resamples: int) -> Estimate:
    return crossed_bootstrap(pairs, rng, n_resamples, (-1.0, 1.0)) if pairs else NOTHING


def _means(pairs: Sequence[tuple[Floats, Floats]]) -> tuple[list[float], list[float]]:
    return [float(one.mean()) for one, _ in pairs], [float(other.mean()) for _, other in pairs]


def _mean(values: Iterable[float | None]) -> float:
    numbers = [value for value in values if value is not None]
    return float(np.mean(numbers)) if numbers else math.nan


def _median(values: Iterable[float | None]) -> float:
    return float(np.median([math.inf if value is None else value for value in values]))


def _require_same_scenes(runs: Mapping[str, Sequence[Finished]]) -> None:
    named = [(f"{variant}-{run.seed}", run) for variant, found in runs.items() for run in found]
    first_name, first = named[0]
    for name, run in named:
        if run.scenes != first.scenes or len(run.area) != len(first.area):
            raise DatasetError(
                f"{name} has {len(run.scenes)} test and {len(run.area)} validation scenes, {first_name} {len(first.scenes)} "
                f"and {len(first.area)}, or others of them; run both with the same parameters: `dvc repro study/dvc.yaml`"
            )
