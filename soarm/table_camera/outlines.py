"""Find a box in the picture from its outline: where it stands and how it is turned.

The outline of a box of known size is the convex hull of its eight corners. The box is moved until the middle of its hull is
that of what was seen, and turned until both cover each other best; the share of their union that both cover (IoU) says how
well. What is partly hidden has another outline and covers badly, so it counts as not seen.
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from soarm.table_camera.pinhole import Floats, Pinhole

Polygon = NDArray[np.float32]
"""A convex polygon, shape (N, 2) [px]."""
_TURNS = 12
_FINE = (4.0, 2.0, 1.0, 0.5)
"""Steps of the search for the yaw around the best of the coarse ones [deg]."""
_CORNERS = np.array([(x, y) for x in (-1.0, 1.0) for y in (-1.0, 1.0)] * 2)
_UPPER = np.repeat([0.0, 1.0], 4)


class Stand(NamedTuple):
    """A box that stands upright.

    Attributes:
        half_m: Half its width [m].
        height_m: How high it is [m].
        foot_m: Height of its foot above the table [m].
    """

    half_m: float
    height_m: float
    foot_m: float

    @property
    def middle_m(self) -> float:
        """Height of its middle above the table [m]."""
        return self.foot_m + self.height_m / 2


class Fit(NamedTuple):
    """A box as it was found.

    Attributes:
        xy_m: Of its middle, shape (2,) [m].
        yaw_deg: In -45..45.
        cover: Share of the union of both outlines that both cover, 0..1.
        outline: Of the box that was found.
    """

    xy_m: Floats
    yaw_deg: float
    cover: float
    outline: Polygon


def outline(camera: Pinhole, stand: Stand, xy_m: Floats, yaw_deg: float) -> Polygon:
    """Return the outline of a box, in the picture."""
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    corners_m = xy_m + stand.half_m * _CORNERS @ np.array([[c, s], [-s, c]])
    corners = camera.project(corners_m, stand.foot_m + stand.height_m * _UPPER)
    return np.asarray(cv2.convexHull(corners.astype(np.float32))[:, 0], np.float32)


def middle(polygon: Polygon) -> Floats:
    """Return the centroid of a polygon, shape (2,) [px]."""
    moments = cv2.moments(polygon)
    if moments["m00"] <= 0:
        return np.asarray(polygon.mean(axis=0), np.float64)
    return np.array([moments["m10"], moments["m01"]]) / moments["m00"]


def cover(one: Polygon, other: Polygon) -> float:
    """Return the share of the union of two convex polygons that both cover, 0..1."""
    both = float(cv2.intersectConvexConvex(one, other)[0])
    union = float(cv2.contourArea(one)) + float(cv2.contourArea(other)) - both
    return both / union if union > 0 else 0.0


def fit(camera: Pinhole, stand: Stand, seen: Polygon, *, turns: bool, near_deg: float | None = None) -> Fit:
    """Return the box whose outline covers what was seen best.

    Args:
        camera: The camera.
        stand: Size and height of the box.
        seen: Its outline, as it was seen.
        turns: Whether it may be turned; else its sides lie along x and y.
        near_deg: A yaw to search around; None searches all.
    """
    at_px = middle(seen)
    start_m = camera.locate(at_px, stand.middle_m)

    def at(yaw_deg: float) -> Fit:
        off_px = middle(outline(camera, stand, start_m, yaw_deg)) - camera.project(start_m, stand.middle_m)
        xy_m = camera.locate(at_px - off_px, stand.middle_m)
        there = outline(camera, stand, xy_m, yaw_deg)
        return Fit(xy_m, yaw_deg, cover(there, seen), there)

    if not turns:
        return at(0.0)
    coarse = np.arange(_TURNS) * (90.0 / _TURNS) - 45.0 if near_deg is None else [near_deg]
    best = max((at(float(yaw)) for yaw in coarse), key=lambda one: one.cover)
    for step in _FINE:
        best = max((best, at(best.yaw_deg - step), at(best.yaw_deg + step)), key=lambda one: one.cover)
    return best._replace(yaw_deg=(best.yaw_deg + 45.0) % 90.0 - 45.0)
