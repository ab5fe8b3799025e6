"""Base and residual on the same scenes: who gained, who lost, and by how much, with intervals."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from soarm.errors import SpecMismatchError
from soarm.evaluation.results import Results, columns
from soarm.evaluation.statistics import Estimate, PairedTable, paired_bootstrap, paired_table
from soarm.evaluation.summary import Summary, summarise
from soarm.quantities import within
from soarm.seeds import Scenes

DIFFERENCES: dict[str, str] = {
    "success_rate": "success",
    "return": "return_shaped",
    "time_to_success_s": "time_to_success_s",
    "action_jerk_rms_deg_s3": "action_jerk_rms_deg_s3",
    "action_acceleration_rms_deg_s2": "action_acceleration_rms_deg_s2",
    "steps": "steps",
}
"""Name of a difference -> column of the rows. Time to success exists on scenes both solve, the others on all."""


Resamples = Annotated[int, within(least=100, most=1_000_000, why="percentiles need them, 2000 or more are usual")]
"""A number of bootstrap resamples, as a parameter."""


@dataclasses.dataclass(frozen=True)
class CompareParams:
    """How base and residual are compared.

    Attributes:
        n_scenes: Held-out scenes both run on.
        bootstrap_resamples: Resamples of every bootstrap interval.
        n_leak_scenes: Of these, scenes on which the residual's pictures are made to say nothing; with an eye only.
    """

    n_scenes: Annotated[Scenes, within(least=2, why="a comparison needs 200 to say anything")]
    bootstrap_resamples: Resamples
    n_leak_scenes: Scenes


@dataclasses.dataclass(frozen=True)
class Comparison:
    """Two policies on the same scenes.

    Attributes:
        base: The base's summary.
        residual: The residual's.
        table: Scenes by who solved them.
        mcnemar_p: Two-sided exact p-value of "gains and regressions are equally likely".
        differences: Residual minus base: see `DIFFERENCES`.
        gained: Seeds of the scenes only the residual solved.
        regressed: Seeds of the scenes only the base solved.
        identical: Whether every row of the one is the row of the other: the residual changes nothing.
    """

    base: Summary
    residual: Summary
    table: PairedTable
    mcnemar_p: float
    differences: dict[str, Estimate]
    gained: tuple[int, ...]
    regressed: tuple[int, ...]
    identical: bool

    def headline(self) -> dict[str, float]:
        """Return the few numbers by which a person compares two comparisons."""
        low, high = self.residual.success_ci95
        success = {"success": self.residual.success_rate, "low": low, "high": high, "base": self.base.success_rate}
        split = {"gains": self.table.residual_only, "losses": self.table.base_only, "p": self.mcnemar_p}
        return {**success, **split, "n": self.base.n_scenes}

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics of the stage `compare` as nested mappings."""
        return {
            "n_scenes": self.base.n_scenes,
            "base": dataclasses.asdict(self.base),
            "residual": dataclasses.asdict(self.residual),
            "table": self.table._asdict(),
            "gains": self.table.residual_only,
            "regressions": self.table.base_only,
            "mcnemar_p": self.mcnemar_p,
            "differences": {
                name: {"mean": one.value, "ci95": [one.low, one.high], "n_scenes": one.n}
                for name, one in self.differences.items()
            },
        }


def compare(base: Results, residual: Results, rng: np.random.Generator, n_resamples: int) -> Comparison:
    """Compare two policies scene by scene.

    Raises:
        SpecMismatchError: The two were not run on the same scenes.
    """
    require_same_scenes(base, residual)
    table = paired_table(base.success, residual.success)
    seeds = np.array(base.seeds)
    return Comparison(
        base=summarise(base),
        residual=summarise(residual),
        table=table,
        mcnemar_p=table.mcnemar_p,
        differences={
            name: paired_bootstrap(
                base.column(column).astype(np.float64), residual.column(column).astype(np.float64), rng, n_resamples
            )
            for name, column in DIFFERENCES.items()
        },
        gained=tuple(int(seed) for seed in seeds[~base.success & residual.success]),
        regressed=tuple(int(seed) for seed in seeds[base.success & ~residual.success]),
        identical=all(_same(base.column(name), residual.column(name)) for name in columns(base.task)),
    )


def _same(left: NDArray[Any], right: NDArray[Any]) -> bool:
    return np.array_equal(left, right, equal_nan=left.dtype.kind == "f")


def require_same_scenes(base: Results, residual: Results) -> None:
    """Refuse rows that do not pair up: another task, other seeds, or other scenes under the same seeds.

    Raises:
        SpecMismatchError: Names the first difference.
    """
    if base.task.name != residual.task.name:
        raise SpecMismatchError(f"the base's rows are of {base.task.name}, the residual's of {residual.task.name}")
    if base.seeds != residual.seeds or len(set(base.seeds)) != len(base):
        raise SpecMismatchError(
            f"the base has {len(base)} scenes (seeds {base.seeds[:3]}...), "
            f"the residual {len(residual)} (seeds {residual.seeds[:3]}...); a paired "
            "comparison needs the same distinct seeds in the same order: evaluate both on one list"
        )
    for column in (one.name for one in base.task.scene_columns):
        left, right = base.column(column), residual.column(column)
        differ = np.flatnonzero(left != right)
        if len(differ):
            i = int(differ[0])
            raise SpecMismatchError(
                f"seed {base.seeds[i]} gave {column} {left[i]:.6g} to the base and {right[i]:.6g} to the residual: the "
                "simulator's parameters changed between the two evaluations; evaluate both again"
            )
