"""How scripted demonstrators move, behind the same `Policy` protocol as every other policy; what they do is the task's.

A demonstrator sees what a policy sees (joints and object poses). It plans each phase when the phase begins, from where the
arm was last sent to where the objects are now, so that a missed or lost object can be tried again. What makes it a human-like
teacher (speed, inaccuracy, tremor) is drawn per episode from its parameters.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.kinematics import SHOULDER_XY_M
from soarm.policy import Array, Observation, clip_to_limits
from soarm.quantities import NotNegative, Positive
from soarm.sim.params import PositiveRange
from soarm.spec import ENVIRONMENT_STATE, STATE

Vector = NDArray[np.float64]
DOWN = np.array([0.0, 0.0, -1.0])
_GRIPPER_PERCENT_PER_S = 80.0


@dataclasses.dataclass(frozen=True)
class MotionParams:
    """How every demonstrator moves; a task adds its own habits.

    A field that holds a range is drawn once per episode. A field whose name ends in `_offset_m` is the standard deviation of
    an inaccuracy in two directions, which is drawn once per episode as well. Draws follow the order of the fields, ranges
    first.

    Attributes:
        speed_m_per_s: Mean speed of the gripper point, range.
        tremor_deg: Standard deviation of the hand's tremor on each arm joint [deg].
        tremor_time_s: Correlation time of the tremor [s].
    """

    speed_m_per_s: PositiveRange
    tremor_deg: NotNegative
    tremor_time_s: Positive

    def noiseless(self) -> Self:
        """Return the same demonstrator without habits, tremor and inaccuracy: every range becomes its middle."""
        values = vars(self)
        changed: dict[str, Any] = {name: (sum(v) / 2,) * 2 for name, v in values.items() if isinstance(v, tuple)}
        changed |= {name: 0.0 for name in values if name.endswith("_offset_m")}
        return dataclasses.replace(self, **changed, tremor_deg=0.0)


P = TypeVar("P", bound=MotionParams)
Phase = TypeVar("Phase", bound=enum.IntEnum)


class Demonstrator(Generic[P, Phase]):
    """The demonstrator for one arm; a `soarm.policy.Policy`. A task's own gives `next_phase` and `plan_phase`.

    Args:
        params: How it moves.
        control_hz: Control rate [Hz].

    Attributes:
        params: How it moves.
        habits: Name of a range in the parameters -> its value in this episode.
        offsets: Name of an inaccuracy in the parameters -> its value in this episode, shape (2,) [m].
        sent: The joint targets of the last step without tremor, shape (6,) [deg x 5, percent].
        opening: Level direction in which the jaw opens, or is to open at the end of the next move, shape (3,).
    """

    def __init__(self, params: P, control_hz: int) -> None:
        self.params = params
        self._dt_s = 1.0 / control_hz
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Start an episode; habits and tremor follow from `seed`."""
        self._rng = np.random.default_rng([seed, 0x5EED])
        values, rng = vars(self.params), self._rng
        self.habits: dict[str, float] = {name: rng.uniform(*v) for name, v in values.items() if isinstance(v, tuple)}
        self.offsets = {name: rng.normal(0.0, std, 2) for name, std in values.items() if name.endswith("_offset_m")}
        self._tremor = np.zeros(5)
        self._plan: list[Vector] = []
        self._phase: Phase | None = None
        self.opening = np.array([-1.0, 0.0, 0.0])

    @property
    def phase(self) -> Phase | None:
        """What it is doing, None before the first action."""
        return self._phase

    def act(self, observation: Observation) -> Array:
        """Return the next joint targets, shape (6,) [deg x 5, percent]."""
        state = observation[STATE].astype(np.float64)
        objects = np.asarray(observation[ENVIRONMENT_STATE], np.float64)
        if self._phase is None:
            self.sent = state
        while not self._plan:
            self._phase = phase = self.next_phase(self._phase, state, objects)
            self._plan = self.plan_phase(phase, state, objects)
        self.sent = self._plan.pop(0)
        return clip_to_limits(self.sent + self._shake())

    def next_phase(self, phase: Phase | None, state: Vector, objects: Vector) -> Phase:
        """Return what follows a phase.

        Args:
            phase: What is over; None when the episode begins.
            state: Joint positions, shape (6,) [deg x 5, percent].
            objects: Environment state.
        """
        raise NotImplementedError

    def plan_phase(self, phase: Phase, state: Vector, objects: Vector) -> list[Vector]:
        """Return the joint targets of a phase, at least one, shape (6,) [deg x 5, percent] each; see `next_phase`."""
        raise NotImplementedError

    def face_normal(self, xy: Vector, yaw4: Vector) -> Vector:
        """Return the level normal of that face of a cube along which the jaw can open with the least turn of the wrist.

        Args:
            xy: Where the cube is, shape (2,) [m].
            yaw4: Cosine and sine of four times its yaw, shape (2,).
        """
        yaw = math.atan2(yaw4[1], yaw4[0]) / 4.0
        forward = xy - SHOULDER_XY_M
        neutral = np.array([forward[1], -forward[0], 0.0]) / np.linalg.norm(forward)  # sideways, as at home
        normals = [np.array([math.cos(yaw + k * math.pi / 2), math.sin(yaw + k * math.pi / 2), 0.0]) for k in range(4)]
        return max(normals, key=lambda normal: float(normal @ neutral))

    def turned_with_arm(self, start_xy: Vector, goal_xy: Vector) -> Vector:
        """Return the opening direction turned by as much as the arm's pan will turn, so that the wrist stays as it is."""
        a, b = start_xy - SHOULDER_XY_M, goal_xy - SHOULDER_XY_M
        turn = math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))
        c, s = math.cos(turn), math.sin(turn)
        x, y, _ = self.opening
        return np.array([c * x - s * y, s * x + c * y, 0.0])

    def move(self, goal: ArrayLike, grip: float) -> list[Vector]:
        """Plan a move of the gripper point: minimum jerk in joint space through via points on an even path around the base.

        Args:
            goal: Where to, shape (3,) [m]; fingers point down there, and the jaw opens along `opening`.
            grip: Where the gripper is at the end [percent].
        """
        start = self.sent
        tcp, rotation = kinematics.forward(start)
        goal = np.asarray(goal)
        a, b = tcp[:2] - SHOULDER_XY_M, goal[:2] - SHOULDER_XY_M
        turn = math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))
        length = math.hypot(abs(turn) * np.linalg.norm(b), np.linalg.norm(b) - np.linalg.norm(a), goal[2] - tcp[2])
        share = self.shares(length, self.habits["speed_m_per_s"])
        n = len(share)
        angle = math.atan2(a[1], a[0]) + share * turn
        radius = np.linalg.norm(a) + share * (np.linalg.norm(b) - np.linalg.norm(a))
        level = (SHOULDER_XY_M[0] + radius * np.cos(angle), SHOULDER_XY_M[1] + radius * np.sin(angle))
        points = np.stack([*level, tcp[2] + share * (goal[2] - tcp[2])], axis=1)
        rotations = kinematics.gripper_rotation(np.broadcast_to(DOWN, (n, 3)), self._blend_opening(-rotation[:, 0], share))
        guesses = np.repeat(start[None], n, axis=0)
        guesses[:, 0] += arm.JOINTS[0].sign * np.degrees(share * turn)
        solved = kinematics.solve_ik(points, rotations, guesses).q
        solved[:, arm.GRIPPER] = start[arm.GRIPPER] + share * (grip - start[arm.GRIPPER])
        return list(solved)

    def squeeze(self, percent: float, pause_s: float) -> list[Vector]:
        """Plan opening or closing the gripper where it is, and a pause after it."""
        start = self.sent
        n = max(3, math.ceil(abs(percent - start[arm.GRIPPER]) / _GRIPPER_PERCENT_PER_S / self._dt_s))
        plan = []
        for share in np.arange(1, n + 1) / n:
            target = start.copy()
            target[arm.GRIPPER] += share * (percent - start[arm.GRIPPER])
            plan.append(target)
        return self.paused(plan, pause_s)

    def shares(self, length_m: float, speed_m_per_s: float) -> Vector:
        """Return the share of a way that is done after each control step, minimum jerk, at least five of them."""
        n = max(5, math.ceil(length_m / speed_m_per_s / self._dt_s))
        return kinematics.minimum_jerk(np.arange(1, n + 1) / n)

    def paused(self, plan: list[Vector], pause_s: float) -> list[Vector]:
        """Return a plan with a pause at its end."""
        return plan + [plan[-1]] * math.ceil(pause_s / self._dt_s)

    def _blend_opening(self, now: Vector, share: Vector) -> Vector:
        """Return opening directions from `now` to the wanted one, turning the short way, shape (n, 3)."""
        first = math.atan2(now[1], now[0])
        turn = (math.atan2(self.opening[1], self.opening[0]) - first + math.pi) % (2 * math.pi) - math.pi
        angle = first + share * turn
        return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)

    def _shake(self) -> Vector:
        """Return the hand's tremor: an Ornstein-Uhlenbeck process on the arm joints, shape (6,)."""
        if self.params.tremor_deg > 0:
            keep = math.exp(-self._dt_s / self.params.tremor_time_s)
            kick = self.params.tremor_deg * math.sqrt(1.0 - keep * keep)
            self._tremor = keep * self._tremor + self._rng.normal(0.0, kick, 5)
        return np.append(self._tremor, 0.0)
