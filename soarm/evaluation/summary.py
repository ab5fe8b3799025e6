"""One policy's rows as the numbers people ask for: the metrics of `eval_base`, and of each side of `compare`."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import NDArray

from soarm.evaluation.results import UNSEEN, Results
from soarm.evaluation.statistics import Interval, wilson


@dataclasses.dataclass(frozen=True)
class Summary:
    """One policy on N scenes. Means are over scenes; NaN where no scene has the number.

    Attributes:
        n_scenes: N.
        success_rate: Share of scenes solved.
        success_ci95: Wilson's 95 % interval of it.
        return_mean: Mean shaped return.
        return_sparse_mean: Mean sparse return.
        time_to_success_s: Mean duration of the successful episodes [s].
        steps_mean: Mean control steps, successful or not.
        action_acceleration_rms_deg_s2: Mean over scenes of each episode's root mean square [deg/s^2].
        action_jerk_rms_deg_s3: The same of the jerk [deg/s^3].
        failures: Failure class -> scenes, all classes, furthest first.
        reached: Stage name -> scenes that got at least there; empty where nobody saw how far they got.
    """

    n_scenes: int
    success_rate: float
    success_ci95: Interval
    return_mean: float
    return_sparse_mean: float
    time_to_success_s: float
    steps_mean: float
    action_acceleration_rms_deg_s2: float
    action_jerk_rms_deg_s3: float
    failures: dict[str, int]
    reached: dict[str, int]


def summarise(results: Results) -> Summary:
    """Return the summary of at least one row."""
    assert len(results) > 0, "an evaluation has at least one scene"
    solved = int(results.success.sum())
    task = results.task
    names = [str(name) for name in results.column("furthest_stage")]
    seen = [] if UNSEEN in names else list(task.stages)
    stages = np.array([task.stages[name.upper()] for name in names] if seen else [])
    outcomes = results.column("outcome")
    return Summary(
        n_scenes=len(results),
        success_rate=solved / len(results),
        success_ci95=wilson(solved, len(results)),
        return_mean=float(results.column("return_shaped").mean()),
        return_sparse_mean=float(results.column("return_sparse").mean()),
        time_to_success_s=_mean(results.column("time_to_success_s")),
        steps_mean=float(results.column("steps").mean()),
        action_acceleration_rms_deg_s2=_mean(results.column("action_acceleration_rms_deg_s2")),
        action_jerk_rms_deg_s3=_mean(results.column("action_jerk_rms_deg_s3")),
        failures={failure: int((outcomes == failure).sum()) for failure in task.failures},
        reached={stage.name.lower(): int((stages >= stage).sum()) for stage in seen if stage > 0},
    )


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean of the numbers that exist, NaN when none does."""
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if len(numbers) else math.nan
