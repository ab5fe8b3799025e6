"""Where a point over the table is in a camera's picture, and back: a pinhole over the plane of the table.

A point is told by x and y in the arm's own frame, as its kinematics give them from measured joints, and its height above the
table. If lift or elbow have a wrong zero, the arm's radii are wrong by a length that hardly changes; `radial_m` is that
length, so that the rest is a pinhole. For points of one height the map is a homography.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import kinematics
from soarm.quantities import within

Floats = NDArray[np.float64]
_Length = Annotated[float, within(least=-20, most=20)]
_Turn = Annotated[float, within(least=-7, most=7)]


@dataclasses.dataclass(frozen=True)
class Pinhole:
    """A camera over the table.

    Attributes:
        width_px: Of its pictures.
        height_px: Of the same.
        focal_px: Focal length; pixels are square, and the optical axis meets the picture's middle [px].
        turn: From the table's frame to the camera's, as axis times angle, shape (3,) [rad].
        shift_m: Origin of the table's frame in the camera's, shape (3,) [m].
        radial_m: How much longer radii from the shoulder's axis are in the arm's own frame [m].
    """

    width_px: Annotated[int, within(least=16, most=10_000)]
    height_px: Annotated[int, within(least=16, most=10_000)]
    focal_px: Annotated[float, within(least=1, most=1e6)]
    turn: tuple[_Turn, _Turn, _Turn]
    shift_m: tuple[_Length, _Length, _Length]
    radial_m: Annotated[float, within(least=-0.1, most=0.1)]

    def project(self, xy_m: ArrayLike, height_m: ArrayLike) -> Floats:
        """Return where points are in the picture, shape (..., 2) [px].

        Args:
            xy_m: In the arm's own frame, shape (..., 2) [m].
            height_m: Above the table, shape (...) or a number [m].
        """
        level = _stretched(np.asarray(xy_m, np.float64), -self.radial_m)
        points = np.concatenate(
            [level, np.broadcast_to(np.asarray(height_m, np.float64)[..., None], (*level.shape[:-1], 1))], -1
        )
        seen = points @ self._rotation.T + np.array(self.shift_m)
        px: Floats = seen[..., :2] / seen[..., 2:] * self.focal_px + self._middle_px
        return px

    def locate(self, px: ArrayLike, height_m: float) -> Floats:
        """Return where points of a height above the table [m] are that are seen at `px`, shape (..., 2) [m]."""
        rays = np.concatenate(
            [(np.asarray(px, np.float64) - self._middle_px) / self.focal_px, np.ones((*np.shape(px)[:-1], 1))], -1
        )
        rotation, at = self._rotation, np.array(self.shift_m)
        level = rays @ rotation  # in the table's frame
        eye = -at @ rotation
        points = eye + level * ((height_m - eye[2]) / level[..., 2])[..., None]
        return _stretched(points[..., :2], self.radial_m)

    @property
    def eye_m(self) -> Floats:
        """Where the camera is: x, y, and height above the table, shape (3,) [m]."""
        return -np.array(self.shift_m) @ self._rotation

    @property
    def _middle_px(self) -> Floats:
        return np.array([(self.width_px - 1) / 2, (self.height_px - 1) / 2])

    @property
    def _rotation(self) -> Floats:
        return rotation_of(self.turn)


def rotation_of(turn: ArrayLike) -> Floats:
    """Return the rotation, shape (3, 3), about an axis by an angle that is the axis's length [rad]."""
    return np.asarray(cv2.Rodrigues(np.asarray(turn, np.float64))[0], np.float64)


def _stretched(xy_m: Floats, by_m: float) -> Floats:
    """Return points farther from the shoulder's axis by a length, shape (..., 2) [m]."""
    away = xy_m - kinematics.SHOULDER_XY_M
    radius = np.linalg.norm(away, axis=-1, keepdims=True)
    stretched: Floats = xy_m + away * (by_m / np.maximum(radius, 1e-6))
    return stretched
