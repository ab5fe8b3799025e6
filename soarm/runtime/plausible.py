"""Can things be where somebody says they are? What cannot be is named, all of it at once, with the unit that it looks like.

Knows how far the arm reaches. A policy saw its objects in a smaller part of that (`sim.task` in params.yaml).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import kinematics
from soarm.errors import ObservationError
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

Objects = NDArray[np.float32]
"""The environment state, in the order of `Task.objects`."""
REACH_M = 0.43
"""How far from the shoulder's axis the gripper point can be at the height of the table [m]."""
SIDEWAYS_DEG = 110.0
"""How far the shoulder turns to either side, and a little more [deg]."""
HEIGHT_M = (0.0, 0.45)
"""Heights the middle of a thing can have [m]."""
LONGEST_PAIR = 1.02
"""The yaw's pair has length 1 on a thing that lies flat, and is shorter on a tilted one; a little more is rounding."""
_UNITS = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254}


def require_plausible(task: Task, objects: ArrayLike, name: str) -> Objects:
    """Return objects as an array in the shape of the task's.

    Args:
        task: Whose objects they are.
        objects: Anything.
        name: What to call them in the message.

    Raises:
        ObservationError: They are not so many finite numbers, or a thing cannot be there; lists every fault.
    """
    values = require_numbers(task, objects, name).astype(np.float64)
    found = _faults(task, values)
    if found:
        first, hint = f"{name}: {task.named('or')} cannot be there:", _hint(task, values)
        raise ObservationError("\n  ".join([first, *found, *([hint] if hint else [])]))
    return values.astype(np.float32)


def require_numbers(task: Task, objects: ArrayLike, name: str) -> Objects:
    """Return objects as an array in the shape of the task's, wherever they are.

    Raises:
        ObservationError: They are not so many finite numbers.
    """
    try:
        values = np.asarray(objects, np.float64)
        good = values.shape == task.objects.shape and bool((np.abs(values) <= np.finfo(np.float32).max).all())
    except (TypeError, ValueError, OverflowError):
        good = False
    if not good:
        names = task.objects.names
        raise ObservationError(f"{name} are {objects!s:.120}; they must be {len(names)} finite numbers: {', '.join(names)}")
    return values.astype(np.float32)


def _faults(task: Task, values: NDArray[np.float64]) -> list[str]:
    told = [(thing, {name: float(values[i]) for name, i in task.elements[thing.name].items()}) for thing in task.things]
    return [fault for find in (_place_faults, _pose_faults) for thing, at in told for fault in find(thing, at)]


def _pose_faults(thing: Thing, at: dict[str, float]) -> list[str]:
    """Return what is wrong with the height and the yaw of a thing, where they are told."""
    name, found = thing.name, []
    low, high = HEIGHT_M
    z, cos4, sin4 = at.get("z", low), at.get("yaw4_cos", 0.0), at.get("yaw4_sin", 0.0)
    if not low <= z <= high:
        where = "under the table" if z < low else "higher than the arm reaches"
        found.append(
            f"the {name}'s middle is {where}: z is {z:g} m; allowed are {low:g} to {high:g}, on the table it is "
            f"{thing.height_m / 2:g}"
        )
    length = math.hypot(cos4, sin4)
    if length > LONGEST_PAIR:
        found.append(
            f"{name}.yaw4_cos and {name}.yaw4_sin, ({cos4:g}, {sin4:g}), have length {length:g}; no {name} has more than 1. "
            "They are the cosine and the sine of four times the yaw"
        )
    return found


def _place_faults(thing: Thing, at: dict[str, float]) -> list[str]:
    x, y, what = at["x"], at["y"], thing.name
    shoulder_x, shoulder_y = kinematics.SHOULDER_XY_M.tolist()
    ahead, across = shoulder_y - y, x - shoulder_x
    radius, angle_deg = math.hypot(ahead, across), math.degrees(math.atan2(abs(across), ahead))
    place = f"x {x:g} m, y {y:g} m"
    if radius > REACH_M:
        return [f"the {what} is out of reach: {place} is {radius:.3g} m from the shoulder's axis, the arm reaches {REACH_M:g}"]
    if angle_deg > SIDEWAYS_DEG:
        return [f"the {what} is behind the arm: {place}; the arm reaches towards -y, {SIDEWAYS_DEG:g} degrees to either side"]
    if radius < thing.nearest_m:
        return [
            f"the {what} is in the arm's base: {place} is {radius:.3g} m from its axis, at least {thing.nearest_m:g} is free"
        ]
    return []


def _hint(task: Task, values: NDArray[np.float64]) -> str | None:
    """Return what would make them plausible; None where nothing that is usual does."""
    lengths = np.array(task.objects.units) == "m"
    for unit, metres in _UNITS.items():
        if not _faults(task, np.where(lengths, values * metres, values)):
            return f"These look like {unit}; metres are wanted, in the frame of the arm's base"
    turned = values.copy()
    turned[[elements["y"] for elements in task.elements.values()]] *= -1
    if not _faults(task, turned):
        return "With the sign of y turned they could be: y is backwards, so the arm reaches towards -y; x is to its left"
    return None
