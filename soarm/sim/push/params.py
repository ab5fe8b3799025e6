"""Parameters of the push beside those of every task."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from soarm.quantities import NotNegative, Positive
from soarm.sim.cubes import CubePhysics
from soarm.sim.params import AngleRange, LengthRange, RewardWeights, SimParams, TabletopParams


@dataclasses.dataclass(frozen=True)
class PushTaskParams(TabletopParams):
    """Where cube and square lie.

    Attributes:
        square_radius_m: Distance of the square's middle from the shoulder's axis [m], range.
        square_angle_deg: Direction of the square, range [deg].
        longest_m: Greatest distance from cube to square [m].
        reach_m: How far from the shoulder's axis the fingers may come down behind the cube [m], range.
    """

    things: ClassVar[tuple[str, str]] = ("cube", "square")

    square_radius_m: LengthRange
    square_angle_deg: AngleRange
    longest_m: Positive
    reach_m: LengthRange


@dataclasses.dataclass(frozen=True)
class PushWeights(RewardWeights):
    """Weights of the shaped reward's terms."""

    reach: NotNegative
    touch: NotNegative
    push: NotNegative
    rest: NotNegative


@dataclasses.dataclass(frozen=True)
class PushParams(SimParams):
    """The environment of the push."""

    task_name: ClassVar[str] = "push"

    weights: PushWeights
    physics: CubePhysics
    task: PushTaskParams
