"""Where the policy's view of cube and bin comes from: told once, read from a file that somebody keeps fresh, or called for.

The runtime detects nothing itself. On a table, a camera with markers, a tracker, or a person with a ruler says where they are;
the twin writes the same file. Its format is `{"objects": [x, y, z, cos 4 yaw, sin 4 yaw, bin x, bin y]}`, in the order of
`soarm.tasks.pick_place.objects.OBJECTS`, metres in the frame of the arm's base. docs/objects.md has a picture.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import ObservationError
from soarm.runtime.plausible import Objects, require_numbers, require_plausible
from soarm.runtime.standing import CUBE_HALF_M
from soarm.smallfile import read_json
from soarm.tasks.pick_place.objects import OBJECTS

_N = OBJECTS.shape[0]
_MOST_BYTES = 1 << 16


class Sight(NamedTuple):
    """What was seen: when [s], and the objects, shape (7,)."""

    t_s: float
    objects: Objects


class ObjectSource(Protocol):
    """Says where cube and bin are."""

    def read(self) -> Sight:
        """Return the latest sight of them; ObservationError where there is none that can be believed."""


@runtime_checkable
class Feeling(Protocol):
    """A source that follows the cube in the hand by what the arm says of itself."""

    def feel(self, q: ArrayLike, told: ArrayLike) -> None:
        """Take in where the joints are and where they were sent last, (6,) each; once per control step, before `read`."""


def first_sight(source: ObjectSource, oldest_s: float, now: Callable[[], float] = time.monotonic) -> Sight:
    """Return the sight with which a run may begin.

    Args:
        source: Where it comes from.
        oldest_s: How old it may be [s].
        now: The clock of the source [s].

    Raises:
        ObservationError: There is none that can be believed, or it is too old.
    """
    sight = source.read()
    age_s = now() - sight.t_s
    if age_s > oldest_s:
        raise ObservationError(
            f"cube and bin were last seen {age_s:.1f} s ago, and {oldest_s:g} s are allowed; start what writes the file of "
            "objects, and let it run"
        )
    return sight


class FixedObjects:
    """Objects that lie where they were said to lie; a sight of them is always fresh.

    Args:
        objects: Shape (7,), as in the module.
        now: The clock [s].

    Raises:
        ObservationError: Not seven finite numbers, or cube or bin cannot be there.
    """

    def __init__(self, objects: ArrayLike, now: Callable[[], float] = time.monotonic) -> None:
        self._objects, self._now = require_plausible(objects, "objects"), now

    def read(self) -> Sight:
        """See `ObjectSource`."""
        return Sight(self._now(), self._objects)


class NoObjects:
    """Objects of which nobody says where they are: zeros, for driving by hand without a recording.

    Args:
        now: The clock [s].
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now

    def read(self) -> Sight:
        """See `ObjectSource`."""
        return Sight(self._now(), np.zeros(_N, np.float32))


class CalledObjects:
    """Objects that a function returns, as the twin's `objects`; where they are is believed, as a simulator's."""

    def __init__(self, objects: Callable[[], ArrayLike], now: Callable[[], float] = time.monotonic) -> None:
        self._objects, self._now = objects, now

    def read(self) -> Sight:
        """See `ObjectSource`."""
        return Sight(self._now(), require_numbers(self._objects(), "objects"))


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
        except (OSError, ValueError) as error:
            raise ObservationError(f"{self._path} cannot be read ({getattr(error, 'strerror', error)}). {_REMEDY}") from None
        found = stat.st_mtime_ns, stat.st_ino
        if found != self._file:
            self._objects = self._content()
            self._file = found
            age_s = max(0.0, self._wall() - stat.st_mtime)
            self._seen_s = max(now_s - age_s, self._looked_s)
        self._looked_s = now_s
        return Sight(self._seen_s, self._objects)

    def _content(self) -> Objects:
        content = read_json(self._path, ObservationError, _REMEDY, most_bytes=_MOST_BYTES)
        if "objects" not in content:
            raise ObservationError(f'{self._path} has no "objects". {_REMEDY}')
        return require_plausible(content["objects"], str(self._path))


_REMEDY = f'It holds {{"objects": [{_N} numbers]}}, and who writes it replaces it as a whole (docs/objects.md)'


def on_the_table(cube: tuple[float, float, float], bin_xy: tuple[float, float]) -> NDArray[np.float64]:
    """Return the objects from what a person measures, shape (7,); whether they can be there is looked at elsewhere.

    Args:
        cube: x, y of its middle [m], and its yaw [deg].
        bin_xy: Middle of the bin [m].
    """
    yaw = 4 * math.radians(cube[2]) if math.isfinite(cube[2]) else math.nan
    return np.array([cube[0], cube[1], CUBE_HALF_M, math.cos(yaw), math.sin(yaw), *bin_xy])
