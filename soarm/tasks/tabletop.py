"""What tasks on a table are put together from: a cube, objects features, terms of the residual observation, columns."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from soarm.policy import Array
from soarm.spec import Feature
from soarm.tasks.residual_observation import Context
from soarm.tasks.task import Column
from soarm.tasks.thing import Grip, Thing

CUBE_HALF_M = 0.0125
"""Half the edge of a cube: 25 mm [m]."""
CUBE = Thing(
    "cube", CUBE_HALF_M, 2 * CUBE_HALF_M, nearest_m=0.05, grip=Grip((0.02, 0.02, 0.015), (8.0, 28.0), 30.0, 0.025, 15.9)
)
"""A cube that the gripper carries; its fingers are further open across its corners than around its sides."""
FINE_M = 0.02
"""First scale of vectors to what is to be met: somewhat less than the cube's 25 mm [m]."""
COARSE_M = 0.1
"""Second scale of the same vectors: the way down from the approach [m]."""
Vector = Callable[[Context], Array]
"""Context -> an array of a row's vectors, shape (B, n)."""


def cube(name: str) -> Feature:
    """Return the five elements of a cube: its centre in the arm's base frame (x right, y backwards, z up), and its yaw.

    A plain cube looks the same after a quarter turn, so its yaw is given as the cosine and sine of four times the angle:
    smooth, equal for the 24 orientations that look equal, and shorter than 1 where the cube is tilted.
    """
    names = ("x", "y", "z", "yaw4_cos", "yaw4_sin")
    return Feature((5,), tuple(f"{name}.{element}" for element in names), ("m", "m", "m", "1", "1"))


def spot(name: str) -> Feature:
    """Return the two elements of a place on the table, in the arm's base frame."""
    return Feature((2,), (f"{name}.x", f"{name}.y"), ("m", "m"))


def joined(*parts: Feature) -> Feature:
    """Return the feature of all elements, in order."""
    names = tuple(name for part in parts for name in part.names)
    return Feature((len(names),), names, tuple(unit for part in parts for unit in part.units))


def elements(objects: Feature, first: str, n: int) -> slice:
    """Return where `n` elements of an objects feature lie, from the one of that name on."""
    at = objects.names.index(first)
    return slice(at, at + n)


def from_gripper(where: slice) -> Vector:
    """Return the vector from the gripper point to a position of two or three elements [m]."""
    return lambda at: at.objects[:, where] - at.tcp[:, : where.stop - where.start]


def between(one: slice, other: slice) -> Vector:
    """Return the vector from one position to another of as many elements [m]."""
    return lambda at: at.objects[:, other] - at.objects[:, one]


def in_plane(vector: Vector) -> Vector:
    """Return a vector in the plane of the arm: outwards, to the side, and up where it has a third element [m]."""

    def compute(at: Context) -> Array:
        offset = vector(at)
        return np.concatenate([at.turned(offset[:, :2]), offset[:, 2:]], axis=1)

    return compute


def in_jaw(vector: Vector) -> Vector:
    """Return a vector of three elements in the fixed jaw's frame [m]."""

    def compute(at: Context) -> Array:
        turned: Array = np.einsum("bij,bi->bj", at.jaw, vector(at))
        return turned

    return compute


def turn_from_jaw(yaw4: slice) -> Vector:
    """Return cosine and sine of four times the angle from the jaw to a cube; smaller when the jaw is tilted."""
    return lambda at: _turn(_complex(at, yaw4), (at.jaw[:, 0, 0] + 1j * at.jaw[:, 1, 0]) ** 4)


def turn_between(one: slice, other: slice) -> Vector:
    """Return cosine and sine of four times the angle from one cube to another."""
    return lambda at: _turn(_complex(at, other), _complex(at, one))


def _complex(at: Context, yaw4: slice) -> Array:
    number: Array = at.objects[:, yaw4.start] + 1j * at.objects[:, yaw4.start + 1]
    return number


def _turn(there: Array, here: Array) -> Array:
    turn = there * np.conj(here)
    return np.stack([turn.real, turn.imag], axis=1)


def xy_columns(name: str) -> tuple[Column, Column]:
    """Return the columns of where a thing lay at the start, `<name>_x_m` and `<name>_y_m`."""
    return (
        Column(f"{name}_x_m", float, lambda objects: objects[f"{name}.x"]),
        Column(f"{name}_y_m", float, lambda objects: objects[f"{name}.y"]),
    )


def yaw_column(name: str) -> Column:
    """Return the column of a cube's yaw at the start, in -45..45 [deg]."""
    cosine, sine = f"{name}.yaw4_cos", f"{name}.yaw4_sin"
    return Column(f"{name}_yaw_deg", float, lambda objects: math.degrees(math.atan2(objects[sine], objects[cosine])) / 4.0)


HOLDING_AT_END = Column("holding_at_end", bool, lambda info: bool(info["holding"]))
"""Whether the gripper held the cube at the end."""
CUBE_MOVED = Column("cube_moved_m", float, lambda info: float(info["moved_m"]))
"""How far the cube is at the end from where it lay, seen from above [m]."""
