"""A scripted demonstrator of pick and place, behind the same `Policy` protocol as every other policy.

It sees what a policy sees (joints and object poses), plans each phase when it begins, from where the arm was last sent to
where the objects are now, and looks whether the phase worked: a missed or lost cube is tried again. What makes it a
human-like teacher (speed, grasp offset, approach height, tremor) is drawn per episode from its parameters.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.policy import Array, Observation, clip_to_limits
from soarm.quantities import LOW_HIGH, NotNegative, Positive, within
from soarm.sim.params import NotNegativeRange, PositiveRange
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place.things import BIN_WALL_HEIGHT_M, CUBE_HALF_M

_Height = Annotated[float, within(above=0, most=1)]
_HeightRange = Annotated[tuple[_Height, _Height], LOW_HIGH]
_Percent = Annotated[float, within(least=0, most=100)]


@dataclasses.dataclass(frozen=True)
class ExpertParams:
    """How the demonstrator moves. Ranges are drawn once per episode.

    Attributes:
        speed_m_per_s: Mean speed of the gripper point, range.
        approach_height_m: Height of the gripper point above the table before descending, range.
        carry_height_m: Height while carrying, range.
        fixed_jaw_gap_m: Gap left between the cube and the fixed jaw when descending, range.
        grasp_offset_m: Standard deviation of the grasp point along the fingers' width and height.
        place_offset_m: Standard deviation of the release point in x and y.
        open_percent: How far the gripper opens, range [percent].
        close_percent: Where the gripper is sent to close on a cube; below the cube's width, so that it squeezes [percent].
        tremor_deg: Standard deviation of the hand's tremor on each arm joint [deg].
        tremor_time_s: Correlation time of the tremor [s].
        settle_s: Pause after closing and after opening, range [s].
    """

    speed_m_per_s: PositiveRange
    approach_height_m: _HeightRange
    carry_height_m: _HeightRange
    fixed_jaw_gap_m: NotNegativeRange
    grasp_offset_m: NotNegative
    place_offset_m: NotNegative
    open_percent: Annotated[tuple[_Percent, _Percent], LOW_HIGH]
    close_percent: _Percent
    tremor_deg: NotNegative
    tremor_time_s: Positive
    settle_s: NotNegativeRange

    def __post_init__(self) -> None:
        if not self.close_percent < self.open_percent[0]:
            raise ValueError(
                f"close_percent is {self.close_percent}; it must be below open_percent ({list(self.open_percent)})"
            )

    def noiseless(self) -> ExpertParams:
        """Return the same demonstrator without habits, tremor and inaccuracy: every range becomes its middle."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        middles: dict[str, Any] = {name: (sum(v) / 2,) * 2 for name, v in values.items() if isinstance(v, tuple)}
        return dataclasses.replace(self, **middles, grasp_offset_m=0.0, place_offset_m=0.0, tremor_deg=0.0)


class Phase(enum.IntEnum):
    """What the demonstrator is doing."""

    APPROACH = 0
    DESCEND = 1
    CLOSE = 2
    LIFT = 3
    CARRY = 4
    LOWER = 5
    OPEN = 6
    RETREAT = 7


_DOWN = np.array([0.0, 0.0, -1.0])
_DROP_HEIGHT_M = BIN_WALL_HEIGHT_M + 0.022
"""Gripper point's height at release: the finger tips, 9 mm below it, clear the bin's walls."""
_HELD_M = 0.025
"""A cube this close to the gripper point after closing is held."""


