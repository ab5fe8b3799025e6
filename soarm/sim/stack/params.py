"""Parameters of stack beside those of every task."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from soarm.quantities import NotNegative
from soarm.sim.cubes import CubePhysics
from soarm.sim.params import AngleRange, LengthRange, RewardWeights, SimParams, TabletopParams


@dataclasses.dataclass(frozen=True)
class StackTaskParams(TabletopParams):
    """Where the two cubes lie.

    Attributes:
        base_radius_m: Distance of the lower cube from the shoulder's axis [m], range.
        base_angle_deg: Direction of the lower cube, range [deg].
    """

    things: ClassVar[tuple[str, str]] = ("cube", "base")

    base_radius_m: LengthRange
    base_angle_deg: AngleRange


@dataclasses.dataclass(frozen=True)
class StackWeights(RewardWeights):
    """Weights of the shaped reward's terms."""

    reach: NotNegative
    grasp: NotNegative
    lift: NotNegative
    align: NotNegative
    stack: NotNegative


@dataclasses.dataclass(frozen=True)
class StackParams(SimParams):
    """The environment of stack."""

    task_name: ClassVar[str] = "stack"

    weights: StackWeights
    physics: CubePhysics
    task: StackTaskParams
