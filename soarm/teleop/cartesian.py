"""Moving the gripper point by hand: velocities of the hand -> joint targets, with the project's own kinematics.

Knows no device. The frame is the arm's base: x to its right, y backwards (it reaches towards -y), z up. The targets stay where
the arm can be: within reach, above the table, and no farther ahead of the joints than they can follow. An arm that meets
something, or is slower than the hand, makes the targets wait; they never run ahead until a servo overloads.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.hardware.config import DEFAULT
from soarm.motor import DUTY_PER_P_RAD
from soarm.policy import Array, clip_to_limits
from soarm.runtime.safety import lowest_m

logger = logging.getLogger(__name__)
_PITCH, _ROLL = arm.JOINT_NAMES.index("wrist_flex"), arm.JOINT_NAMES.index("wrist_roll")
MAX_ERROR_M = 0.0003
"""A step whose target the inverse kinematics misses by more than this is not taken: it is out of reach. A tenth of a step."""
_GIVING_WAY = 5
"""How often the heading gives way where a joint at its limit lets the arm have either heading or place: place matters."""

_ITERATIONS = 4
"""Of the inverse kinematics, each time: a step is 4 mm, and more moved its end by no more than a millimetre (out of reach 30
took 50 ms, more than a period at 30 Hz; 4 take 6)."""

MOST_DUTY = 0.7
"""Of a servo's PWM, what a target may ask for: 0.8 for two seconds is an overload (registers 35 and 36)."""
TABLE_M = 0.0
"""No target is lower with a point of the hand, in the frame of the base, unless it rises [m]."""
_SHARES = (1.0, 0.5, 0.25)
"""Of a step, tried in turn: an arm that is slower than the hand is followed smoothly."""
_PATIENCE_S = 1.0
"""So long may the targets wait for the arm until it is said [s]: on its way it is behind for moments."""
OUT_OF_REACH = "out of reach: the hand stays here; move it another way"
BEHIND = "the arm does not follow: something blocks it, or it carries too much; move it another way"


def leads(p: Sequence[int]) -> NDArray[np.float64]:
    """Return how far a target may be ahead of each joint, shape (6,) [deg x 5, percent].

    The gripper's may be any: its torque is limited, and it holds a cube by a target inside of it.

    Args:
        p: Register 21 of the six servos.
    """
    ahead = np.array([math.degrees(MOST_DUTY / (DUTY_PER_P_RAD * max(value, 1))) for value in p])
    ahead[arm.GRIPPER] = np.inf
    return ahead


