"""Parameters of the simulated arm and of the pick-and-place task."""

from __future__ import annotations

import dataclasses
from typing import Literal

from soarm import arm

Range = tuple[float, float]
"""A value drawn uniformly per episode from [low, high]; fixed where both are equal."""


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

    position_gain: Range
    force_limit: Range
    latency_s: Range
    cube_friction: Range
    cube_mass_kg: Range

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            low, high = getattr(self, field.name)
            least = 0.0 if field.name == "latency_s" else 1e-6
            if not least <= low <= high:
                raise ValueError(f"{field.name} is [{low}, {high}]; it must be [low, high] with {least} <= low <= high")


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

    cube_radius_m: Range
    cube_angle_deg: Range
    bin_radius_m: Range
    bin_angle_deg: Range
    clearance_m: float
    home: tuple[float, float, float, float, float, float]
    home_jitter: tuple[float, float, float, float, float, float]
    success_hold_s: float
    time_limit_s: float

    def __post_init__(self) -> None:
        for name in ("cube_radius_m", "cube_angle_deg", "bin_radius_m", "bin_angle_deg"):
            low, high = getattr(self, name)
            if not low <= high:
                raise ValueError(f"{name} is [{low}, {high}]; it must be [low, high] with low <= high")
        outside = [
            n for n, q, lo, hi in zip(arm.JOINT_NAMES, self.home, arm.LOWER, arm.UPPER, strict=True) if not lo <= q <= hi
        ]
        if outside:
            raise ValueError(
                f"home puts {outside} outside the joint limits {arm.LOWER.round(1).tolist()} .. {arm.UPPER.round(1).tolist()}"
            )


@dataclasses.dataclass(frozen=True)
class RewardWeights:
    """Weights of the reward's terms. `success` is the sparse reward; the rest are potentials, so they change no optimum."""

    success: float
    reach: float
    grasp: float
    lift: float
    transport: float
    place: float


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
    control_hz: int
    n_substeps: int
    reward: Literal["sparse", "shaped"]
    shaping_gamma: float
    weights: RewardWeights
    physics: PhysicsParams
    task: TaskParams

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
