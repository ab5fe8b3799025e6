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
from numpy.typing import NDArray

from soarm.errors import ObservationError
from soarm.runtime.fitting import Fitting, Picture
from soarm.runtime.sensors import Stamped
from soarm.spec import Feature

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
        fit: Makes a picture what the policy wants; None leaves it as it comes.

    Attributes:
        repeated: Pictures that were the one before.
        missed: Times none came.
    """

    def __init__(
        self, grabber: Grabber, name: str, now: Callable[[], float] = time.monotonic, fit: Fitting | None = None
    ) -> None:
        self._grabber, self.name, self._now, self._fit = grabber, name, now, fit
        self._changed = threading.Condition()
        self._newest: Stamped | None = None
        self._refused: ObservationError | None = None
        self._silence = ""
        self._ended = threading.Event()
        self.repeated = self.missed = 0
        self._thread = threading.Thread(target=self._grab, name=f"soarm-camera-{name}", daemon=True)
        self._thread.start()

    def latest(self, patience_s: float = _FIRST_S) -> Stamped:
        """Return the newest picture that differed from the one before, uint8 (H, W, 3).

        Args:
            patience_s: How long to wait for the very first one [s].

        Raises:
            ObservationError: None has come, or the last one is not what the policy wants.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._refused is not None, patience_s)
            if self._refused is not None:
                raise self._refused
            if self._newest is None:
                raise ObservationError(
                    f"the camera {self.name} has shown nothing for {patience_s:g} s; is another program using it?"
                )
            return self._newest

    @property
    def subject(self) -> str:
        """See `soarm.runtime.sensors.Sensor`."""
        return f"pictures of the camera {self.name}{self._silence}"

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        return self.latest(0.0)

    def words(self) -> str:
        """Say what becomes of its pictures."""
        return f"the camera {self.name} gives its pictures as they are" if self._fit is None else self._fit.words()

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
                self._silence = ", which hands out none any more,"
                self._ended.wait(_AGAIN_S)
                continue
            t_s, content = self._now(), np.ascontiguousarray(picture).tobytes()
            if content == before:
                self.repeated += 1
                self._silence = ", which hands out the same one over and over,"
                continue
            before, self._silence = content, ""
            self._take(t_s, picture)

    def _take(self, t_s: float, picture: NDArray[Any]) -> None:
        newest, refused = None, None
        try:
            newest = Stamped(t_s, np.array(picture) if self._fit is None else self._fit(picture))
        except ObservationError as error:
            refused = error
        with self._changed:
            self._newest, self._refused = newest or self._newest, refused
            self._changed.notify_all()


def open_camera(
    device: int | str, width_px: int, height_px: int, name: str | None = None, wanted: Feature | None = None
) -> Camera:
    """Open a camera with OpenCV.

    Args:
        device: Its number, path or address.
        width_px: Of the pictures that it is asked for.
        height_px: Of the same.
        name: What to call it in messages; None for the device.
        wanted: What a policy wants of it, as red, green, blue; None leaves the pictures as OpenCV hands them out, as blue,
            green, red.

    Raises:
        ObservationError: OpenCV is not installed, or the device cannot be opened.
    """
    try:
        cv2: Any = importlib.import_module("cv2")
    except ImportError:
        raise ObservationError("cameras need OpenCV: `pip install opencv-python-headless`") from None
    grabber, name = cv2.VideoCapture(device), str(device) if name is None else name
    if not grabber.isOpened():
        raise ObservationError(
            f"the camera {name} cannot be opened at {device}; is it plugged in, and does another program use it?"
        )
    grabber.set(cv2.CAP_PROP_FRAME_WIDTH, width_px)
    grabber.set(cv2.CAP_PROP_FRAME_HEIGHT, height_px)
    grabber.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # else it hands out pictures that have waited

    def shrink(picture: Picture, height_px: int, width_px: int) -> Picture:
        small: Picture = cv2.resize(picture, (width_px, height_px), interpolation=cv2.INTER_AREA)
        return small

    return Camera(grabber, name, fit=None if wanted is None else Fitting(name, wanted, bgr=True, shrink=shrink))
