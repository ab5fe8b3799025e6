"""Stages that can be swept. None of them sees a test scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from soarm.act.params import TrainActParams
from soarm.errors import ParamsError
from soarm.residual.training import TrainResidualParams


@dataclass(frozen=True)
class Swept:
    """A stage that can be swept.

    Attributes:
        stage: Its name.
        params: Dataclass of its section in params.yaml.
        metric: What trials are judged by: of its metrics file, and of its curves while it runs.
        direction: Whether more or less of it is better.
        judges: Parameters that say how it is judged: those of this name, or below it. Trials have them in common.
    """

    stage: str
    params: type[Any]
    metric: str
    direction: Literal["maximize", "minimize"]
    judges: tuple[str, ...]

    def is_better(self, one: float, other: float) -> bool:
        """Whether one value of the metric is better than another."""
        return one > other if self.direction == "maximize" else one < other


STAGES = {
    one.stage: one
    for one in (
        Swept("train_residual", TrainResidualParams, "validation_success", "maximize", ("validation", "log_every")),
        Swept("train_act", TrainActParams, "val_l1_deg", "minimize", ("val_fraction", "val_windows", "log_every")),
    )
}
"""By name."""


def find(stage: str) -> Swept:
    """Return a stage that can be swept.

    Raises:
        ParamsError: It cannot.
    """
    if stage not in STAGES:
        raise ParamsError(f"{stage!r} cannot be swept; {' and '.join(STAGES)} can: they train, and validate meanwhile")
    return STAGES[stage]
