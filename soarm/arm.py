"""The SO-ARM100 as a table of facts: joints, servos, units, ranges, signs, zeros.

Knows no simulator, no bus and no file. Units at every border are LeRobot's: degrees for the five arm joints, 0..100
(closed..open) for the gripper. Radians are those of the MJCF joints (MuJoCo Menagerie `trs_so_arm100`).

Signs and zeros: LeRobot turns shoulder_pan the other way round than Menagerie and puts zero in the middle of each joint's
mechanical range. The elbow is the trap: the middle of its range is 1.483 rad, not the pi/2 of the CAD's nominal pose.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Joint(NamedTuple):
    """One joint of the arm.

    `range_rad` is the joint's range in the MJCF; `zero_rad` the MJCF angle at LeRobot's zero; `sign` the direction of
    LeRobot's angle seen from the MJCF's. For the gripper 0 is `range_rad[0]` (closed) and 100 is `range_rad[1]` (open).
    """

    name: str
    servo_id: int
    mjcf_name: str
    sign: int
    zero_rad: float
    range_rad: tuple[float, float]


JOINTS: tuple[Joint, ...] = (
    Joint("shoulder_pan", 1, "Rotation", -1, 0.0, (-1.92, 1.92)),
    Joint("shoulder_lift", 2, "Pitch", +1, -1.573, (-3.32, 0.174)),
    Joint("elbow_flex", 3, "Elbow", +1, 1.483, (-0.174, 3.14)),
    Joint("wrist_flex", 4, "Wrist_Pitch", +1, 0.0, (-1.66, 1.66)),
    Joint("wrist_roll", 5, "Wrist_Roll", +1, 0.0, (-2.79, 2.79)),
    Joint("gripper", 6, "Jaw", +1, -0.174, (-0.174, 1.75)),
)
JOINT_NAMES: tuple[str, ...] = tuple(joint.name for joint in JOINTS)
FEATURE_NAMES: tuple[str, ...] = tuple(f"{name}.pos" for name in JOINT_NAMES)
UNITS: tuple[str, ...] = ("deg", "deg", "deg", "deg", "deg", "percent")
N_JOINTS = len(JOINTS)
GRIPPER = JOINT_NAMES.index("gripper")

PER_RAD = np.array([joint.sign * 180.0 / math.pi for joint in JOINTS])
PER_RAD[GRIPPER] = 100.0 / (JOINTS[GRIPPER].range_rad[1] - JOINTS[GRIPPER].range_rad[0])
ZERO_RAD = np.array([joint.zero_rad for joint in JOINTS])


def from_radians(q_rad: ArrayLike) -> NDArray[np.float64]:
    """Convert MJCF joint angles to LeRobot units.

    Args:
        q_rad: Joint angles of the MJCF, shape (..., 6), in JOINT_NAMES order [rad].

    Returns:
        Positions, shape (..., 6) [deg x 5, percent].
    """
    q: NDArray[np.float64] = (np.asarray(q_rad, dtype=np.float64) - ZERO_RAD) * PER_RAD
    return q


def to_radians(q: ArrayLike) -> NDArray[np.float64]:
    """Convert LeRobot units to MJCF joint angles; the inverse of `from_radians`.

    Args:
        q: Positions, shape (..., 6) [deg x 5, percent].

    Returns:
        Joint angles of the MJCF, shape (..., 6) [rad].
    """
    q_rad: NDArray[np.float64] = np.asarray(q, dtype=np.float64) / PER_RAD + ZERO_RAD
    return q_rad


_ENDS = from_radians(np.array([joint.range_rad for joint in JOINTS]).T)
LOWER: NDArray[np.float64] = _ENDS.min(axis=0)
"""Lower joint limits in LeRobot units, shape (6,) [deg x 5, percent]."""
UPPER: NDArray[np.float64] = _ENDS.max(axis=0)
"""Upper joint limits in LeRobot units, shape (6,) [deg x 5, percent]."""
LOWER.flags.writeable = UPPER.flags.writeable = False
