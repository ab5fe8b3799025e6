"""Sensors of the objects of a task: read from a file that somebody keeps fresh, or called for.

The runtime detects nothing itself. On a table, a camera with markers, a tracker, or a person with a ruler says where things
are; the twin writes the same file. Its format is `{"objects": [...]}`, in the order of `soarm.tasks.task.Task.objects`, metres
in the frame of the arm's base; a `"task"` beside them is compared with the policy's. Who does not see every thing at all times
says so (`"hidden"`). docs/objects.md has a picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import ObservationError
from soarm.runtime.kept_file import KeptFile
from soarm.runtime.plausible import Objects, require_numbers, require_plausible
from soarm.runtime.sensors import Stamped
from soarm.smallfile import read_json, shown
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

_MOST_BYTES = 1 << 16


class CalledObjects:
    """Objects that a function returns, as the twin's `objects`; where they are is believed, as a simulator's."""

    def __init__(self, task: Task, objects: Callable[[], ArrayLike], now: Callable[[], float] = time.monotonic) -> None:
        self.subject = task.subject
        self._task, self._objects, self._now = task, objects, now

    def read(self) -> Stamped:
        """See `Sensor`."""
        return Stamped(self._now(), require_numbers(self._task, self._objects(), "objects"))


class FileObjects:
    """Objects in a file that is replaced whenever they are seen anew; see `KeptFile`.

    Args:
        task: Whose objects they are.
        path: The file.
        now: The clock [s].
        wall: The clock of the file's time stamp [s].

    Attributes:
        hidden: Things that were not seen when the file was written, and for how long they have not been [s]; None where the
            file does not say so, since who writes it follows every thing at all times.
        camera_m: Where they are seen from, shape (3,) [m]; None where the file does not say so.
    """

    def __init__(
        self, task: Task, path: Path, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self.subject = task.subject
        self.hidden: Mapping[str, float] | None = None
        self.camera_m: NDArray[np.float64] | None = None
        self._task, self._path = task, path
        self._remedy = (
            f'It holds {{"objects": [{len(task.objects.names)} numbers]}}, and who writes it replaces it as a whole '
            "(docs/objects.md)"
        )
        self._file = KeptFile(path, self._content, self._remedy, now, wall)

    def read(self) -> Stamped:
        """See `Sensor`."""
        return self._file.read()

    def _content(self) -> Objects:
        content = read_json(self._path, ObservationError, self._remedy, most_bytes=_MOST_BYTES)
        if (told := content.get("task", self._task.name)) != self._task.name:
            raise ObservationError(f"{self._path} is of the task {told!r}; here it is {self._task.name}. {self._remedy}")
        if "objects" not in content:
            raise ObservationError(f'{self._path} has no "objects". {self._remedy}')
        objects = require_plausible(self._task, content["objects"], str(self._path))
        self.hidden, self.camera_m = self._hidden(content.get("hidden")), self._camera(content.get("camera"))
        return objects

    def _hidden(self, told: Any) -> dict[str, float] | None:
        if told is None:
            return None
        names = [thing.name for thing in self._task.things]
        if isinstance(told, dict) and all(name in names and _is_number(age_s) and age_s >= 0 for name, age_s in told.items()):
            return {name: float(age_s) for name, age_s in told.items()}
        raise ObservationError(
            f'{self._path}: "hidden" is {shown(told)}; it names things of {", ".join(names)} and for how many seconds each '
            'has not been seen, as in {"cube": 0.5}'
        )

    def _camera(self, told: Any) -> NDArray[np.float64] | None:
        if told is None:
            return None
        if isinstance(told, list) and len(told) == 3 and all(map(_is_number, told)):
            return np.array(told, np.float64)
        raise ObservationError(f'{self._path}: "camera" is {shown(told)}; it must be x, y and z of the camera [m]')


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def measured(task: Task, thing: Thing) -> tuple[str, ...]:
    """Return what a person measures of a thing: x and y of its middle [m] and, where the task tells it, the yaw [deg]."""
    return ("X", "Y", "YAW") if "yaw4_cos" in task.elements[thing.name] else ("X", "Y")


def on_the_table(task: Task, places: Mapping[str, Sequence[float]]) -> NDArray[np.float64]:
    """Return the objects from what a person measures; whether they can be there is looked at elsewhere.

    Args:
        task: Whose objects they are.
        places: Name of every thing -> the numbers that `measured` names; each lies on the table.

    Raises:
        ObservationError: The task tells more of its objects than can be measured so.
    """
    told: dict[str, float] = {}
    for thing in task.things:
        x, y, *turned = places[thing.name]
        yaw4 = 4 * math.radians(turned[0]) if turned and math.isfinite(turned[0]) else math.nan
        pose = {"x": x, "y": y, "z": thing.height_m / 2, "yaw4_cos": math.cos(yaw4), "yaw4_sin": math.sin(yaw4)}
        told |= {f"{thing.name}.{element}": value for element, value in pose.items()}
    unknown = [name for name in task.objects.names if name not in told]
    if unknown:
        raise ObservationError(f"no ruler measures {', '.join(unknown)} of the task {task.name}; give --objects FILE")
    return np.array([told[name] for name in task.objects.names])
