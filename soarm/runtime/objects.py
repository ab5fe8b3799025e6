"""Where the policy's view of cube and bin comes from: told once, read from a file that somebody keeps fresh, or called for.

The runtime detects nothing itself. On a table, a camera with markers, a tracker, or a person with a ruler writes a file; the
twin writes the same file. Its format is `{"objects": [x, y, z, cos 4 yaw, sin 4 yaw, bin x, bin y]}`, in the order of
`soarm.spec.OBJECTS_FEATURE`, metres in the frame of the arm's base.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import ObservationError
from soarm.spec import OBJECTS_FEATURE

Objects = NDArray[np.float32]
_N = OBJECTS_FEATURE.shape[0]


class Sight(NamedTuple):
    """What was seen: when [s], and the objects, shape (7,)."""

    t_s: float
    objects: Objects


class ObjectSource(Protocol):
    """Says where cube and bin are."""

    def read(self) -> Sight:
        """Return the latest sight of them; ObservationError where there is none."""


class FixedObjects:
    """Objects that lie where they were said to lie; a sight of them is always fresh.

    Args:
        objects: Shape (7,), as in the module.
        now: The clock [s].

    Raises:
        ObservationError: Not seven finite numbers.
    """

    def __init__(self, objects: ArrayLike, now: Callable[[], float] = time.monotonic) -> None:
        self._objects, self._now = require_objects(objects, "objects"), now

    def read(self) -> Sight:
        """See `ObjectSource`."""
        return Sight(self._now(), self._objects)


class CalledObjects:
    """Objects that a function returns, as the twin's `objects`."""

    def __init__(self, objects: Callable[[], ArrayLike], now: Callable[[], float] = time.monotonic) -> None:
        self._objects, self._now = objects, now

    def read(self) -> Sight:
        """See `ObjectSource`."""
        return Sight(self._now(), require_objects(self._objects(), "objects"))


class FileObjects:
    """Objects in a file that is replaced whenever they are seen anew; a sight is as old as the file.

    The file's stamp is of a clock that somebody may set. It is believed for the file that is found at first; from then on a
    sight gets older by the other clock, and a new one cannot have come before the last look.

    Args:
        path: The file.
        now: The clock [s].
        wall: The clock of the file's time stamp [s].
    """

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._path, self._now, self._wall = path, now, wall
        self._file, self._objects = (-1, -1), np.zeros(_N, np.float32)
        self._seen_s = self._looked_s = -math.inf

    def read(self) -> Sight:
        """See `ObjectSource`; reads the file only when it has changed."""
        now_s = self._now()
        try:
            stat = self._path.stat()
            found = stat.st_mtime_ns, stat.st_ino
            if found != self._file:
                self._objects = require_objects(json.loads(self._path.read_text(encoding="utf-8"))["objects"], str(self._path))
                self._file = found
                age_s = max(0.0, self._wall() - stat.st_mtime)
                self._seen_s = max(now_s - age_s, self._looked_s)
            self._looked_s = now_s
        except (OSError, ValueError, KeyError, TypeError) as error:
            if isinstance(error, ObservationError):
                raise
            raise ObservationError(
                f'{self._path} cannot be read ({error!r}); it holds {{"objects": [{_N} numbers]}}, and who writes it replaces '
                "it as a whole"
            ) from None
        return Sight(self._seen_s, self._objects)


def require_objects(objects: ArrayLike, name: str) -> Objects:
    """Return objects as an array of shape (7,).

    Raises:
        ObservationError: They are not seven finite numbers.
    """
    values = np.asarray(objects, np.float32)
    if values.shape != (_N,) or not np.isfinite(values).all():
        names = ", ".join(OBJECTS_FEATURE.names)
        raise ObservationError(f"{name} are {values.tolist()!s:.120}; they must be {_N} finite numbers: {names}")
    return values


def on_the_table(cube: tuple[float, float, float], bin_xy: tuple[float, float]) -> Objects:
    """Return the objects from what a person measures.

    Args:
        cube: x, y of its middle [m], and its yaw [deg].
        bin_xy: Middle of the bin [m].
    """
    yaw = 4 * math.radians(cube[2])
    return np.array([cube[0], cube[1], 0.0125, math.cos(yaw), math.sin(yaw), *bin_xy], np.float32)
