"""A camera's pictures are cropped and averaged to the size that a network was trained on.

The largest rectangle of the wanted proportions in the middle of the picture is kept, and each pixel is the mean over the area
that falls on it. Nothing is stretched, and nothing enlarged. Needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from soarm.errors import ObservationError
from soarm.spec import Feature

Picture = NDArray[np.uint8]
"""Red, green and blue of every pixel, uint8 (H, W, 3)."""
Shrink = Callable[[Picture, int, int], Picture]


class Fitting:
    """Makes the pictures of one camera what a policy wants of it.

    Args:
        name: Of the camera, for messages.
        wanted: What the policy wants of it.
        bgr: Whether the pictures come as blue, green, red, as OpenCV hands them out.
        shrink: Makes a picture smaller: (picture, height_px, width_px); None for `area_mean`.

    Attributes:
        taken_px: Height and width of the pictures that come; None before the first.
    """

    def __init__(self, name: str, wanted: Feature, *, bgr: bool = False, shrink: Shrink | None = None) -> None:
        self._name, self._bgr, self._shrink = name, bgr, shrink or area_mean
        self._height_px, self._width_px, _ = wanted.shape
        self.taken_px: tuple[int, int] | None = None

    def __call__(self, picture: Picture) -> Picture:
        """Return the picture as it is wanted.

        Raises:
            ObservationError: It is none, is smaller than what is wanted, or not of the size of the one before.
        """
        shape, wanted = picture.shape, f"{self._width_px} x {self._height_px} px"
        if picture.dtype != np.uint8 or len(shape) != 3 or shape[2] != 3:
            raise ObservationError(
                f"the camera {self._name} gives {picture.dtype} of shape {shape}; a picture is uint8 of shape (H, W, 3)"
            )
        size_px = shape[0], shape[1]
        if size_px[0] < self._height_px or size_px[1] < self._width_px:
            raise ObservationError(
                f"the camera {self._name} gives pictures of {size_px[1]} x {size_px[0]} px; the policy wants {wanted}, and "
                "nothing is enlarged: set the camera to a larger size"
            )
        if self.taken_px not in (None, size_px):
            assert self.taken_px is not None
            raise ObservationError(
                f"the camera {self._name} gives pictures of {size_px[1]} x {size_px[0]} px now, and gave "
                f"{self.taken_px[1]} x {self.taken_px[0]} before: its view has changed. Start again"
            )
        self.taken_px = size_px
        height_px, width_px = self.kept_px(*size_px)
        top, left = (size_px[0] - height_px) // 2, (size_px[1] - width_px) // 2
        kept = picture[top : top + height_px, left : left + width_px, :: -1 if self._bgr else 1]
        return self._shrink(kept, self._height_px, self._width_px)

    def kept_px(self, height_px: int, width_px: int) -> tuple[int, int]:
        """Return height and width of the middle that is kept of a picture."""
        scale = min(height_px / self._height_px, width_px / self._width_px)
        return round(scale * self._height_px), round(scale * self._width_px)

    def words(self) -> str:
        """Say what becomes of the pictures."""
        if self.taken_px is None:
            return f"the camera {self._name} has shown nothing yet"
        (height_px, width_px), kept = self.taken_px, self.kept_px(*self.taken_px)
        cut = "" if kept == self.taken_px else f", of which the middle {kept[1]} x {kept[0]} is kept"
        small = "" if kept == (self._height_px, self._width_px) else f", averaged to {self._width_px} x {self._height_px}"
        return f"the camera {self._name} gives pictures of {width_px} x {height_px} px{cut}{small}"


def area_mean(picture: Picture, height_px: int, width_px: int) -> Picture:
    """Return a picture made smaller: each pixel is the mean over the area that falls on it, uint8 (height_px, width_px, 3)."""
    if picture.shape[:2] == (height_px, width_px):
        return np.ascontiguousarray(picture)
    mean = _mean_along(_mean_along(picture, height_px).swapaxes(0, 1), width_px).swapaxes(0, 1)
    return np.ascontiguousarray((mean + 0.5).astype(np.uint8))


def _mean_along(values: NDArray[np.generic], n: int) -> NDArray[np.float64]:
    """Return the means over n equal parts of the first axis; a part may begin and end inside a pixel."""
    length = len(values)
    sums = np.zeros((length + 1, *values.shape[1:]))
    np.cumsum(values, axis=0, out=sums[1:])
    edges = np.arange(n + 1) * (length / n)
    whole = np.minimum(edges.astype(np.int64), length - 1)
    share = (edges - whole).reshape(-1, *[1] * (values.ndim - 1))
    at = sums[whole] + share * (sums[whole + 1] - sums[whole])
    means: NDArray[np.float64] = np.diff(at, axis=0) * (n / length)
    return means
