"""Forward kinematics, Jacobian and inverse kinematics of the SO-ARM100 in plain NumPy, batched.

Knows the chain (origins and axes as in MuJoCo Menagerie's trs_so_arm100; a test holds it against the compiled model) and
nothing of dynamics. The frame of the base: x to the arm's right, y backwards (the arm reaches towards -y), z up.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm

_HALF = math.sqrt(0.5)
# Origin of each joint's body in its parent [m], the body's fixed rotation (w, x, y, z) and the joint's axis in the body.
CHAIN: tuple[tuple[tuple[float, float, float], tuple[float, float, float, float], tuple[float, float, float]], ...] = (
    ((0.0, -0.0452, 0.0165), (0.707105, 0.707108, 0.0, 0.0), (0.0, 1.0, 0.0)),
    ((0.0, 0.1025, 0.0306), (_HALF, _HALF, 0.0, 0.0), (1.0, 0.0, 0.0)),
    ((0.0, 0.11257, 0.028), (_HALF, -_HALF, 0.0, 0.0), (1.0, 0.0, 0.0)),
    ((0.0, 0.0052, 0.1349), (_HALF, -_HALF, 0.0, 0.0), (1.0, 0.0, 0.0)),
    ((0.0, -0.0601, 0.0), (_HALF, 0.0, _HALF, 0.0), (0.0, 1.0, 0.0)),
)
"""The five arm joints, base to wrist_roll; the gripper joint moves the jaw only, not the gripper point."""

TCP_IN_JAW_M = (-0.0046, -0.0975, 0.0)
"""The gripper point (TCP) in the fixed jaw's frame: the centre of a 25 mm cube held against the fixed jaw's pads [m]."""

# Directions of the fixed jaw's frame: the fingers point along -y, the jaw opens along -x.
FINGERS_IN_JAW = (0.0, -1.0, 0.0)
OPENING_IN_JAW = (-1.0, 0.0, 0.0)


def _matrix(quat: tuple[float, float, float, float]) -> NDArray[np.float64]:
    w, x, y, z = np.asarray(quat) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


_ORIGINS = np.array([origin for origin, _, _ in CHAIN])
_FIXED = np.array([_matrix(quat) for _, quat, _ in CHAIN])
_AXES = np.array([axis for _, _, axis in CHAIN])
_SKEW = np.array([[[0, -z, y], [z, 0, -x], [-y, x, 0]] for x, y, z in _AXES])
_SKEW2 = _SKEW @ _SKEW


def _frames(q: ArrayLike) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return origin (..., 3) and rotation (..., 3, 3) of each of the five joint bodies."""
    angle = arm.to_radians(q)[..., :5, None, None]
    turn = np.eye(3) + np.sin(angle) * _SKEW + (1.0 - np.cos(angle)) * _SKEW2  # (..., 5, 3, 3), Rodrigues
    local = _FIXED @ turn
    origins, rotations = [], []
    position, rotation = np.zeros(3), np.eye(3)
    for j in range(len(CHAIN)):
        position = position + rotation @ _ORIGINS[j]
        rotation = rotation @ local[..., j, :, :]
        origins.append(position)
        rotations.append(rotation)
    return origins, rotations


def forward(q: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pose of the gripper point in the base frame.

    Args:
        q: Joint positions, shape (..., 6) [deg x 5, percent].

    Returns:
        Position, shape (..., 3) [m], and rotation of the fixed jaw's frame, shape (..., 3, 3).
    """
    origins, rotations = _frames(q)
    return origins[-1] + rotations[-1] @ np.array(TCP_IN_JAW_M), rotations[-1]


def jacobian(q: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Jacobians of the gripper point with respect to the five MJCF joint angles.

    Args:
        q: Joint positions, shape (6,) [deg x 5, percent].

    Returns:
        Translational and rotational Jacobian, shape (3, 5) each [m/rad], [rad/rad].
    """
    origins, rotations = _frames(q)
    tcp = origins[-1] + rotations[-1] @ np.array(TCP_IN_JAW_M)
    axes = np.stack([rotation @ axis for rotation, axis in zip(rotations, _AXES, strict=True)], axis=1)  # (3, 5)
    levers = tcp[:, None] - np.stack(origins, axis=1)
    return np.cross(axes, levers, axis=0), axes
