"""Parameters of pick and place beside those of every task."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, ClassVar

from soarm.quantities import LOW_HIGH, NotNegative, within
from soarm.sim.params import PhysicsParams, PhysicsRange, RewardWeights, SimParams, TaskParams

_Radius = Annotated[float, within(above=0, most=1)]
_Angle = Annotated[float, within(least=-180, most=180)]
_RadiusRange = Annotated[tuple[_Radius, _Radius], LOW_HIGH]
_AngleRange = Annotated[tuple[_Angle, _Angle], LOW_HIGH]


@dataclasses.dataclass(frozen=True)
class PickPlacePhysics(PhysicsParams):
    """What servos and cube are made of.

    Attributes:
        cube_friction: Sliding friction of the cube [1].
        cube_mass_kg: Mass of the cube [kg]. A printed 25 mm cube weighs 0.016.
    """

    cube_friction: PhysicsRange
    cube_mass_kg: PhysicsRange


@dataclasses.dataclass(frozen=True)
class PickPlaceTaskParams(TaskParams):
    """Where cube and bin lie. Angles are about the shoulder's axis, 0 straight ahead, positive to the left.

    Attributes:
        cube_radius_m: Distance of the cube from the shoulder's axis [m], range.
        cube_angle_deg: Direction of the cube, range [deg].
        bin_radius_m: Distance of the bin's centre from the shoulder's axis [m], range.
        bin_angle_deg: Direction of the bin, range [deg].
        clearance_m: Least distance between the centres of cube and bin [m].
    """

    cube_radius_m: _RadiusRange
    cube_angle_deg: _AngleRange
    bin_radius_m: _RadiusRange
    bin_angle_deg: _AngleRange
    clearance_m: NotNegative

    def __post_init__(self) -> None:
        furthest_m = _furthest_m(self)
        if self.clearance_m > furthest_m:
            raise ValueError(
                f"clearance_m is {self.clearance_m}; cube and bin lie at most {furthest_m:.3f} m apart: lower it, or widen "
                "their ranges"
            )


def _furthest_m(task: PickPlaceTaskParams) -> float:
    """Return the greatest distance between cube and bin that the ranges allow [m]."""
    cube, box = task.cube_angle_deg, task.bin_angle_deg
    turn = math.radians(min(max(abs(cube[1] - box[0]), abs(box[1] - cube[0])), 180.0))
    there = [(b * math.cos(turn), b * math.sin(turn)) for b in task.bin_radius_m]
    return max(math.dist((a, 0.0), b) for a in task.cube_radius_m for b in there)


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
    physics: PickPlacePhysics
    task: PickPlaceTaskParams
