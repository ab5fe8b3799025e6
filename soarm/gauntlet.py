"""The gauntlet: two policies on the same held-out scenes under what a desk does, one thing at a time and a mild mix of all.

Rows start from the task's own simulator, whatever the profile trains under, so that profiles can be held against each other.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from soarm.errors import ParamsError
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import paired_table
from soarm.evaluation.summary import Summary, summarise
from soarm.params import changed, together
from soarm.seeds import Scenes
from soarm.sim.params import SimParams

UNPERTURBED = "unperturbed"
"""The row that every other is paired with: nothing is changed."""


@dataclasses.dataclass(frozen=True)
class RowParams:
    """One row.

    Attributes:
        label: What tables and figures call it.
        sim: What it changes in the simulator, nested as in `sim`.
    """

    label: str
    sim: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class GauntletParams:
    """The stage `gauntlet`.

    Attributes:
        n_scenes: Held-out scenes of each row.
        only: Names of the rows to run beside the unperturbed one; None: all.
        rows: Name -> row.
    """

    n_scenes: Scenes
    only: tuple[str, ...] | None
    rows: dict[str, RowParams]

    def __post_init__(self) -> None:
        unknown = [name for name in self.only or () if name not in self.rows]
        if unknown:
            raise ValueError(f"only names the rows {unknown}, which there are not; there are {list(self.rows)}")
        odd = [name for name in self.rows if not re.fullmatch(r"\w[\w-]*", name, re.ASCII)]
        if odd:
            raise ValueError(f"rows has {odd}, which name files: letters, digits, _ and - are allowed")
        if UNPERTURBED in self.rows:
            raise ValueError(f"rows has {UNPERTURBED}, which is always run and changes nothing: call yours otherwise")


class Row(NamedTuple):
    """A row to run: what it is called, and its simulator."""

    label: str
    sim: SimParams


def rows_of(params: GauntletParams, sim: SimParams, plain: SimParams) -> dict[str, Row]:
    """Return the rows to run by name, the unperturbed one first.

    Where an eye tells where the objects are, rows that only change what the simulator tells are left out.

    Args:
        params: Of the gauntlet.
        sim: The simulator of the profile: its cameras, and who tells where the objects are.
        plain: That of the task without a profile: its servos, cubes and tellings are where rows start.

    Raises:
        ParamsError: A row does not fit the simulator; lists every fault.
    """
    kept = {name: getattr(plain, name) for name in ("physics", "servos", "observation_error", "disturbances")}
    start = dataclasses.replace(sim, **kept)
    made, errors = {UNPERTURBED: Row(UNPERTURBED, start)}, list[ParamsError]()
    for name, row in params.rows.items():
        if params.only is not None and name not in params.only:
            continue
        try:
            made[name] = Row(row.label, changed(start, row.sim, f"params.yaml: gauntlet.rows.{name}.sim"))
        except ParamsError as error:
            errors.append(error)
    if errors:
        raise together(errors)
    if sim.objects_from == "simulator":
        return made
    told = {name for name in made if set(params.rows[name].sim if name in params.rows else ()) == {"observation_error"}}
    return {name: row for name, row in made.items() if name not in told}


class Crossed(NamedTuple):
    """How a policy came through a row, held against the unperturbed scenes.

    Attributes:
        summary: Of its rows.
        gained: Scenes that it solves here and not unperturbed.
        lost: Scenes that it solves unperturbed and not here.
        mcnemar_p: Exact McNemar test of the two.
    """

    summary: Summary
    gained: int
    lost: int
    mcnemar_p: float

    def to_dict(self) -> dict[str, Any]:
        """Return the metrics."""
        kept = ("success_rate", "success_ci95", "failures")
        summary = {name: value for name, value in dataclasses.asdict(self.summary).items() if name in kept}
        return {**summary, "gained": self.gained, "lost": self.lost, "mcnemar_p": self.mcnemar_p}


def crossed(results: Mapping[str, Results]) -> dict[str, Crossed]:
    """Return how one policy came through each row; `results` holds its rows by name, the unperturbed ones among them."""
    unperturbed = results[UNPERTURBED]
    found = {}
    for name, rows in results.items():
        table = paired_table(unperturbed.success, rows.success)
        found[name] = Crossed(summarise(rows), table.residual_only, table.base_only, table.mcnemar_p)
    return found
