"""Has the camera been moved since the table was calibrated? What stands still is compared with the reference picture.

Corners of the reference are looked for in a new picture (optical flow). Most of them are on what stands still: table, the
arm's base, what lies around. So the most frequent shift is the camera's, whatever arm and things do meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from soarm.table_camera.colours import Picture
from soarm.table_camera.pinhole import Floats, Pinhole
from soarm.table_camera.table import Grey, Table

MOST_M = 0.003
"""A picture of the table that has shifted by more was taken by a camera that was moved [m]."""
LEAST_POINTS = 12
"""Fewer corners say nothing."""
N_AVERAGED = 10
"""Pictures whose mean is compared: their noise would hide a table that is nearly plain."""
_MOST_CORNERS, _QUALITY, _APART_PX = 300, 0.003, 8
_WINDOW_PX, _LEVELS = 31, 4
_BACK_PX, _AGREE_PX = 1.0, 2.0
_LEAST_AGREE = 0.35
"""Share of the corners that must agree on a shift."""
_FAR_M = 1.0


class Shift(NamedTuple):
    """How the picture has shifted.

    Attributes:
        table_m: By how much on the table [m].
        n_agree: Corners that agree on it.
        n_found: Corners that were found again.
    """

    table_m: float
    n_agree: int
    n_found: int

    @property
    def is_known(self) -> bool:
        """Whether enough corners agree."""
        return self.n_agree >= max(LEAST_POINTS, _LEAST_AGREE * self.n_found)

    @property
    def moved(self) -> bool:
        """Whether the camera was moved."""
        return self.is_known and self.table_m > MOST_M

    def words(self) -> str:
        """Say what was found."""
        points = f"{self.n_agree} of {self.n_found} points agree"
        if not self.is_known:
            return f"whether the camera was moved cannot be told: {points}"
        state = "was moved since the table was calibrated" if self.moved else "is where it was"
        return f"the camera {state}: its picture is {1e3 * self.table_m:.1f} mm off on the table ({points})"


class Reference:
    """The corners of a calibration's reference picture.

    Args:
        table: The table's calibration.
    """

    def __init__(self, table: Table) -> None:
        self._camera, self._grey = table.camera, _evened(table.reference)
        corners = cv2.goodFeaturesToTrack(self._grey, _MOST_CORNERS, _QUALITY, _APART_PX, blockSize=7)
        self._corners = np.zeros((0, 2), np.float32) if corners is None else np.asarray(corners[:, 0], np.float32)

    def shift(self, grey: Grey) -> Shift:
        """Return how a picture is shifted against the reference; the mean of several pictures says it better."""
        if not len(self._corners):
            return Shift(0.0, 0, 0)
        now = _evened(grey)
        there, found = _tracked(self._grey, now, self._corners)
        back, ok = _tracked(now, self._grey, there)
        good = found & ok & (np.linalg.norm(back - self._corners, axis=1) < _BACK_PX)
        before, after = self._corners[good].astype(np.float64), there[good].astype(np.float64)
        if len(before) < LEAST_POINTS:
            return Shift(0.0, 0, len(before))
        return _most_frequent(self._camera, before, after)


def mean_of(pictures: Sequence[Picture]) -> Picture:
    """Return the mean of pictures of the same shape, rounded."""
    return np.asarray(np.mean(np.stack(pictures), axis=0).round(), np.uint8)


def _most_frequent(camera: Pinhole, before: Floats, after: Floats) -> Shift:
    """Return the shift on which most corners agree, as the median on the table of those that do."""
    found: tuple[Any, Any] = cv2.findHomography(before, after, cv2.RANSAC, _AGREE_PX)
    model, inliers = found
    if model is None:
        return Shift(0.0, 0, len(before))
    agree = inliers.ravel() > 0
    a, b = camera.locate(before[agree], 0.0), camera.locate(after[agree], 0.0)
    near = (np.linalg.norm(a, axis=1) < _FAR_M) & (np.linalg.norm(b, axis=1) < _FAR_M)
    by_m = np.linalg.norm(b - a, axis=1)[near]
    return Shift(float(np.median(by_m)) if len(by_m) else 0.0, int(agree.sum()), len(before))


def _tracked(one: Grey, other: Grey, corners: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return where corners of a picture are in another one, shape (N, 2) [px], and which were found, shape (N,)."""
    flow: Any = cv2.calcOpticalFlowPyrLK  # its stub wants the places that it finds
    there, found, _ = flow(one, other, corners[:, None], None, winSize=(_WINDOW_PX, _WINDOW_PX), maxLevel=_LEVELS)
    return np.asarray(there[:, 0], np.float32), found.ravel() > 0


def _evened(grey: Grey) -> Grey:
    """Return a picture with its contrast evened out: a plain table shows its corners too, and light changes less."""
    smooth = cv2.GaussianBlur(grey, (0, 0), 1.0)
    return np.asarray(cv2.createCLAHE(clipLimit=4.0, tileGridSize=(8, 8)).apply(smooth), np.uint8)
