"""The value in a file that somebody keeps fresh, by replacing it whenever they see anew; it is as old as the file.

The file's stamp is of a clock that somebody may set. It is believed for the file that is found at first; from then on a value
gets older by the other clock, and a new one cannot have come before the last reading.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from soarm.errors import ObservationError
from soarm.runtime.sensors import Stamped


class KeptFile:
    """The latest value of a file, read only when the file has changed.

    Args:
        path: The file.
        parse: Returns the file's value; ObservationError where it holds none that can be believed.
        remedy: What such a file holds and who writes it, for messages.
        now: The clock [s].
        wall: The clock of the file's time stamp [s].
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[], NDArray[Any]],
        remedy: str,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._path, self._parse, self._remedy, self._now, self._wall = path, parse, remedy, now, wall
        self._file = (-1, -1)
        self._value: NDArray[Any] | None = None
        self._seen_s = self._read_s = -math.inf

    def read(self) -> Stamped:
        """Return the value and when it was written [s].

        Raises:
            ObservationError: The file cannot be read, or its value not be believed.
        """
        now_s = self._now()
        try:
            stat = self._path.stat()
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", error)
            raise ObservationError(f"{self._path} cannot be read ({why}). {self._remedy}") from None
        found = stat.st_mtime_ns, stat.st_ino
        if found != self._file or self._value is None:
            self._value = self._parse()
            self._file = found
            age_s = max(0.0, self._wall() - stat.st_mtime)
            self._seen_s = max(now_s - age_s, self._read_s)
        self._read_s = now_s
        return Stamped(self._seen_s, self._value)
