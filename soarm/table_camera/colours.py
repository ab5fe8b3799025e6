"""Patches of a colour in a picture, and their outlines to a fraction of a pixel.

A thing is told from its surroundings by its hue, and by being more colourful (saturation in HSV) than a grey table; faces in
light and in shade differ in brightness alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from soarm.errors import ObservationError
from soarm.quantities import within
from soarm.table_camera.outlines import Polygon

Picture = NDArray[np.uint8]
NAMES = {
    "red": 0.0,
    "orange": 28.0,
    "yellow": 55.0,
    "green": 135.0,
    "cyan": 180.0,
    "blue": 216.0,
    "purple": 275.0,
    "pink": 320.0,
}
"""Hues that have a name [deg]."""
SPREAD_DEG = 22.0
"""How far from its hue a thing may look [deg]."""
_LEAST_SATURATION, _LEAST_VALUE = 70, 30
"""Of 255: what is less colourful or darker has no hue that can be told."""
_LEAST_PX = 25
"""A smaller patch is none [px]."""
_FINER = 4
_MARGIN_PX = 3


class Patch(NamedTuple):
    """Connected pixels of a colour.

    Attributes:
        outline: Their convex hull.
        n_px: How many they are.
    """

    outline: Polygon
    n_px: int


@dataclasses.dataclass(frozen=True)
class Colour:
    """A colour as a thing has it.

    Attributes:
        hue_deg: Of the colour wheel; red is 0, green 120, blue 240 [deg].
    """

    hue_deg: Annotated[float, within(least=0, most=360)]

    @classmethod
    def parse(cls, text: str) -> Colour:
        """Read a colour's name, or a hue in degrees.

        Raises:
            ObservationError: It is neither.
        """
        hue_deg = NAMES.get(text.strip().lower())
        if hue_deg is None:
            try:
                hue_deg = float(text)
            except ValueError:
                hue_deg = -1.0
        if not 0 <= hue_deg <= 360:
            raise ObservationError(f"{text!r:.40} is no colour; say one of {', '.join(NAMES)}, or a hue from 0 to 360 degrees")
        return cls(hue_deg)


def as_grey(picture: Picture) -> Picture:
    """Return the brightness of a picture, shape (H, W)."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def as_hsv(picture: Picture) -> Picture:
    """Return hue (0 to 255 for the whole circle), saturation and value of a picture of red, green, blue."""
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2HSV_FULL), np.uint8)


def patches(hsv: Picture, colour: Colour, most: int) -> list[Patch]:
    """Return the largest patches of a colour, the largest first.

    Args:
        hsv: See `as_hsv`.
        colour: The colour.
        most: How many at most.
    """
    mask = _mask(hsv, colour)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=4)
    order = np.argsort(-stats[1:, cv2.CC_STAT_AREA])[:most] + 1
    return [_patch(hsv, colour, stats[i]) for i in order if stats[i, cv2.CC_STAT_AREA] >= _LEAST_PX]


def _mask(hsv: Picture, colour: Colour) -> Picture:
    low, high = (colour.hue_deg - SPREAD_DEG) % 360 * 255 / 360, (colour.hue_deg + SPREAD_DEG) % 360 * 255 / 360
    parts = [(low, high)] if low <= high else [(low, 255.0), (0.0, high)]
    least = _LEAST_SATURATION, _LEAST_VALUE
    masks = [cv2.inRange(hsv, np.array([a, *least]), np.array([b, 255.0, 255.0])) for a, b in parts]
    return np.asarray(masks[0] if len(masks) == 1 else cv2.bitwise_or(*masks), np.uint8)


def _patch(hsv: Picture, colour: Colour, stats: NDArray[np.int32]) -> Patch:
    """Return a patch, its outline where the saturation is half the way to that of what is beside it."""
    x, y, w, h, n_px = (int(value) for value in stats)
    left, top = max(0, x - _MARGIN_PX), max(0, y - _MARGIN_PX)
    part = hsv[top : y + h + _MARGIN_PX, left : x + w + _MARGIN_PX]
    inside = _mask(part, colour)
    edge = cv2.dilate(inside, np.ones((3, 3), np.uint8)) > 0
    beside = (cv2.dilate(inside, np.ones((7, 7), np.uint8)) > 0) & ~edge
    within, outside = (float(np.median(part[..., 1][at])) if at.any() else 0.0 for at in (inside > 0, beside))
    half = (within + min(outside, 0.9 * within)) / 2
    saturation = np.where(edge, part[..., 1], 0).astype(np.uint8)
    fine = cv2.resize(saturation, None, fx=_FINER, fy=_FINER, interpolation=cv2.INTER_LINEAR)
    contours, _ = cv2.findContours((fine > half).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    points = max(contours, key=cv2.contourArea)[:, 0].astype(np.float32)
    hull = cv2.convexHull((points + 0.5) / _FINER - 0.5 + np.array([left, top], np.float32))
    return Patch(np.asarray(hull[:, 0], np.float32), n_px)


def hue_inside(hsv: Picture, outline: Polygon) -> float:
    """Return the middle of the hues inside an outline [deg]."""
    inside = np.zeros(hsv.shape[:2], np.uint8)
    cv2.fillConvexPoly(inside, np.rint(outline).astype(np.int32), 1)
    chosen = (inside > 0) & (hsv[..., 1] >= _LEAST_SATURATION)
    turned = np.exp(1j * np.radians(hsv[..., 0][chosen] * (360 / 255)))
    return float(np.degrees(np.angle(turned.mean())) % 360) if chosen.any() else 0.0


def colours_told(texts: Sequence[str]) -> dict[str, Colour]:
    """Read colours of things, as in "cube=red".

    Raises:
        ObservationError: One is no such text, or no colour.
    """
    found = {}
    for text in texts:
        name, is_one, colour = text.partition("=")
        if not (is_one and name):
            raise ObservationError(f"--colour {text!r:.40} names no thing; write it as in --colour cube=red")
        found[name] = Colour.parse(colour)
    return found
