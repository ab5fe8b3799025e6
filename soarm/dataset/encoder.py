"""Encoding the cameras of an episode while it is recorded: a thread per camera, a queue before it, and no picture lost.

Where an encoder is behind, whoever adds a picture waits, and what was waited is counted. LeRobot drops the picture instead,
and rows and video differ from there on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Final

import av
import numpy as np
from numpy.typing import NDArray

from soarm.dataset import storage, video
from soarm.dataset.statistics import PixelCounts, Statistics
from soarm.dataset.video import Encoding
from soarm.errors import DatasetError, ObservationError
from soarm.smallfile import PARTIAL
from soarm.spec import Feature

logger = logging.getLogger(__name__)
QUEUE: Final = 30
"""Pictures of a camera that may wait for its encoder: a second at 30 Hz."""


@dataclasses.dataclass
class Waiting:
    """What recording waited for encoders.

    Attributes:
        pictures: Pictures that were encoded.
        waited: Those for which the queue was full.
        waited_s: How long was waited for it in all [s].
    """

    pictures: int = 0
    waited: int = 0
    waited_s: float = 0.0


class EpisodeEncoder:
    """The videos of an episode that is being recorded.

    Args:
        files: Camera -> its video; the name appears when the video is complete and on the disk.
        features: Camera -> its pictures.
        fps: Pictures per second.
        encoding: How they are encoded.
        waiting: Counts, and goes on counting from episode to episode.
    """

    def __init__(
        self, files: Mapping[str, Path], features: Mapping[str, Feature], fps: int, encoding: Encoding, waiting: Waiting
    ) -> None:
        self._features, self._waiting, self._n = features, waiting, 0
        self._cameras = {key: _CameraEncoder(path, features[key], fps, encoding) for key, path in files.items()}

    def __len__(self) -> int:
        """Return how many pictures each camera has."""
        return self._n

    def add(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Add the next picture of every camera; waits where an encoder is behind.

        Raises:
            ObservationError: A camera is missing or unknown, or a picture has another shape or type.
            DatasetError: The disk is full, or an encoder failed.
        """
        faults = picture_faults(pictures, self._features)
        if faults:
            raise ObservationError(f"pictures {self._n} were not recorded:\n  " + "\n  ".join(faults))
        for key, picture in pictures.items():
            waited_s = self._cameras[key].add(np.array(picture))
            self._waiting.pictures += 1
            self._waiting.waited += waited_s > 0
            self._waiting.waited_s += waited_s
        self._n += 1

    def finish(self) -> dict[str, Statistics]:
        """Complete the videos and return the statistics of each camera.

        Raises:
            DatasetError: The disk is full, or an encoder failed; what was encoded is gone.
        """
        try:
            for camera in self._cameras.values():
                camera.end()
            return {key: camera.publish() for key, camera in self._cameras.items()}
        finally:
            self.discard()

    def discard(self) -> None:
        """Stop, and forget what is not complete."""
        for camera in self._cameras.values():
            camera.discard()


class _CameraEncoder:
    def __init__(self, path: Path, feature: Feature, fps: int, encoding: Encoding) -> None:
        self._path, self._part = path, path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")
        self._queue: queue.Queue[NDArray[np.uint8] | None] = queue.Queue(QUEUE)
        self._error: Exception | None = None
        self._dropped = False
        self._counts, self._period = PixelCounts(), Fraction(1, fps)
        with storage.writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._container, self._stream = video.open_output(self._part, feature, fps, encoding)
        self._thread = threading.Thread(target=self._run, name=f"soarm-encoder-{path.parent.name}", daemon=True)
        self._thread.start()

    def add(self, picture: NDArray[np.uint8]) -> float:
        """Return how long was waited [s]."""
        self._require_well()
        try:
            self._queue.put_nowait(picture)
        except queue.Full:
            start = time.monotonic()
            self._queue.put(picture)
            return time.monotonic() - start
        return 0.0

    def end(self) -> None:
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        self._require_well()

    def publish(self) -> Statistics:
        storage.sync_file(self._part)
        with storage.writing(self._path):
            os.replace(self._part, self._path)
            storage.sync_folder(self._path.parent)
        return self._counts.summarise()

    def discard(self) -> None:
        self._dropped = True
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join()
        with contextlib.suppress(OSError):
            self._part.unlink()

    def _require_well(self) -> None:
        if self._error is not None:
            with storage.writing(self._path):
                if isinstance(self._error, OSError):
                    raise self._error
            raise DatasetError(f"{self._path.name} cannot be encoded: {self._error}") from self._error

    def _run(self) -> None:
        n = 0
        try:
            with self._container:
                while (picture := self._queue.get()) is not None:
                    if not self._dropped:
                        self._counts.add(picture)
                        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                        frame.pts, frame.time_base = n, self._period
                        n += 1
                        self._container.mux(self._stream.encode(frame))
                if not self._dropped:
                    self._container.mux(self._stream.encode())
        except Exception as error:  # told to whoever adds the next picture, or ends the episode
            self._error = error
            while self._queue.get() is not None:  # nobody must wait for an encoder that is gone
                pass


def picture_faults(pictures: Mapping[str, NDArray[np.generic]], features: Mapping[str, Feature]) -> list[str]:
    """List why `pictures`, camera -> (H, W, 3), are not one of each of `features`."""
    faults = [f"{key} is missing" for key in features if key not in pictures]
    for key, picture in pictures.items():
        if key not in features:
            faults.append(f"{key} is unknown; the cameras are {list(features)}")
        elif picture.shape != features[key].shape or picture.dtype != np.uint8:
            faults.append(f"{key} is {picture.dtype} {picture.shape}; expected uint8 {features[key].shape}")
    return faults
