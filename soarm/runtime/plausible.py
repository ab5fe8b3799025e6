"""Can cube and bin be where somebody says? What cannot be is named, all of it at once, with the unit that it looks like.

Knows how far the arm reaches. A policy saw its objects in a smaller part of that (`sim.task` in params.yaml).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import kinematics
from soarm.errors import ObservationError
from soarm.tasks.pick_place.objects import OBJECTS

Objects = NDArray[np.float32]
"""Cube and bin, shape (7,), in the order of `OBJECTS`."""
REACH_M = 0.43
"""How far from the shoulder's axis the gripper point can be at the height of the table [m]."""
NEAREST_M = {"cube": 0.05, "bin": 0.08}
"""Nearer to it stands the arm's own base [m]."""
SIDEWAYS_DEG = 110.0
"""How far the shoulder turns to either side, and a little more [deg]."""
HEIGHT_M = (0.0, 0.45)
"""Heights the middle of the cube can have, 0.0125 on the table [m]."""
LONGEST_PAIR = 1.02
"""The yaw's pair has length 1 on a cube that lies flat, and is shorter on a tilted one; a little more is rounding."""
_LENGTHS = [i for i, unit in enumerate(OBJECTS.units) if unit == "m"]
_UNITS = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254}
_SHOULDER_M = kinematics.CHAIN[0][0]


def require_plausible(objects: ArrayLike, name: str) -> Objects:
    """Return objects as an array of shape (7,).

    Args:
        objects: Anything.
        name: What to call them in the message.

    Raises:
        ObservationError: They are not seven finite numbers, or cube or bin cannot be there; lists every fault.
    """
    values = require_numbers(objects, name).astype(np.float64)
    found = _faults(values)
    if found:
        hint = _hint(values)
        raise ObservationError("\n  ".join([f"{name}: cube or bin cannot be there:", *found, *([hint] if hint else [])]))
    return values.astype(np.float32)


def require_numbers(objects: ArrayLike, name: str) -> Objects:
    """Return objects as an array of shape (7,), wherever they are.

    Raises:
        ObservationError: They are not seven finite numbers.
    """
    try:
        values = np.asarray(objects, np.float64)
        good = values.shape == OBJECTS.shape and bool((np.abs(values) <= np.finfo(np.float32).max).all())
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        raise ObservationError(
            f"{name} are {objects!s:.120}; they must be {len(OBJECTS.names)} finite numbers: {', '.join(OBJECTS.names)}"
        )
    return values.astype(np.float32)


def _faults(values: NDArray[np.float64]) -> list[str]:
    x, y, z, cos4, sin4, bin_x, bin_y = values.tolist()
    found = [*_place_faults("cube", x, y), *_place_faults("bin", bin_x, bin_y)]
    low, high = HEIGHT_M
    if not low <= z <= high:
        where = "under the table" if z < low else "higher than the arm reaches"
        found.append(f"the cube's middle is {where}: z is {z:g} m; allowed are {low:g} to {high:g}, on the table it is 0.0125")
    length = math.hypot(cos4, sin4)
    if length > LONGEST_PAIR:
        found.append(
            f"cube.yaw4_cos and cube.yaw4_sin, ({cos4:g}, {sin4:g}), have length {length:g}; no cube has more than 1. They "
            "are the cosine and the sine of four times the yaw"
        )
    return found


def _place_faults(what: str, x: float, y: float) -> list[str]:
    ahead, across = _SHOULDER_M[1] - y, x - _SHOULDER_M[0]
    radius, angle_deg = math.hypot(ahead, across), math.degrees(math.atan2(abs(across), ahead))
    at = f"x {x:g} m, y {y:g} m"
    if radius > REACH_M:
        return [f"the {what} is out of reach: {at} is {radius:.3g} m from the shoulder's axis, the arm reaches {REACH_M:g}"]
    if angle_deg > SIDEWAYS_DEG:
        return [f"the {what} is behind the arm: {at}; the arm reaches towards -y, {SIDEWAYS_DEG:g} degrees to either side"]
    if radius < NEAREST_M[what]:
        return [f"the {what} is in the arm's base: {at} is {radius:.3g} m from its axis, at least {NEAREST_M[what]:g} is free"]
    return []


def _hint(values: NDArray[np.float64]) -> str | None:
    """Return what would make them plausible; None where nothing that is usual does."""
    for unit, metres in _UNITS.items():
        scaled = values.copy()
        scaled[_LENGTHS] *= metres
        if not _faults(scaled):
            return f"These look like {unit}; metres are wanted, in the frame of the arm's base"
    turned = values.copy()
    turned[[1, 6]] *= -1
    if not _faults(turned):
        return "With the sign of y turned they could be: x is to the arm's right, y backwards, and the arm reaches towards -y"
    return None
