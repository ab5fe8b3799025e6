"""Parameters of the simulated arm, and what those of every task have; a task adds its own by subclasses."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from typing import Annotated, ClassVar, Literal, Self

from soarm import arm
from soarm.errors import ParamsError
from soarm.params import changed
from soarm.quantities import LOW_HIGH, Allowed, NotNegative, NotNegativeRange, Positive, PositiveShare, within
from soarm.sim.disturbances import DisturbanceParams, GrowingDisturbances, between
from soarm.sim.look_params import LookParams
from soarm.sim.observation_error import ObservationErrorParams
from soarm.sim.registry import sim_task
from soarm.sim.servos import ServoParams
from soarm.sim.task import SimTask
from soarm.spec import IMAGES, Feature, PolicySpec

PositiveRange = Annotated[tuple[Positive, Positive], LOW_HIGH]
"""A value drawn uniformly per episode from [low, high]; fixed where both are equal."""
_Physical = Annotated[float, within(least=1e-6)]
PhysicsRange = Annotated[tuple[_Physical, _Physical], LOW_HIGH]
"""The same, of a property that cannot be 0."""
_Length = Annotated[float, within(above=0, most=1)]
_Angle = Annotated[float, within(least=-180, most=180)]
LengthRange = Annotated[tuple[_Length, _Length], LOW_HIGH]
"""The same, of a radius or a height around the arm [m]."""
AngleRange = Annotated[tuple[_Angle, _Angle], LOW_HIGH]
_Error = Annotated[float, within(least=-20, most=20)]
ErrorRange = Annotated[tuple[_Error, _Error], LOW_HIGH]
"""The same, of what is off to either side [deg, percent]."""
_Gap = Annotated[float, within(least=0, most=20)]
GapRange = Annotated[tuple[_Gap, _Gap], LOW_HIGH]
_Jitter = Annotated[float, within(least=0, most=180)]
_Width = Annotated[int, within(least=1, most=1280)]
_Height = Annotated[int, within(least=1, most=960)]
_Supersample = Annotated[int, within(least=1, most=8)]
_Fovy = Annotated[float, within(least=1, most=170)]
_Coordinate = Annotated[float, within(least=-10, most=10)]
Point = tuple[_Coordinate, _Coordinate, _Coordinate]
"""x, y, z [m]."""
_Rate = Annotated[int, within(least=1, most=1000)]
_IN_REACH = Allowed(
    f"inside the joint limits {arm.LOWER.round(1).tolist()} .. {arm.UPPER.round(1).tolist()}",
    lambda q: all(low <= at <= high for low, at, high in zip(arm.LOWER, q, arm.UPPER, strict=True)),
)


@dataclasses.dataclass(frozen=True)
class PhysicsParams:
    """What the servos are made of; each a range, drawn anew in every episode. A task adds what its bodies are made of.

    Attributes:
        position_gain: Stiffness of the position servo [N m/rad]. Menagerie has 50.
        force_limit: Largest torque of a servo [N m]. Menagerie has 3.5; an STS3215 at 12 V stalls at 2.94.
        latency_s: Delay from a goal being commanded to the servo following it [s].
        volts: Supply of the servos [V], where `servos.law` is `sts3215`: then it stands for stiffness and torque.
        zero_deg: How far a joint's own zero is off, drawn for each joint [deg, percent].
        backlash_deg: Way that gears go before they move the joint back [deg, percent].
    """

    position_gain: PhysicsRange
    force_limit: PhysicsRange
    latency_s: NotNegativeRange
    volts: PhysicsRange
    zero_deg: ErrorRange
    backlash_deg: GapRange

    PER_JOINT: ClassVar[tuple[str, ...]] = ("zero_deg",)
    """What is drawn for every joint by itself."""


@dataclasses.dataclass(frozen=True)
class TaskParams:
    """How an episode starts and ends. A task adds where its things lie.

    Attributes:
        home: Start pose, shape (6,) [deg x 5, percent].
        home_jitter: Half-width of the uniform noise on the start pose, shape (6,) [deg x 5, percent].
        success_hold_s: How long the task must stay done [s].
        time_limit_s: Length of an episode [s].
    """

    home: Annotated[tuple[float, float, float, float, float, float], _IN_REACH]
    home_jitter: tuple[_Jitter, _Jitter, _Jitter, _Jitter, _Jitter, _Jitter]
    success_hold_s: NotNegative
    time_limit_s: Positive


@dataclasses.dataclass(frozen=True)
class TabletopParams(TaskParams):
    """Where a cube and one other thing lie on the table. A task adds the sector of the other thing.

    Angles are about the shoulder's axis, 0 straight ahead, positive to the left.

    Attributes:
        things: Names of the two; `<name>_radius_m` and `<name>_angle_deg` hold the sector of each.
        cube_radius_m: Distance of the cube from the shoulder's axis [m], range.
        cube_angle_deg: Direction of the cube, range [deg].
        clearance_m: Least distance between the centres of the two [m].
    """

    things: ClassVar[tuple[str, str]]

    cube_radius_m: LengthRange
    cube_angle_deg: AngleRange
    clearance_m: NotNegative

    def __post_init__(self) -> None:
        furthest_m = _furthest_m(*self.sectors)
        if self.clearance_m > furthest_m:
            raise ValueError(
                f"clearance_m is {self.clearance_m}; {' and '.join(self.things)} lie at most {furthest_m:.3f} m apart: lower "
                "it, or widen their ranges"
            )

    @property
    def sectors(self) -> tuple[Sector, Sector]:
        """Radius [m] and angle [deg] of the two things, a range each."""
        one, other = ((getattr(self, f"{name}_radius_m"), getattr(self, f"{name}_angle_deg")) for name in self.things)
        return one, other


Sector = tuple[tuple[float, float], tuple[float, float]]
"""Range of a radius [m] and of an angle [deg], about the shoulder's axis."""


