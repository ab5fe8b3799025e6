"""What stands on the table, cube and bin, as boxes; and how far the arm is from them.

Knows sizes and the arm's shape, as balls around forearm, wrist, hand and both fingers; a test holds the sizes against the
simulator's and the balls against its collision shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics

CUBE_HALF_M = 0.0125
"""Half the edge of the cube [m]."""
BIN_HALF_M = 0.045
"""Half the inner width of the bin [m]."""
BIN_WALL_M = 0.004
"""How thick its walls and its floor are [m]."""
BIN_WALL_HEIGHT_M = 0.04
BIN_REST_M = BIN_WALL_M + CUBE_HALF_M
"""Height of the middle of a cube that lies in the bin [m]."""
_LYING_M = 2 * CUBE_HALF_M
"""A cube whose middle is higher stands on nothing: it is in the hand, or in the air [m]."""


class Box(NamedTuple):
    """A box on the table, its sides along x and y.

    Attributes:
        x: Of its middle [m].
        y: Of its middle [m].
        half_m: Half its width [m].
        height_m: How far it reaches up [m].
    """

    x: float
    y: float
    half_m: float
    height_m: float


def boxes(objects: ArrayLike) -> tuple[Box, ...]:
    """Return bin and cube; one that is in the air counts as lying below, where it falls if the hand lets it go.

    Args:
        objects: Shape (7,), see `soarm.tasks.pick_place.objects.OBJECTS`.
    """
    x, y, z, _, _, bin_x, bin_y = np.asarray(objects, np.float64).tolist()
    cube = Box(x, y, CUBE_HALF_M * 2**0.5, CUBE_HALF_M + (z if z <= _LYING_M else CUBE_HALF_M))  # whatever its yaw
    return Box(bin_x, bin_y, BIN_HALF_M + BIN_WALL_M, BIN_WALL_HEIGHT_M), cube


# Balls as (middle in the frame of the body, radius) [m]; bodies are those of `kinematics.frames`, and the jaw in the hand's.
_FOREARM = (
    ((0.0, 0.0035, -0.01), 0.036),
    ((0.0, 0.0035, 0.03), 0.036),
    ((0.0, 0.0035, 0.07), 0.036),
    ((0.0, 0.0035, 0.11), 0.036),
)
_WRIST = (((-0.0035, -0.005, 0.0), 0.034), ((-0.0035, -0.045, 0.0), 0.034))
_HAND = (
    ((0.002, -0.012, 0.0), 0.034),
    ((0.002, -0.028, 0.0), 0.034),
    ((0.025, -0.048, 0.0), 0.018),
    ((0.025, -0.064, 0.0), 0.018),
    ((0.018, -0.078, 0.0), 0.011),
    ((0.018, -0.089, 0.0), 0.011),
    ((0.016, -0.098, 0.0), 0.011),
    (kinematics.TCP_IN_JAW_M, 0.009),
)
_JAW = (
    ((0.0, -0.027, 0.0), 0.012),
    ((0.0, -0.04, 0.0), 0.012),
    ((0.0, -0.055, 0.0), 0.012),
    ((-0.004, -0.066, 0.0), 0.01),
    ((-0.005, -0.075, 0.0), 0.01),
)
_JAW_ORIGIN_M = np.array([-0.0202, -0.0244, 0.0])
_BODY = np.array([2] * len(_FOREARM) + [3] * len(_WRIST) + [4] * (len(_HAND) + len(_JAW)))
RADIUS_M = np.array([radius for _, radius in (*_FOREARM, *_WRIST, *_HAND, *_JAW)])
_FIXED_M = np.array([middle for middle, _ in (*_FOREARM, *_WRIST, *_HAND)])
_IN_JAW_M = np.array([middle for middle, _ in _JAW])


def balls(q: ArrayLike) -> NDArray[np.float64]:
    """Return the middles of the balls around the arm, in the frame of the base.

    Args:
        q: Shape (..., 6) [deg x 5, percent].

    Returns:
        Shape (..., N, 3) [m]; their radii are `RADIUS_M`.
    """
    origins, rotations = kinematics.frames(q)
    angle = arm.to_radians(q)[..., arm.GRIPPER, None]
    x, y, z = _IN_JAW_M.T
    turned_x, turned_y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    jaw = _JAW_ORIGIN_M + np.stack([-turned_x, turned_y, np.broadcast_to(-z, turned_x.shape)], axis=-1)  # (..., J, 3)
    local = np.concatenate([np.broadcast_to(_FIXED_M, (*jaw.shape[:-2], *_FIXED_M.shape)), jaw], axis=-2)  # (..., N, 3)
    origin = np.stack([np.broadcast_to(one, origins[-1].shape) for one in origins], axis=-2)[..., _BODY, :]
    rotation = np.stack(rotations, axis=-3)[..., _BODY, :, :]
    return np.asarray(origin + np.einsum("...ij,...j->...i", rotation, local))


def clearance_m(q: ArrayLike, around: Sequence[Box]) -> NDArray[np.float64]:
    """Return how far the arm is at least from boxes, for q of shape (..., 6) [m]; negative inside one, infinite without any.

    Measured along x, y or z, whichever parts them most: a lower bound of the distance. A box counts as solid.
    """
    middles = balls(q)
    least = np.full(middles.shape[:-2], np.inf)
    for box in around:
        apart = np.abs(middles - (box.x, box.y, 0.0)) - (box.half_m, box.half_m, 0.0)
        apart[..., 2] = middles[..., 2] - box.height_m
        least = np.minimum(least, (apart.max(axis=-1) - RADIUS_M).min(axis=-1))
    return least
