"""The terms of the residual observation that only the push has: cube, square and the point behind the cube."""

from __future__ import annotations

import numpy as np

from soarm.policy import Array
from soarm.tasks.push.objects import OBJECTS
from soarm.tasks.residual_observation import Context, Term
from soarm.tasks.tabletop import COARSE_M, FINE_M, between, elements, from_gripper, in_jaw, in_plane, turn_from_jaw

BEHIND_M = 0.0205
"""From the cube's middle to that of the fingers when they touch it from behind [m]."""
_SLOWLY_M = 0.005
"""From here to the square the direction to it gets shorter than 1, so that it does not jump where the cube arrives [m]."""
_TO_CUBE = from_gripper(elements(OBJECTS, "cube.x", 3))
_TO_SQUARE = between(elements(OBJECTS, "cube.x", 2), elements(OBJECTS, "square.x", 2))


def _direction(at: Context) -> Array:
    """Return the level direction from cube to square, shape (B, 3)."""
    way = _TO_SQUARE(at)
    length = np.maximum(np.linalg.norm(way, axis=1, keepdims=True), np.float32(_SLOWLY_M))
    return np.concatenate([way / length, np.zeros_like(length)], axis=1)


def _to_push_point(at: Context) -> Array:
    """Return the vector from the gripper point to the point behind the cube, shape (B, 3) [m]."""
    return _TO_CUBE(at) - np.float32(BEHIND_M) * _direction(at)


TERMS = (
    Term("cube_in_plane", 3, in_plane(_TO_CUBE), (FINE_M, COARSE_M)),  # gripper point to cube: outwards, to the side, up [m]
    Term("cube_in_jaw", 3, in_jaw(_TO_CUBE), (FINE_M, COARSE_M)),  # the same in the fixed jaw's frame [m]
    Term("push_point_in_plane", 3, in_plane(_to_push_point), (FINE_M, COARSE_M)),  # gripper point to the point behind [m]
    Term("push_point_in_jaw", 3, in_jaw(_to_push_point), (FINE_M, COARSE_M)),  # the same in the fixed jaw's frame [m]
    Term("square_in_plane", 2, in_plane(_TO_SQUARE), (FINE_M, COARSE_M)),  # cube to square: outwards, to the side [m]
    Term("direction_in_jaw", 3, in_jaw(_direction)),  # from cube to square in the fixed jaw's frame
    Term("cube_turn", 2, turn_from_jaw(elements(OBJECTS, "cube.yaw4_cos", 2))),  # of four times the angle from jaw to cube
)