def _furthest_m(one: Sector, other: Sector) -> float:
    """Return the greatest distance between points of two sectors [m]."""
    (radii, angles), (other_radii, other_angles) = one, other
    turn = math.radians(min(max(abs(angles[1] - other_angles[0]), abs(other_angles[1] - angles[0])), 180.0))
    there = [(radius * math.cos(turn), radius * math.sin(turn)) for radius in other_radii]
    return max(math.dist((radius, 0.0), point) for radius in radii for point in there)


@dataclasses.dataclass(frozen=True)
class RewardWeights:
    """Weights of the reward's terms. `success` is the sparse reward; a task's own are of potentials and change no optimum."""

    success: Positive


MOST_DRAWN_PX = 4096
"""Width and height of what is drawn for a picture, at most."""


@dataclasses.dataclass(frozen=True)
class CameraParams:
    """A camera whose pictures policies see.

    Attributes:
        width_px: Width of a picture.
        height_px: Height of a picture.
        supersample: Pictures are drawn this many times as wide and high, and averaged.
        position_m: Where the camera is, in the frame of the body it is on [m]; None leaves it where the scene has it.
        target_m: What it looks at, in the same frame, whose z is upwards in the picture [m]; given with the position.
        fovy_deg: Vertical field of view [deg]; None leaves the scene's.
    """

    width_px: _Width
    height_px: _Height
    supersample: _Supersample = 1
    position_m: Point | None = None
    target_m: Point | None = None
    fovy_deg: _Fovy | None = None

    def __post_init__(self) -> None:
        drawn = self.supersample * self.width_px, self.supersample * self.height_px
        if max(drawn) > MOST_DRAWN_PX:
            raise ValueError(
                f"supersample is {self.supersample}, so that {drawn[0]} x {drawn[1]} px would be drawn; it must be at most "
                f"{MOST_DRAWN_PX} px either way: lower supersample, width_px or height_px"
            )
        if (self.position_m is None) != (self.target_m is None):
            raise ValueError("position_m and target_m must be given together, or both null: the scene's own")
        if self.position_m is not None and self.target_m is not None and self.position_m[:2] == self.target_m[:2]:
            raise ValueError(
                f"position_m is {self.position_m} and target_m {self.target_m}; x or y must differ, or nothing says what is "
                "up in the picture: move one of them by 0.001"
            )


