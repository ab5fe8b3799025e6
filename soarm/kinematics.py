"""Forward kinematics, Jacobian and inverse kinematics of the SO-ARM100 in plain NumPy, batched.

Knows the chain (origins and axes as in MuJoCo Menagerie's trs_so_arm100; a test holds it against the compiled model) and
nothing of dynamics. The frame of the base: y backwards (the arm reaches towards -y), z up, x to the right of whoever faces the
arm.
"""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm

Share = TypeVar("Share", float, NDArray[np.float64], NDArray[np.float32])
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

SHOULDER_XY_M = np.array(CHAIN[0][0][:2])
"""Where the shoulder's axis stands in the frame of the base, shape (2,) [m]."""

TCP_IN_JAW_M = (-0.0046, -0.0975, 0.0)
"""The gripper point (TCP) in the fixed jaw's frame: the centre of a 25 mm cube held against the fixed jaw's pads [m]."""

POSE_DIM = arm.N_JOINTS + 3 + 9
"""Numbers that tell a network the arm's pose: joints [deg x 5, percent], gripper point [m], and rotation of the fixed jaw."""

MINIMUM_JERK_PEAK = 1.875
"""A minimum-jerk move is this many times as fast in its middle as on the average."""

# In the fixed jaw's frame the fingers point along -y and the jaw opens along -x.


def _matrix(quat: tuple[float, float, float, float]) -> NDArray[np.float64]:
    w, x, y, z = np.asarray(quat) / np.linalg.norm(quat)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


ORIGINS = np.array([origin for origin, _, _ in CHAIN])
"""Origin of each joint's body in its parent, shape (5, 3) [m]."""
FIXED = np.array([_matrix(quat) for _, quat, _ in CHAIN])
"""Fixed rotation of each body, shape (5, 3, 3)."""
_AXES = np.array([axis for _, _, axis in CHAIN])
SKEW = np.array([[[0, -z, y], [z, 0, -x], [-y, x, 0]] for x, y, z in _AXES])
"""Each joint's axis as the matrix of its cross product, shape (5, 3, 3)."""
_SKEW2 = SKEW @ SKEW


def frames(q: ArrayLike) -> tuple[list[NDArray[np.float64]], list[NDArray[np.float64]]]:
    """Return where the five bodies are that the arm's joints move, in the base frame.

    Args:
        q: Joint positions, shape (..., 6) [deg x 5, percent].

    Returns:
        Origins, five of shape (..., 3) [m], and rotations, five of shape (..., 3, 3); shoulder to fixed jaw.
    """
    angle = arm.to_radians(q)[..., :5, None, None]
    turn = np.eye(3) + np.sin(angle) * SKEW + (1.0 - np.cos(angle)) * _SKEW2  # (..., 5, 3, 3), Rodrigues
    local = FIXED @ turn
    origins, rotations = [], []
    position, rotation = np.zeros(3), np.eye(3)
    for j in range(len(CHAIN)):
        position = position + rotation @ ORIGINS[j]
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
    origins, rotations = frames(q)
    return origins[-1] + rotations[-1] @ np.array(TCP_IN_JAW_M), rotations[-1]


