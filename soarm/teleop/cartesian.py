"""Moving the gripper point by hand: velocities of the hand -> joint targets, with the project's own kinematics.

Knows no device. The frame is the arm's base: x to its right, y backwards (it reaches towards -y), z up.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.policy import Array, clip_to_limits

_PITCH, _ROLL = arm.JOINT_NAMES.index("wrist_flex"), arm.JOINT_NAMES.index("wrist_roll")
MAX_ERROR_M = 0.0003
"""A step whose target the inverse kinematics misses by more than this is not taken: it is out of reach. A tenth of a step."""
_GIVING_WAY = 5
"""How often the heading gives way where a joint at its limit lets the arm have either heading or place: place matters."""


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
    """Keeps the joint targets and moves them by twists.

    Args:
        control_hz: Steps per second [Hz].
        speeds: Greatest speeds.
    """

    def __init__(self, control_hz: int, speeds: Speeds | None = None) -> None:
        self._dt_s = 1.0 / control_hz
        self._speeds = speeds or Speeds()
        self._target: Array = np.zeros(arm.N_JOINTS, np.float32)
        self.out_of_reach = False

    def start(self, q: Array) -> None:
        """Begin where the arm stands, shape (6,) [deg x 5, percent]."""
        self._target = clip_to_limits(q)
        self.out_of_reach = False

    def move(self, twist: Twist) -> Array:
        """Return the next joint targets, shape (6,) [deg x 5, percent].

        Wrist and gripper turn first; then the inverse kinematics moves the gripper point with the new orientation. A step that
        leaves the reach is not taken (`out_of_reach` says so), its wrist and gripper part is.
        """
        target = self._target.astype(np.float64)
        turn = self._speeds.angular_deg_s * self._dt_s
        target[_PITCH] += turn * twist.pitch
        target[_ROLL] += turn * twist.roll
        target[arm.GRIPPER] += self._speeds.gripper_percent_s * self._dt_s * twist.gripper
        target = clip_to_limits(target).astype(np.float64)
        step_m = self._speeds.linear_m_s * self._dt_s * np.array([twist.x, twist.y, twist.z])
        self.out_of_reach = False
        self._target = clip_to_limits(self._shifted(target, step_m) if step_m.any() else target)
        return self._target

    def _shifted(self, q: NDArray[np.float64], step_m: NDArray[np.float64]) -> NDArray[np.float64]:
        position, rotation = kinematics.forward(q)
        # The fingers turn with the shoulder: an arm of five joints cannot move sideways and keep its heading.
        wanted = position + step_m
        heading = np.arctan2(wanted[0], -wanted[1]) - np.arctan2(position[0], -position[1])
        cos, sin = np.cos(heading), np.sin(heading)
        about_z = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
        rotation, shifted = about_z @ rotation, q.copy()
        for _ in range(_GIVING_WAY):
            found = kinematics.solve_ik(wanted[None], rotation[None], shifted)
            shifted[:] = found.q[0]
            if found.position_error_m[0] <= MAX_ERROR_M:
                return shifted
            _, rotation = kinematics.forward(shifted)
        self.out_of_reach = True
        return q
