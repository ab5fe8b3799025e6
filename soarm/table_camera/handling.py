"""Slow moves of an arm with its fingers down: to a place over the table, down until it touches, close, open.

Knows driver and kinematics; no camera. Places are in the arm's own frame, as its kinematics give them from measured joints.
Every move is of commands at an even pace, so it passes an emulated arm in lockstep as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm as joints
from soarm import kinematics
from soarm.errors import FaultError
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.runtime.persist import bring_back
from soarm.runtime.safety import lowest_m
from soarm.tasks.thing import Thing

Floats = NDArray[np.float64]
HZ = 60
"""Commands per second: at 30 the arm jerks, and shakes a cube out of its hand."""
CLEAR_M = 0.065
"""Height of the gripper point over the table while it moves level, a cube in the hand: that passes over a bin of 40 mm [m]."""
GAP_M = 0.008
"""Between the fixed finger and what lies on the table, while the hand goes up and down beside it [m]."""
OPEN_PERCENT = 52.0
_CLOSE_PERCENT = 8.0
"""Where the gripper is sent to close on a thing: it squeezes [percent]."""
_HOLD_PERCENT, _HOLD_MA, _LOOSER = (1.8, 1.0), 1000.0, 0.8
"""And how much further than it is while it holds it, at most and at least [percent]: so much less, by this factor a look, that
its current is below this [mA]. A servo that presses as hard as it can gets hot."""
CARRY_S = 20.0
"""It carries for less than this from spot to spot, on a busy computer too [s]: with an ampere or less, for a gripper's
servo that may do so for half a minute (phosphobot issue 241)."""
_SPEED = 50.0
"""Of the joint that has the longest way, at its fastest [deg/s]: a cube in the hand must not slip."""
_ASIDE = (-60.0, 40.0, 90.0, -90.0)
"""Lift, elbow, wrist and roll when the hand is out of the picture's way, near to the shoulder and 18 cm high [deg]."""
_ASIDE_DEG, _MOST_ASIDE_DEG = 100.0, 80.0
_SLOW_M_S, _FAST_M_S = 0.015, 0.06
"""Of the hand while it may touch something at any time, and else [m/s]."""
_FEWEST, _SETTLE_S, _LOOK_S = 16, 0.3, 0.1
_SAG_LOOKS, _MOST_SAG_DEG = 2, 8.0
_SEARCH, _STEP = 60, 6
"""Iterations of the inverse kinematics: from afar, and from the step before."""
_NEAR_M = 0.032
"""Height of the gripper point from which it goes down slowly: a cube in the hand is 20 mm above the table [m]."""
_DEEPEST_M = -0.04
"""So far below where the arm thinks the table is may it be [m]."""
_TOUCH_M, _FREE = 0.002, 16
"""It touches when it lags this much more behind its targets than on the average of so many steps of free descent [m]."""
_ASTRAY_M, _ASTRAY_HIGH_M = 0.003, 0.03
"""How far off the hand may be where it touches down, and over it, where the wrist does not turn far enough [m]."""


class HandPose(NamedTuple):
    """Where the hand is, from measured joints.

    Attributes:
        tcp_m: The gripper point, shape (3,) [m].
        lowest_m: Height of the lowest point of the fixed finger [m].
        across: Level direction along which the jaw opens, shape (2,).
    """

    tcp_m: Floats
    lowest_m: float
    across: Floats


