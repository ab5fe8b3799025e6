"""Cameras that a session records, as a person names them: devices of OpenCV, files of pictures, or the simulator's."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from soarm.errors import TeleopError
from soarm.runtime import senses
from soarm.runtime.sensors import Sensor
from soarm.spec import IMAGES, Feature

USUAL_PX: Final = (640, 480)
"""Width and height where nobody says others."""
MOST_PX: Final = 4096
_CHOICE: Final = re.compile(r"(?P<name>[^=:./\s]+)(=(?P<device>.+?))?(:(?P<width>\d{1,5})x(?P<height>\d{1,5}))?")


class CameraChoice(NamedTuple):
    """A camera that is recorded.

    Attributes:
        name: It is recorded as `observation.images.<name>`.
        device: Where its pictures come from; None is the simulator's camera of that name.
        width_px: Of the pictures that are recorded; even.
        height_px: Of the same.
    """

    name: str
    device: str | None
    width_px: int
    height_px: int

    @property
    def key(self) -> str:
        """Its feature key."""
        return f"{IMAGES}.{self.name}"

    @property
    def feature(self) -> Feature:
        """Its pictures."""
        return Feature.image(self.height_px, self.width_px)


def choices(texts: Sequence[str], *, simulated: bool) -> list[CameraChoice]:
    """Return the cameras that are named on a command line.

    Args:
        texts: Each NAME=DEVICE or NAME=DEVICE:WxH; of the simulator NAME or NAME:WxH.
        simulated: Whether the simulator draws them.

    Raises:
        TeleopError: One cannot be read, has a device or none where it must not, or is named twice; lists every fault.
    """
    found: list[CameraChoice] = []
    faults = []
    how = "NAME:WxH, as in front:96x96" if simulated else "NAME=DEVICE:WxH, as in front=/dev/video0:640x480"
    for text in texts:
        match = _CHOICE.fullmatch(text)
        if match is None or (match["device"] is None) != simulated:
            faults.append(f"{text[:60]!r} is no camera; write {how}")
            continue
        one = CameraChoice(
            match["name"], match["device"], int(match["width"] or USUAL_PX[0]), int(match["height"] or USUAL_PX[1])
        )
        if one.name in [other.name for other in found]:
            faults.append(f"the camera {one.name} is named twice")
        elif not all(0 < side <= MOST_PX and side % 2 == 0 for side in one[2:]):
            faults.append(f"{text[:60]!r}: width and height must be even numbers up to {MOST_PX}")
        found.append(one)
    if faults:
        raise TeleopError("--camera: " + "; ".join(faults))
    return found


@contextlib.contextmanager
def opened(cameras: Sequence[CameraChoice]) -> Iterator[dict[str, Sensor]]:
    """Open devices and wait for a first picture of each; feature key -> sensor.

    Raises:
        ObservationError: One cannot be opened, or shows nothing.
    """
    with contextlib.ExitStack() as stack:
        yield {one.key: stack.enter_context(senses.open_one(one.name, one.device or "", one.feature)) for one in cameras}
