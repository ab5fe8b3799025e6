"""Parameters of the simulated arm and of the pick-and-place task."""

from __future__ import annotations

import dataclasses
import math
from typing import Annotated, Literal

from soarm import arm
from soarm.quantities import LOW_HIGH, Allowed, NotNegative, Positive, PositiveShare, within

PositiveRange = Annotated[tuple[Positive, Positive], LOW_HIGH]
"""A value drawn uniformly per episode from [low, high]; fixed where both are equal."""
NotNegativeRange = Annotated[tuple[NotNegative, NotNegative], LOW_HIGH]
"""The same, of what may be 0."""
_Physical = Annotated[float, within(least=1e-6)]
_PhysicsRange = Annotated[tuple[_Physical, _Physical], LOW_HIGH]
_Radius = Annotated[float, within(above=0, most=1)]
_Angle = Annotated[float, within(least=-180, most=180)]
_Jitter = Annotated[float, within(least=0, most=180)]
_Rate = Annotated[int, within(least=1, most=1000)]
_RadiusRange = Annotated[tuple[_Radius, _Radius], LOW_HIGH]
_AngleRange = Annotated[tuple[_Angle, _Angle], LOW_HIGH]
_IN_REACH = Allowed(
    f"inside the joint limits {arm.LOWER.round(1).tolist()} .. {arm.UPPER.round(1).tolist()}",
    lambda q: all(low <= at <= high for low, at, high in zip(arm.LOWER, q, arm.UPPER, strict=True)),
)


@dataclasses.dataclass(frozen=True)
class PhysicsParams:
    """What the servos and the objects are made of; each a range, drawn anew in every episode.

    Attributes:
        position_gain: Stiffness of the position servo [N m/rad]. Menagerie has 50.
        force_limit: Largest torque of a servo [N m]. Menagerie has 3.5; an STS3215 at 12 V stalls at 2.94.
        latency_s: Delay from a goal being commanded to the servo following it [s].
        cube_friction: Sliding friction of the cube [1].
        cube_mass_kg: Mass of the cube [kg]. A printed 25 mm cube weighs 0.016.
    """

    position_gain: _PhysicsRange
    force_limit: _PhysicsRange
    latency_s: NotNegativeRange
    cube_friction: _PhysicsRange
    cube_mass_kg: _PhysicsRange


@dataclasses.dataclass(frozen=True)
class TaskParams:
    """Where things lie, and what counts as done. Angles are about the shoulder's axis, 0 straight ahead, positive to the left.

    Attributes:
        cube_radius_m: Distance of the cube from the shoulder's axis [m], range.
        cube_angle_deg: Direction of the cube, range [deg].
        bin_radius_m: Distance of the bin's centre from the shoulder's axis [m], range.
        bin_angle_deg: Direction of the bin, range [deg].
        clearance_m: Least distance between the centres of cube and bin [m].
        home: Start pose, shape (6,) [deg x 5, percent].
        home_jitter: Half-width of the uniform noise on the start pose, shape (6,) [deg x 5, percent].
        success_hold_s: How long the cube must lie in the bin, released and at rest [s].
        time_limit_s: Length of an episode [s].
    """

    cube_radius_m: _RadiusRange
    cube_angle_deg: _AngleRange
    bin_radius_m: _RadiusRange
    bin_angle_deg: _AngleRange
    clearance_m: NotNegative
    home: Annotated[tuple[float, float, float, float, float, float], _IN_REACH]
    home_jitter: tuple[_Jitter, _Jitter, _Jitter, _Jitter, _Jitter, _Jitter]
    success_hold_s: NotNegative
    time_limit_s: Positive

    def __post_init__(self) -> None:
        furthest_m = _furthest_m(self)
        if self.clearance_m > furthest_m:
            raise ValueError(
                f"clearance_m is {self.clearance_m}; cube and bin lie at most {furthest_m:.3f} m apart: lower it, or widen "
                "their ranges"
            )


def _furthest_m(task: TaskParams) -> float:
    """Return the greatest distance between cube and bin that the ranges allow [m]."""
    cube, box = task.cube_angle_deg, task.bin_angle_deg
    turn = math.radians(min(max(abs(cube[1] - box[0]), abs(box[1] - cube[0])), 180.0))
    there = [(b * math.cos(turn), b * math.sin(turn)) for b in task.bin_radius_m]
    return max(math.dist((a, 0.0), b) for a in task.cube_radius_m for b in there)


@dataclasses.dataclass(frozen=True)
class RewardWeights:
    """Weights of the reward's terms. `success` is the sparse reward; the rest are potentials, so they change no optimum."""

    success: Positive
    reach: NotNegative
    grasp: NotNegative
    lift: NotNegative
    transport: NotNegative
    place: NotNegative


@dataclasses.dataclass(frozen=True)
class SimParams:
    """The environment.

    Attributes:
        model: `primitives` (ours) or `menagerie` (the meshed arm, which downloads on first use).
        control_hz: Control steps per second [Hz].
        n_substeps: Physics steps per control step; the physics step is 1 / (control_hz * n_substeps).
        reward: What `step` returns: `sparse`, or `shaped` (sparse plus the potential-based terms).
        shaping_gamma: Discount in the potential differences; equal to the learner's discount it changes no optimal policy
            (Ng, Harada, Russell 1999).
        weights: Of the reward's terms.
        physics: Servo and object properties.
        task: Geometry and success.
    """

    model: Literal["primitives", "menagerie"]
    control_hz: _Rate
    n_substeps: _Rate
    reward: Literal["sparse", "shaped"]
    shaping_gamma: PositiveShare
    weights: RewardWeights
    physics: PhysicsParams
    task: TaskParams

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise ValueError(
                f"task.time_limit_s is {self.task.time_limit_s}; an episode must last a control step (1/{self.control_hz} s)"
            )

    @property
    def sim_dt_s(self) -> float:
        """Physics time step [s]."""
        return 1.0 / (self.control_hz * self.n_substeps)

    @property
    def max_steps(self) -> int:
        """Control steps until an episode is truncated."""
        return round(self.task.time_limit_s * self.control_hz)

    @property
    def hold_steps(self) -> int:
        """Control steps success must hold."""
        return max(1, round(self.task.success_hold_s * self.control_hz))