@dataclasses.dataclass(frozen=True)
class SimParams:
    """The environment; `for_task` is the class of a task's own.

    Attributes:
        task_name: Name of the task.
        model: `primitives` (ours) or `menagerie` (the meshed arm, which downloads on first use).
        control_hz: Control steps per second [Hz].
        n_substeps: Physics steps per control step; the physics step is 1 / (control_hz * n_substeps).
        reward: What `step` returns: `sparse`, or `shaped` (sparse plus the potential-based terms).
        shaping_gamma: Discount in the potential differences; equal to the learner's discount it changes no optimal policy
            (Ng, Harada, Russell 1999).
        weights: Of the reward's terms.
        physics: Servo and object properties.
        servos: What of the servos is known.
        task: Geometry and success.
        cameras: Name of a camera in the scene -> how policies see it; none: they see no pictures.
        objects_from: Who tells policies where the objects are: `simulator`, which knows, or `eye`, which sees the pictures of
            the cameras and was trained by the stage `train_eye`.
        observation_error: How wrong the simulator is when it tells; where an eye tells, a residual is trained under these in
            the eye's place, and nothing else is.
        disturbances: How far physics and errors go from these.
        look: How much these pictures differ from episode to episode.
    """

    task_name: ClassVar[str]

    model: Literal["primitives", "menagerie"]
    control_hz: _Rate
    n_substeps: _Rate
    reward: Literal["sparse", "shaped"]
    shaping_gamma: PositiveShare
    weights: RewardWeights
    physics: PhysicsParams
    servos: ServoParams
    task: TaskParams
    cameras: Mapping[str, CameraParams]
    objects_from: Literal["simulator", "eye"]
    observation_error: ObservationErrorParams
    disturbances: DisturbanceParams
    look: LookParams

    def __post_init__(self) -> None:
        if self.max_steps < 1:
            raise ValueError(
                f"task.time_limit_s is {self.task.time_limit_s}; an episode must last a control step (1/{self.control_hz} s)"
            )
        if self.objects_from == "eye" and not self.cameras:
            raise ValueError(
                "objects_from is 'eye', and cameras names none that it could look through; profile `pixels` has two"
            )
        try:
            _ = self.worst_physics, self.worst_observation_error
        except ParamsError as error:
            _, *faults = str(error).splitlines()
            raise ValueError("; ".join(fault.strip() for fault in faults)) from None

    @functools.cached_property
    def worst_physics(self) -> PhysicsParams:
        """The physics at severity 1."""
        return changed(self.physics, self.disturbances.physics, "disturbances.physics")

    @functools.cached_property
    def worst_observation_error(self) -> ObservationErrorParams:
        """The errors at severity 1."""
        return changed(self.observation_error, self.disturbances.observation_error, "disturbances.observation_error")

    def physics_of(self, seed: int) -> PhysicsParams:
        """Return the physics of the episode of a seed, as ranges to draw from."""
        return between(self.physics, self.worst_physics, self.disturbances.of_episode(seed))

    def observation_error_of(self, seed: int) -> ObservationErrorParams:
        """Return the errors of the episode of a seed, as ranges to draw from."""
        return between(self.observation_error, self.worst_observation_error, self.disturbances.of_episode(seed))

    @functools.cached_property
    def widest_physics(self) -> Mapping[str, tuple[float, float]]:
        """Field of `physics` -> lowest and highest value that an episode may have."""
        usual, worst = (vars(between(self.physics, self.worst_physics, severity)) for severity in self.disturbances.severity)
        return {name: (min(low, worst[name][0]), max(high, worst[name][1])) for name, (low, high) in usual.items()}

    @functools.cached_property
    def largest_error(self) -> ObservationErrorParams:
        """The errors at the highest severity."""
        return between(self.observation_error, self.worst_observation_error, self.disturbances.severity[1])

    @staticmethod
    def for_task(name: str) -> type[SimParams]:
        """Return the dataclass that the section `sim` is read as."""
        found: type[SimParams] = sim_task(name).params_type
        return found

    @property
    def sim_task(self) -> SimTask:
        """The task in the simulator."""
        return sim_task(self.task_name)

    @property
    def picture_features(self) -> dict[str, Feature]:
        """Key -> Feature: the pictures that policies see."""
        return {f"{IMAGES}.{name}": Feature.image(one.height_px, one.width_px) for name, one in self.cameras.items()}

    @property
    def spec(self) -> PolicySpec:
        """What an artefact has to agree with that is used in this simulator."""
        task = self.sim_task.task
        features = {**task.features, **self.picture_features}
        return dataclasses.replace(task.spec(self.control_hz), features=features)

    def told(self, cameras: Iterable[str] = ()) -> Self:
        """Return the same environment with some of its cameras, where policies are told where the objects are.

        Where that was an eye's to say, they are told the truth.
        """
        kept = {name: self.cameras[name] for name in cameras}
        told = dataclasses.replace(self, cameras=kept, objects_from="simulator")
        if self.objects_from == "simulator":
            return told
        physics_alone = dataclasses.replace(self.disturbances, observation_error={})
        return dataclasses.replace(told, observation_error=ObservationErrorParams.none(), disturbances=physics_alone)

    def growing(self, scenes: range, growth: tuple[int, int] | None) -> Self:
        """Return the same environment with disturbances that grow over some scenes; None: they are whole at once.

        Args:
            scenes: Seeds of the scenes, in the order in which they are taken; all others are disturbed as before.
            growth: Scene at which disturbances begin, and scene from which on they are whole.
        """
        if growth is None or not self.disturbances.severity[1]:
            return self
        grown = GrowingDisturbances(**vars(self.disturbances), scenes=scenes, growth=growth)
        return dataclasses.replace(self, disturbances=grown)

    @property
    def tells_wrongly(self) -> bool:
        """Whether the simulator tells policies of the objects, and with errors."""
        return self.objects_from == "simulator" and not self.largest_error.is_none

    @property
    def plain_servos(self) -> bool:
        """Whether joints go where policies say, and read where they are: MuJoCo's actuators, right zeros, no backlash."""
        drawn = (*self.widest_physics["zero_deg"], *self.widest_physics["backlash_deg"])
        return self.servos.law == "position" and not any((*drawn, *self.servos.zero_deg))

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
