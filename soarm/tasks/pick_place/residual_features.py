"""The terms of the residual observation that only pick and place has: cube and bin as the arm has to reach for them."""

from __future__ import annotations

import numpy as np

from soarm.policy import Array
from soarm.tasks.residual_observation import Context, Term

FINE_M = 0.02
"""First scale of the vectors to cube and bin: somewhat less than the cube's 25 mm [m]."""
COARSE_M = 0.1
"""Second scale of the same vectors: the way down from the approach [m]."""


def _cube_offset(at: Context) -> Array:
    return at.objects[:, 0:3] - at.tcp


def _bin_offset(at: Context) -> Array:
    return at.objects[:, 5:7] - at.objects[:, 0:2]


def _cube_in_plane(at: Context) -> Array:
    offset = _cube_offset(at)
    return np.concatenate([at.turned(offset[:, :2]), offset[:, 2:]], axis=1)


def _cube_in_jaw(at: Context) -> Array:
    in_jaw: Array = np.einsum("bij,bi->bj", at.jaw, _cube_offset(at))
    return in_jaw


def _bin_in_plane(at: Context) -> Array:
    return at.turned(at.objects[:, 5:7] - at.tcp[:, :2])


def _cube_turn(at: Context) -> Array:
    turn = (at.objects[:, 3] + 1j * at.objects[:, 4]) * np.conj((at.jaw[:, 0, 0] + 1j * at.jaw[:, 1, 0]) ** 4)
    return np.stack([turn.real, turn.imag], axis=1)


TERMS = (
    Term("cube_offset", 3, _cube_offset),  # gripper point to cube [m]
    Term("bin_offset", 2, _bin_offset),  # cube to bin, seen from above [m]
    Term("cube_in_plane", 3, _cube_in_plane, (FINE_M, COARSE_M)),  # gripper point to cube: outwards, to the side, up [m]
    Term("cube_in_jaw", 3, _cube_in_jaw, (FINE_M, COARSE_M)),  # the same in the fixed jaw's frame [m]
    Term("bin_in_plane", 2, _bin_in_plane, (FINE_M, COARSE_M)),  # gripper point to bin: outwards, to the side [m]
    Term("cube_turn", 2, _cube_turn),  # cos, sin of four times the angle from jaw to cube; smaller when the jaw is tilted
)
