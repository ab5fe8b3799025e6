"""Pictures in a file that somebody keeps fresh: the twin's rendered cameras, or any program that shows what a camera sees.

The file is a binary PPM, which every viewer of pictures opens: `P6`, width, height, `255`, then red, green, blue of each pixel
row by row. Who writes it replaces it as a whole. A picture is as old as its file, even where it is the one before to the byte:
what is rendered of a scene at rest is always the same.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from soarm.errors import ObservationError, SmallFileError
from soarm.runtime.fitting import Fitting, Picture
from soarm.runtime.kept_file import KeptFile
from soarm.runtime.sensors import Stamped
from soarm.smallfile import read_bytes

ENDING = ".ppm"
_MOST_BYTES = 64 << 20
_HEADER = re.compile(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s")
_REMEDY = "It holds a picture as binary PPM (P6), and who writes it replaces it as a whole (`soarm twin --pictures FOLDER`)"


class PictureFile:
    """The newest picture of a file; a sensor.

    Args:
        path: The file.
        name: Of the camera, for messages.
        fit: Makes a picture what the policy wants.
        now: The clock [s].
        wall: The clock of the file's time stamp [s].
    """

    def __init__(
        self,
        path: Path,
        name: str,
        fit: Fitting,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.subject = f"pictures of the camera {name}"
        self._path, self._fit = path, fit
        self._file = KeptFile(path, self._content, _REMEDY, now, wall)

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        return self._file.read()

    def _content(self) -> Picture:
        try:
            return self._fit(decode(read_bytes(self._path, _MOST_BYTES)))
        except SmallFileError as error:
            raise ObservationError(f"{self._path} {error}. {_REMEDY}") from None


def encode(picture: Picture) -> bytes:
    """Return a picture, uint8 (H, W, 3), as binary PPM."""
    height_px, width_px, _ = picture.shape
    return b"P6\n%d %d\n255\n" % (width_px, height_px) + picture.tobytes()


def decode(content: bytes) -> Picture:
    """Return the picture in a binary PPM, uint8 (H, W, 3).

    Raises:
        SmallFileError: It is none, or truncated.
    """
    header = _HEADER.match(content)
    if header is None:
        raise SmallFileError(f"is no binary PPM: it begins with {content[:16]!r}")
    width_px, height_px = int(header[1]), int(header[2])
    expected, found = height_px * width_px * 3, len(content) - header.end()
    if found != expected or not expected:
        raise SmallFileError(f"has {found} bytes of pixels; {width_px} x {height_px} px have {expected}")
    return np.frombuffer(content, np.uint8, offset=header.end()).reshape(height_px, width_px, 3)
