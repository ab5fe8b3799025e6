"""A camera in a thread of its own: the newest frame, how old it is, and whether it is the same one over and over.

Drivers that hang often go on delivering the last picture (lerobot issues 1083, 1179, 1675; an arm ran on a still image in
grabette pull request 89). Two pictures of a real scene are never the same to the byte, so a picture counts as new only if it
differs from the one before, and its age is what the watchdogs see.
"""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol

import numpy as np

from soarm.errors import ObservationError
from soarm.runtime.sensors import Stamped

logger = logging.getLogger(__name__)
_FIRST_S = 5.0
_AGAIN_S = 0.01
"""After a picture that did not come: a device that fails at once must not take a whole core [s]."""
_END_S = 2.0
"""For the device to end what it waits for [s]."""


class Grabber(Protocol):
    """What of `cv2.VideoCapture` is needed."""

    def read(self) -> tuple[bool, Any]:
        """Wait for the next picture; False where none came."""

    def release(self) -> None:
        """Close the device."""


class Camera:
    """The newest picture of a device; a context manager.

    Args:
        grabber: The device; see `open_camera`.
        name: What to call it in messages.
        now: The clock [s].

    Attributes:
        repeated: Pictures that were the one before.
        missed: Times none came.
    """

    def __init__(self, grabber: Grabber, name: str, now: Callable[[], float] = time.monotonic) -> None:
        self._grabber, self.name, self._now = grabber, name, now
        self._changed = threading.Condition()
        self._newest: Stamped | None = None
        self._ended = threading.Event()
        self.repeated = self.missed = 0
        self._thread = threading.Thread(target=self._grab, name=f"soarm-camera-{name}", daemon=True)
        self._thread.start()

    def latest(self, patience_s: float = _FIRST_S) -> Stamped:
        """Return the newest picture that differed from the one before, uint8 (H, W, 3).

        Args:
            patience_s: How long to wait for the very first one [s].

        Raises:
            ObservationError: None has come.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None, patience_s)
            if self._newest is None:
                raise ObservationError(
                    f"the camera {self.name} has shown nothing for {patience_s:g} s; is another program using it?"
                )
            return self._newest

    @property
    def subject(self) -> str:
        """See `soarm.runtime.sensors.Sensor`."""
        return f"pictures of the camera {self.name}"

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        return self.latest(0.0)

    def close(self) -> None:
        """End the thread and close the device, unless it hangs; a second time does nothing."""
        if self._ended.is_set():
            return
        self._ended.set()
        self._thread.join(_END_S)
        if self._thread.is_alive():  # to take a device from under its own call crashes some drivers
            logger.warning("the camera %s does not answer; it is closed when this program ends", self.name)
        else:
            self._grabber.release()

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _grab(self) -> None:
        before: bytes | None = None
        while not self._ended.is_set():
            came, picture = self._grabber.read()
            if not came:
                self.missed += 1
                self._ended.wait(_AGAIN_S)
                continue
            content = np.ascontiguousarray(picture).tobytes()
            if content == before:
                self.repeated += 1
                continue
            before = content
            with self._changed:
                self._newest = Stamped(self._now(), np.array(picture))
                self._changed.notify_all()


def open_camera(device: int | str, width_px: int, height_px: int) -> Camera:
    """Open a camera with OpenCV.

    Args:
        device: Its number or path.
        width_px: Of the pictures.
        height_px: Of the pictures.

    Raises:
        ObservationError: OpenCV is not installed, or the device cannot be opened.
    """
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError:
        raise ObservationError("cameras need OpenCV: `pip install opencv-python-headless`") from None
    grabber = cv2.VideoCapture(device)
    if not grabber.isOpened():
        raise ObservationError(f"the camera {device} cannot be opened; is it plugged in, and does another program use it?")
    grabber.set(cv2.CAP_PROP_FRAME_WIDTH, width_px)
    grabber.set(cv2.CAP_PROP_FRAME_HEIGHT, height_px)
    grabber.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # else it hands out pictures that have waited
    return Camera(grabber, str(device))