class Twist(NamedTuple):
    """What the hand asks for, each in [-1, 1]: shares of the greatest speeds."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0
    gripper: float = 0.0


@dataclasses.dataclass(frozen=True)
class Speeds:
    """Greatest speeds.

    Attributes:
        linear_m_s: Of the gripper point along each axis [m/s].
        angular_deg_s: Of wrist_flex and wrist_roll [deg/s].
        gripper_percent_s: Of the gripper [percent/s].
    """

    linear_m_s: float = 0.12
    angular_deg_s: float = 60.0
    gripper_percent_s: float = 80.0


class Cartesian:
    """Keeps the joint targets and moves them by twists; why they stay, where they do, is logged once for a twist that lasts.

    Args:
        control_hz: Steps per second [Hz].
        speeds: Greatest speeds.
        lead: How far a target may be ahead of its joint, shape (6,) [deg x 5, percent]; None for that of the usual gains.

    Attributes:
        trouble: Why the last step was not taken, `OUT_OF_REACH` or `BEHIND`; None where it was, or nothing was asked for.
    """

    def __init__(self, control_hz: int, speeds: Speeds | None = None, lead: NDArray[np.float64] | None = None) -> None:
        self._dt_s = 1.0 / control_hz
        self._speeds = speeds or Speeds()
        self._lead = leads(DEFAULT.gains.p) if lead is None else lead
        self._target: Array = np.zeros(arm.N_JOINTS, np.float32)
        self._waits_s = 0.0
        self._asked = Twist()
        self._said: str | None = None
        self.trouble: str | None = None

    @property
    def out_of_reach(self) -> bool:
        """Whether the last step was not taken because no pose of the arm is there."""
        return self.trouble == OUT_OF_REACH

    def start(self, q: Array) -> None:
        """Begin where the arm stands, shape (6,) [deg x 5, percent]."""
        self._target = clip_to_limits(q)
        self._waits_s, self.trouble = 0.0, None

    def move(self, twist: Twist, q: Array) -> Array:
        """Return the next joint targets, shape (6,) [deg x 5, percent].

        Wrist and gripper turn first; then the inverse kinematics moves the gripper point with the new orientation. A step that
        leaves the reach is not taken, its wrist and gripper part is; none of it where the arm does not follow.

        Args:
            twist: What the hand asks for.
            q: Where the joints are, shape (6,) [deg x 5, percent].
        """
        if twist != self._asked:
            self._asked, self._said, self._waits_s = twist, None, 0.0
        self.trouble = self._step(twist, q) if any(twist) else None
        if self.trouble not in (None, self._said):
            self._said = self.trouble
            logger.info("%s", self.trouble)
        return self._target

    def _step(self, twist: Twist, q: Array) -> str | None:
        """Move the targets by as much of a step as the arm can follow, and return why they stay where they do."""
        turned = self._turned(twist)
        step_m = self._speeds.linear_m_s * self._dt_s * np.array([twist.x, twist.y, twist.z])
        shifted = self._shifted(turned, step_m) if step_m.any() else turned
        whole = (turned if shifted is None else shifted) - self._target
        for share in _SHARES:
            target = clip_to_limits(self._target + share * whole)
            if self._can_follow(target, q):
                self._target, self._waits_s = target, 0.0
                return OUT_OF_REACH if shifted is None else None
        self._target = np.append(self._target[: arm.GRIPPER], np.float32(turned[arm.GRIPPER]))
        self._waits_s += self._dt_s
        return BEHIND if self._waits_s > _PATIENCE_S else None

    def _turned(self, twist: Twist) -> NDArray[np.float64]:
        target = self._target.astype(np.float64)
        turn = self._speeds.angular_deg_s * self._dt_s
        target[_PITCH] += turn * twist.pitch
        target[_ROLL] += turn * twist.roll
        target[arm.GRIPPER] += self._speeds.gripper_percent_s * self._dt_s * twist.gripper
        return clip_to_limits(target).astype(np.float64)

    def _can_follow(self, target: Array, q: Array) -> bool:
        """Whether the arm can follow to targets: no joint is farther behind than it may be, or than it is already."""
        behind, now = np.abs(target - q), np.abs(self._target - q)
        return bool((behind <= np.maximum(self._lead, now)).all())

    def _shifted(self, q: NDArray[np.float64], step_m: NDArray[np.float64]) -> NDArray[np.float64] | None:
        """Return the joints with the gripper point moved, shape (6,); None where no pose above the table is there."""
        position, rotation = kinematics.forward(q)
        # The fingers turn with the shoulder: an arm of five joints cannot move sideways and keep its heading.
        wanted = position + step_m
        heading = np.arctan2(wanted[0], -wanted[1]) - np.arctan2(position[0], -position[1])
        cos, sin = np.cos(heading), np.sin(heading)
        about_z = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        rotation, shifted = about_z @ rotation, q.copy()
        for _ in range(_GIVING_WAY):
            found = kinematics.solve_ik(wanted[None], rotation[None], shifted, _ITERATIONS)
            shifted[:] = found.q[0]
            if found.position_error_m[0] <= MAX_ERROR_M:
                break
            _, rotation = kinematics.forward(shifted)
        else:
            return None
        return None if lowest_m(shifted) < min(TABLE_M, float(lowest_m(q))) else shifted
