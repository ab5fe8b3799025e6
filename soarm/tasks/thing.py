"""The things of a task, and its goal, as small values: what the robot's side needs to know of a table it never sees.

Knows no parts of any one task. What things lie where is told by the task's objects feature: the elements of the thing `cube`
are `cube.x`, `cube.y` and, where the task tells them, `cube.z`, `cube.yaw4_cos` and `cube.yaw4_sin`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Grip(NamedTuple):
    """How the gripper holds a thing between its fingers.

    Attributes:
        near_m: How far from the gripper point, in the hand's frame, the middle of what the fingers close on may be [m].
        around_percent: How open fingers are that hold it, least and most [percent].
        released_percent: Fingers that are further open hold nothing of its size [percent].
        released_m: And a thing that is farther from the gripper point is not in the hand [m].
        sides_percent: How open they are around its sides, held by a closing gripper [percent].
    """

    near_m: tuple[float, float, float]
    around_percent: tuple[float, float]
    released_percent: float
    released_m: float
    sides_percent: float


class Surface(NamedTuple):
    """Where another thing may come to rest on, or in, a thing.

    Attributes:
        half_m: Half its width: the middle of what rests there is no farther off in x and in y [m].
        height_m: Above the foot of the thing [m].
        walled: Whether walls keep what rests there inside.
    """

    half_m: float
    height_m: float
    walled: bool


class Thing(NamedTuple):
    """A thing on the table; upright, and square from above.

    Attributes:
        name: Prefix of its elements in the objects feature.
        half_m: Half its width [m].
        height_m: How high it is; 0 for a mark on the table, which is in nobody's way [m].
        nearest_m: How near to the shoulder's axis its middle can be: nearer stands the arm itself [m].
        grip: How the gripper holds it; None for what it never holds.
        surface: Where another thing may come to rest; None for nowhere.
    """

    name: str
    half_m: float
    height_m: float
    nearest_m: float
    grip: Grip | None = None
    surface: Surface | None = None


class Goal(NamedTuple):
    """When a task is done, as far as sensors of a robot can tell. It counts once it has held for a while, at rest.

    Attributes:
        words: What is then the case ("the cube lies in the bin").
        thing: Name of the thing that has to be at rest and, if the gripper can hold it, let go; None for the gripper itself.
        reached: Whether all is where it has to be: (elements of the objects feature by name, gripper point (3,) [m]) -> bool.
    """

    words: str
    thing: str | None
    reached: Callable[[Mapping[str, float], NDArray[np.float64]], bool]