class Handling:
    """An arm that is active, its fingers down.

    Args:
        arm: Active.
        each: Called in every step: to beat, or to stop by raising something.
    """

    def __init__(self, arm: Arm, each: Callable[[], None] = lambda: None) -> None:
        self._arm, self._each = arm, each
        self._sent = np.clip(arm.observe().q, arm.calibration.lower, arm.calibration.upper)
        self._sag: Floats = np.zeros(joints.N_JOINTS)  # what targets are raised by, so that the arm is where it is to be
        tcp_m, rotation = kinematics.forward(self._sent)
        self._over_m, self._opening = tcp_m[:2], -rotation[:, 0]

    def pose(self) -> HandPose:
        """Return where the hand is."""
        q = self._observe()
        tcp_m, turned = kinematics.forward(q)
        return HandPose(tcp_m, float(lowest_m(q)), -turned[:2, 0] / np.linalg.norm(turned[:2, 0]))

    def rise(self) -> None:
        """Go straight up until the hand is clear of what stands on the table."""
        if float(kinematics.forward(self._sent)[0][2]) < CLEAR_M:
            self._straight(CLEAR_M, _FAST_M_S)

    def go(self, xy_m: ArrayLike, turn_deg: float, *, beside_m: float = 0.0) -> None:
        """Go over a place, at a height that is clear of what stands on the table.

        Args:
            xy_m: The place, shape (2,) [m].
            turn_deg: Of the hand about the vertical; at 0 the jaw opens to the side.
            beside_m: Go where the fixed finger is so far beside what lies there [m].
        """
        self.rise()
        self._over_m, self._opening = np.array(xy_m, np.float64), _opening(xy_m, turn_deg)
        self._over_m -= beside_m * self._opening[:2]
        _, off_m = self._solved(0.0, fresh=True)
        goal, high_off_m = self._solved(CLEAR_M, fresh=True)
        if off_m > _ASTRAY_M or high_off_m > _ASTRAY_HIGH_M:
            raise FaultError(
                f"the arm cannot reach {self._over_m.round(3).tolist()} with its fingers down; choose a nearer place"
            )
        self._follow(goal)
        self._make_up_for_sag()

    def aside(self, xy_m: ArrayLike) -> None:
        """Take the hand out of the way between a place and a camera that is not behind the arm."""
        self.rise()
        away = np.asarray(xy_m, np.float64) - kinematics.SHOULDER_XY_M
        angle_deg = math.degrees(math.atan2(away[0], -away[1])) + _ASIDE_DEG * (-1 if away[0] > 0 else 1)
        pan = joints.JOINTS[0].sign * float(np.clip(angle_deg, -_MOST_ASIDE_DEG, _MOST_ASIDE_DEG))
        self._follow(np.array([pan, *_ASIDE, self._sent[joints.GRIPPER]]))

    def lower(self, height_m: float) -> None:
        """Go straight down to a height of the gripper point [m]."""
        self._straight(height_m, _FAST_M_S)

    def touch_down(self) -> HandPose:
        """Go slowly straight down until something is in the way, and stay there.

        Raises:
            FaultError: Nothing was.
        """
        self._straight(_NEAR_M, _FAST_M_S)
        lags: list[float] = []
        n_steps = math.ceil((_NEAR_M - _DEEPEST_M) / _SLOW_M_S * HZ)
        for height_m in np.linspace(_NEAR_M, _DEEPEST_M, n_steps + 1)[1:]:
            self._send(self._solved(float(height_m))[0])
            q = self._observe()
            lags.append(float(kinematics.forward(q)[0][2]) - float(kinematics.forward(self._sent)[0][2]))
            free = lags[_FREE // 2 : 3 * _FREE // 2]
            if len(lags) > 2 * _FREE - 2 and min(lags[-2:]) > float(np.mean(free)) + _TOUCH_M:
                self._send(self._solved(float(height_m) + lags[-1] - float(np.mean(free)))[0])  # press no further
                self.pause(_SETTLE_S)
                return self.pose()
        raise FaultError(
            f"the hand went down to {-1e3 * _DEEPEST_M:g} mm below where the table should be and touched nothing: is there "
            "one, and is the arm calibrated? `soarm check-pose` looks"
        )

    def open(self, percent: float = OPEN_PERCENT) -> None:
        """Open the gripper."""
        self._grip(percent)

    def part(self) -> None:
        """Take the fixed finger off what it touches, to the side."""
        height_m = float(kinematics.forward(self._sent)[0][2])
        self._over_m = self._over_m - GAP_M * self._opening[:2]
        self._straight(height_m, _SLOW_M_S)

    def close_on(self, thing: Thing) -> HandPose:
        """Close the gripper on a thing, and return where the hand holds it.

        Raises:
            FaultError: The fingers do not stop where they hold a thing of its size.
        """
        self._grip(_CLOSE_PERCENT)
        assert thing.grip is not None, "only what the gripper can hold is put down"
        least, most = thing.grip.around_percent
        percent = float(self._observe()[joints.GRIPPER])
        if not least + 2.0 < percent < most:
            raise FaultError(
                f"the gripper is {percent:.1f} percent open: no {thing.name} is between the fingers, which would be at "
                f"{least + 2.0:g} to {most:g}. Begin again, and say anew where it lies (--lies-at)"
            )
        squeeze, least_squeeze = _HOLD_PERCENT
        while True:
            self._sent[joints.GRIPPER] = max(_CLOSE_PERCENT, percent - squeeze)
            self.pause(_LOOK_S)
            if squeeze <= least_squeeze or self._arm.observe().telemetry[joints.GRIPPER].current_ma < _HOLD_MA:
                return self.pose()
            squeeze *= _LOOSER

    def pause(self, seconds: float) -> None:
        """Stay, and let things come to rest [s]."""
        for _ in range(math.ceil(seconds * HZ)):
            self._send(self._sent)

    def _grip(self, percent: float) -> None:
        goal = self._sent.copy()
        goal[joints.GRIPPER] = percent
        self._follow(goal)
        self.pause(_SETTLE_S)

    def _straight(self, height_m: float, speed_m_s: float) -> None:
        start_m = float(kinematics.forward(self._sent)[0][2])
        n_steps = max(_FEWEST, math.ceil(abs(height_m - start_m) / speed_m_s * HZ))
        for share in np.arange(1, n_steps + 1) / n_steps:
            self._send(self._solved(start_m + kinematics.minimum_jerk(float(share)) * (height_m - start_m))[0])

    def _make_up_for_sag(self) -> None:
        """Raise the targets until the arm, at rest, is where it is to be: its weight pulls soft servos down by degrees."""
        for _ in range(_SAG_LOOKS):
            self.pause(_SETTLE_S)
            more = np.append((self._sent - self._observe())[: joints.GRIPPER], 0.0)
            goal = np.clip(self._sag + more, -_MOST_SAG_DEG, _MOST_SAG_DEG)
            for sag in np.linspace(self._sag, goal, _FEWEST + 1)[1:]:
                self._sag = sag
                self._send(self._sent)
        self.pause(_SETTLE_S)

    def _solved(self, height_m: float, *, fresh: bool = False) -> tuple[Floats, float]:
        """Return joints that bring the gripper point over the place at a height, and how far off they are [m]."""
        guess = self._sent.copy()
        if fresh:
            away = self._over_m - kinematics.SHOULDER_XY_M
            guess[:5] = joints.JOINTS[0].sign * math.degrees(math.atan2(away[0], -away[1])), 0.0, 10.0, 85.0, -90.0
        rotation = kinematics.gripper_rotation([0.0, 0.0, -1.0], self._opening)
        found = kinematics.solve_ik(
            np.array([[*self._over_m, height_m]]), rotation[None], guess, iterations=_SEARCH if fresh else _STEP
        )
        low, high = self._arm.calibration.lower, self._arm.calibration.upper
        return np.clip(found.q[0], low, high), float(found.position_error_m[0])

    def _follow(self, goal: Floats) -> None:
        start, goal = self._sent, np.clip(goal, self._arm.calibration.lower, self._arm.calibration.upper)
        peak = kinematics.MINIMUM_JERK_PEAK * float(np.abs(goal - start).max())
        n_steps = max(1, math.ceil(peak / _SPEED * HZ))
        for share in np.arange(1, n_steps + 1) / n_steps:
            self._send(start + (goal - start) * kinematics.minimum_jerk(float(share)))

    def _send(self, q: Floats) -> None:
        self._each()
        self._sent = np.asarray(q, np.float64)
        low, high = self._arm.calibration.lower, self._arm.calibration.upper
        self._arm.command(np.clip(self._sent + self._sag, low, high))
        self._arm.sleep(1.0 / HZ)
        self._observe()

    def _observe(self) -> Floats:
        q = self._arm.observe().q
        if self._arm.state is State.HOLD:  # a silent servo, or a supply that sags: it stands still and goes on
            bring_back(self._arm, self._each)
            self._arm.activate()
            q = self._arm.observe().q
        if self._arm.state is not State.ACTIVE:
            raise FaultError(f"the arm stopped: {self._arm.fault or self._arm.state.name}. See to it, and begin again")
        return q


def _opening(xy_m: ArrayLike, turn_deg: float) -> Floats:
    """Return the level direction along which the jaw opens over a place, the hand turned from sideways, shape (3,)."""
    x, y = np.asarray(xy_m, np.float64) - kinematics.SHOULDER_XY_M
    angle = math.atan2(-x, y) + math.radians(turn_deg)  # a quarter turn from the direction to the place
    return np.array([math.cos(angle), math.sin(angle), 0.0])
