"""Parameters of pick and place beside those of every task."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from soarm.quantities import NotNegative
from soarm.sim.cubes import CubePhysics
from soarm.sim.params import AngleRange, LengthRange, RewardWeights, SimParams, TabletopParams


@dataclasses.dataclass(frozen=True)
class PickPlaceTaskParams(TabletopParams):
    """Where cube and bin lie.

    Attributes:
        bin_radius_m: Distance of the bin's centre from the shoulder's axis [m], range.
        bin_angle_deg: Direction of the bin, range [deg].
    """

    things: ClassVar[tuple[str, str]] = ("cube", "bin")

    bin_radius_m: LengthRange
    bin_angle_deg: AngleRange


@dataclasses.dataclass(frozen=True)
class PickPlaceWeights(RewardWeights):
    """Weights of the shaped reward's terms."""

    reach: NotNegative
    grasp: NotNegative
    lift: NotNegative
    transport: NotNegative
    place: NotNegative


@dataclasses.dataclass(frozen=True)
class PickPlaceParams(SimParams):
    """The environment of pick and place."""

    task_name: ClassVar[str] = "pick_place"

    weights: PickPlaceWeights
    physics: CubePhysics
    task: PickPlaceTaskParams