class Expert:
    """The demonstrator for one arm; a `soarm.policy.Policy`.

    Args:
        params: How it moves.
        control_hz: Control rate [Hz].
    """

    def __init__(self, params: ExpertParams, control_hz: int) -> None:
        self._params = params
        self._dt_s = 1.0 / control_hz
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Start an episode; habits and tremor follow from `seed`."""
        self._rng = np.random.default_rng([seed, 0x5EED])
        p, draw = self._params, self._rng.uniform
        self._speed = draw(*p.speed_m_per_s)
        self._approach_height = draw(*p.approach_height_m)
        self._carry_height = draw(*p.carry_height_m)
        self._gap = draw(*p.fixed_jaw_gap_m)
        self._open = draw(*p.open_percent)
        self._settle_s = draw(*p.settle_s)
        self._grasp_offset = self._rng.normal(0.0, p.grasp_offset_m, 2)
        self._place_offset = self._rng.normal(0.0, p.place_offset_m, 2)
        self._tremor = np.zeros(5)
        self._plan: list[NDArray[np.float64]] = []
        self._phase: Phase | None = None
        self._opening = np.array([-1.0, 0.0, 0.0])

    @property
    def phase(self) -> Phase | None:
        """What it is doing, None before the first action."""
        return self._phase

    def act(self, observation: Observation) -> Array:
        """Return the next joint targets, shape (6,) [deg x 5, percent]."""
        state = observation[STATE].astype(np.float64)
        objects = observation[ENVIRONMENT_STATE].astype(np.float64)
        if self._phase is None:
            self._sent = state
        while not self._plan:
            self._phase = self._next_phase(state, objects)
            self._plan = self._plan_phase(self._phase, objects)
        self._sent = self._plan.pop(0)
        return clip_to_limits(self._sent + self._shake())

    def _next_phase(self, state: NDArray[np.float64], objects: NDArray[np.float64]) -> Phase:
        if self._phase is None:
            return Phase.APPROACH
        if self._phase is Phase.RETREAT:
            placed = np.abs(objects[:2] - objects[5:7]).max() < 0.045
            return Phase.RETREAT if placed else Phase.APPROACH
        if self._phase in (Phase.LIFT, Phase.CARRY) and not self._holds(state, objects):
            return Phase.APPROACH
        return Phase(self._phase + 1)

    def _holds(self, state: NDArray[np.float64], objects: NDArray[np.float64]) -> bool:
        return math.dist(kinematics.forward(state)[0], objects[:3]) < _HELD_M

    def _plan_phase(self, phase: Phase, objects: NDArray[np.float64]) -> list[NDArray[np.float64]]:
        """Return the joint targets of a phase, one per control step."""
        tcp, _ = kinematics.forward(self._sent)
        cube, bin_xy = objects[:3], objects[5:7]
        grip = float(self._sent[arm.GRIPPER])
        if phase is Phase.APPROACH:
            self._opening = self._choose_opening(objects)
            return self._move([*self._grasp_point(cube)[:2], self._approach_height], self._open)
        if phase is Phase.DESCEND:
            return self._move(self._grasp_point(cube), grip)
        if phase is Phase.CLOSE:
            return self._squeeze(self._params.close_percent)
        if phase is Phase.LIFT:
            return self._move([tcp[0], tcp[1], self._carry_height], grip)
        if phase is Phase.CARRY:
            self._opening = self._turn_with_arm(tcp[:2], bin_xy)
            return self._move([*(bin_xy + self._place_offset), self._carry_height], grip)
        if phase is Phase.LOWER:
            return self._move([tcp[0], tcp[1], _DROP_HEIGHT_M], grip)
        if phase is Phase.OPEN:
            return self._squeeze(self._open)
        return self._move([tcp[0], tcp[1], self._carry_height], grip)

    def _grasp_point(self, cube: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return where the gripper point goes: beside the cube's centre, so that the fixed jaw passes it with a gap."""
        across = np.cross(_DOWN, self._opening)
        point: NDArray[np.float64] = cube - self._gap * self._opening + self._grasp_offset[0] * across
        point[2] = max(CUBE_HALF_M + self._grasp_offset[1], 0.011)  # finger tips end 9 mm below the gripper point
        return point

    def _choose_opening(self, objects: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the face normal of the cube along which the jaw opens: of the four, the one that turns the wrist least."""
        yaw = math.atan2(objects[4], objects[3]) / 4.0
        forward = objects[:2] - np.array(kinematics.CHAIN[0][0][:2])
        neutral = np.array([forward[1], -forward[0], 0.0]) / np.linalg.norm(forward)  # sideways, as at home
        normals = [np.array([math.cos(yaw + k * math.pi / 2), math.sin(yaw + k * math.pi / 2), 0.0]) for k in range(4)]
        return max(normals, key=lambda normal: float(normal @ neutral))

    def _turn_with_arm(self, start_xy: NDArray[np.float64], goal_xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the opening direction turned by as much as the arm's pan will turn, so that the wrist stays as it is."""
        axis = np.array(kinematics.CHAIN[0][0][:2])
        a, b = start_xy - axis, goal_xy - axis
        turn = math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))
        c, s = math.cos(turn), math.sin(turn)
        x, y, _ = self._opening
        return np.array([c * x - s * y, s * x + c * y, 0.0])

    def _move(self, goal: NDArray[np.float64] | list[float], grip: float) -> list[NDArray[np.float64]]:
        """Plan a move of the gripper point: minimum jerk in joint space through via points on an even path around the base."""
        start = self._sent
        tcp, rotation = kinematics.forward(start)
        goal = np.asarray(goal)
        axis = np.array(kinematics.CHAIN[0][0][:2])
        a, b = tcp[:2] - axis, goal[:2] - axis
        turn = math.atan2(a[0] * b[1] - a[1] * b[0], float(a @ b))
        length = math.hypot(abs(turn) * np.linalg.norm(b), np.linalg.norm(b) - np.linalg.norm(a), goal[2] - tcp[2])
        n = max(5, math.ceil(length / self._speed / self._dt_s))
        share = kinematics.minimum_jerk(np.arange(1, n + 1) / n)
        angle = math.atan2(a[1], a[0]) + share * turn
        radius = np.linalg.norm(a) + share * (np.linalg.norm(b) - np.linalg.norm(a))
        points = np.stack(
            [axis[0] + radius * np.cos(angle), axis[1] + radius * np.sin(angle), tcp[2] + share * (goal[2] - tcp[2])], axis=1
        )
        opening = self._blend_opening(-rotation[:, 0], share)
        rotations = kinematics.gripper_rotation(np.broadcast_to(_DOWN, (n, 3)), opening)
        solved = kinematics.solve_ik(points, rotations, self._guesses(start, turn, share)).q
        solved[:, arm.GRIPPER] = start[arm.GRIPPER] + share * (grip - start[arm.GRIPPER])
        return list(solved)

    def _guesses(self, start: NDArray[np.float64], turn: float, share: NDArray[np.float64]) -> NDArray[np.float64]:
        guesses = np.repeat(start[None], len(share), axis=0)
        guesses[:, 0] += arm.JOINTS[0].sign * np.degrees(share * turn)
        return guesses

    def _blend_opening(self, now: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return opening directions from `now` to the wanted one, turning the short way, shape (n, 3)."""
        first = math.atan2(now[1], now[0])
        turn = (math.atan2(self._opening[1], self._opening[0]) - first + math.pi) % (2 * math.pi) - math.pi
        angle = first + share * turn
        return np.stack([np.cos(angle), np.sin(angle), np.zeros_like(angle)], axis=1)

    def _squeeze(self, percent: float) -> list[NDArray[np.float64]]:
        """Plan opening or closing the gripper where it is, and the pause after it."""
        start = self._sent
        n = max(3, math.ceil(abs(percent - start[arm.GRIPPER]) / _GRIPPER_PERCENT_PER_S / self._dt_s))
        plan = []
        for share in np.arange(1, n + 1) / n:
            target = start.copy()
            target[arm.GRIPPER] += share * (percent - start[arm.GRIPPER])
            plan.append(target)
        return plan + [plan[-1]] * math.ceil(self._settle_s / self._dt_s)

    def _shake(self) -> NDArray[np.float64]:
        """Return the hand's tremor: an Ornstein-Uhlenbeck process on the arm joints, shape (6,)."""
        if self._params.tremor_deg > 0:
            keep = math.exp(-self._dt_s / self._params.tremor_time_s)
            kick = self._params.tremor_deg * math.sqrt(1.0 - keep * keep)
            self._tremor = keep * self._tremor + self._rng.normal(0.0, kick, 5)
        return np.append(self._tremor, 0.0)


_GRIPPER_PERCENT_PER_S = 80.0