def pose_of(q: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a network is told of the arm, shape (B, `POSE_DIM`), of joint positions, shape (B, 6) [deg x 5, percent]."""
    tcp, jaw = forward(q)
    return np.concatenate([q, tcp, jaw.reshape(len(q), 9)], axis=1).astype(np.float32)


def jacobian(q: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Jacobians of the gripper point with respect to the five MJCF joint angles.

    Args:
        q: Joint positions, shape (..., 6) [deg x 5, percent].

    Returns:
        Translational and rotational Jacobian, shape (..., 3, 5) each [m/rad], [rad/rad].
    """
    origins, rotations = frames(q)
    tcp = origins[-1] + rotations[-1] @ np.array(TCP_IN_JAW_M)
    axes = np.stack([rotation @ axis for rotation, axis in zip(rotations, _AXES, strict=True)], axis=-1)  # (..., 3, 5)
    origins = [np.broadcast_to(origin, tcp.shape) for origin in origins]
    levers = tcp[..., None] - np.stack(origins, axis=-1)
    return np.cross(axes, levers, axis=-2), axes


class Reach(NamedTuple):
    """What `solve_ik` found.

    Attributes:
        q: Joint positions, shape (N, 6) [deg x 5, percent]; the gripper's is that of the start.
        position_error_m: Shape (N,) [m].
        rotation_error_deg: Shape (N,) [deg].
    """

    q: NDArray[np.float64]
    position_error_m: NDArray[np.float64]
    rotation_error_deg: NDArray[np.float64]


def solve_ik(tcp_m: ArrayLike, rotation: ArrayLike, start: ArrayLike, iterations: int = 30, damping: float = 0.003) -> Reach:
    """Find joint positions that bring the gripper point to given poses, by damped least squares inside the joint limits.

    The arm has five joints: a pose it cannot take is met as well as possible, 2 mm of position weighing as much as
    0.1 rad of rotation. Buss, "Introduction to inverse kinematics" (2004), section 6.

    Args:
        tcp_m: Positions of the gripper point, shape (N, 3) [m].
        rotation: Rotations of the fixed jaw's frame, shape (N, 3, 3).
        start: Where the search begins, shape (6,) or (N, 6) [deg x 5, percent].
        iterations: Number of steps, for all N at once.
        damping: Lambda [m].
    """
    target, wanted = np.asarray(tcp_m, np.float64), np.asarray(rotation, np.float64)
    q = np.broadcast_to(np.asarray(start, np.float64), (len(target), arm.N_JOINTS)).copy()
    lower, upper = arm.LOWER[:5], arm.UPPER[:5]
    per_rad = arm.from_radians(np.ones(6)) - arm.from_radians(np.zeros(6))
    for _ in range(iterations):
        position, current = forward(q)
        error = np.concatenate(
            [target - position, _ROTATION_WEIGHT_M * _rotation_vector(wanted @ np.swapaxes(current, -1, -2))], axis=-1
        )
        translational, rotational = jacobian(q)
        full = np.concatenate([translational, _ROTATION_WEIGHT_M * rotational], axis=-2)  # (N, 6, 5)
        transposed = np.swapaxes(full, -1, -2)
        step = np.linalg.solve(transposed @ full + damping**2 * np.eye(5), transposed @ error[..., None])[..., 0]
        q[:, :5] = np.clip(q[:, :5] + np.clip(step, -_MAX_STEP_RAD, _MAX_STEP_RAD) * per_rad[:5], lower, upper)
    position, current = forward(q)
    angle = np.linalg.norm(_rotation_vector(wanted @ np.swapaxes(current, -1, -2)), axis=-1)
    return Reach(q, np.linalg.norm(target - position, axis=-1), np.degrees(angle))


def gripper_rotation(fingers: ArrayLike, opening: ArrayLike) -> NDArray[np.float64]:
    """Return the rotation of the fixed jaw's frame with the fingers along `fingers` and the jaw opening along `opening`.

    Args:
        fingers: Directions, shape (..., 3), any length.
        opening: Directions, shape (..., 3); the part across `fingers` counts.

    Returns:
        Rotations, shape (..., 3, 3).
    """
    y = -np.asarray(fingers, np.float64)
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    x = -np.asarray(opening, np.float64)
    x = x - np.sum(x * y, axis=-1, keepdims=True) * y
    x = x / np.linalg.norm(x, axis=-1, keepdims=True)
    return np.stack([x, np.broadcast_to(y, x.shape), np.cross(x, np.broadcast_to(y, x.shape))], axis=-1)


_ROTATION_WEIGHT_M = 0.02
_MAX_STEP_RAD = 0.4


def _rotation_vector(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return axis times angle of rotations, shape (..., 3) [rad]."""
    skew = rotation - np.swapaxes(rotation, -1, -2)
    axis = np.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], axis=-1) / 2.0  # sin(angle) * axis
    sine = np.linalg.norm(axis, axis=-1)
    cosine = (np.trace(rotation, axis1=-2, axis2=-1) - 1.0) / 2.0
    vector: NDArray[np.float64] = axis * (np.arctan2(sine, cosine) / np.maximum(sine, 1e-9))[..., None]
    return vector


def minimum_jerk(share: Share) -> Share:
    """Return how much of its way a minimum-jerk move has made (Flash and Hogan 1985): 10 s^3 - 15 s^4 + 6 s^5.

    Args:
        share: Share s of its time, 0..1, a number or an array.
    """
    return share**3 * (10 - 15 * share + 6 * share**2)
