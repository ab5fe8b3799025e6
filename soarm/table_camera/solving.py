"""A camera from spots where an arm set a thing down: what the arm's joints said, and where the picture shows it.

The unknowns are the camera (focal length, orientation, position), one length by which the arm's radii are off, and how far the
thing's middle is from the gripper point when the fingers hold it: its width may not be quite what it should. Gauss-Newton with
damping (Levenberg and Marquardt), the focal length first from a scale of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from soarm.errors import CalibrationError
from soarm.table_camera.handling import HandPose
from soarm.table_camera.outlines import Polygon, Stand, fit, middle, outline
from soarm.table_camera.pinhole import Floats, Pinhole

LEAST_SPOTS = 6
_PX, _LOG_FOCAL, _RADIAL_M, _SEAT_M = 0.7, 0.35, 0.004, 0.001
"""What is expected: error of a spot in the picture [px], of the focal length from the picture's width [log], of the arm's
radii [m], and of the seat in the hand [m]. The first is a millimetre on a table 0.75 m away, more than the arm repeats."""
_FOCALS = np.geomspace(0.5, 3.0, 15)
_ROUNDS, _STEPS = 3, 30


class Spot(NamedTuple):
    """A spot on which the thing was set down, and squared by closing the fingers on it from two sides.

    Attributes:
        xy_m: The gripper point across the fingers both times, in the arm's own frame, shape (2,) [m].
        lean: By how much that shifts for each metre that the thing's middle is off the gripper point in the hand, shape (2,).
        yaw_deg: How the thing is turned then [deg].
        seen: The outline of the thing in the picture.
    """

    xy_m: Floats
    lean: Floats
    yaw_deg: float
    seen: Polygon

    @classmethod
    def squared(cls, first: HandPose, second: HandPose, seen: Polygon) -> Spot:
        """Return the spot on which fingers closed on a thing twice, from directions that are about square to each other."""
        sides = np.stack([first.across, second.across])
        along = np.array([float(pose.across @ pose.tcp_m[:2]) for pose in (first, second)])
        xy_m, lean = np.linalg.solve(sides, np.stack([along, np.ones(2)], axis=1)).T
        yaw_deg = float(np.degrees(np.arctan2(second.across[1], second.across[0])))
        return cls(np.asarray(xy_m, np.float64), np.asarray(lean, np.float64), yaw_deg, seen)


class Solution(NamedTuple):
    """A camera, and how the thing sat in the hand.

    Attributes:
        camera: The camera.
        seat_m: From the gripper point to the thing's middle, in the direction in which the jaw opens [m].
    """

    camera: Pinhole
    seat_m: float

    def place_m(self, spot: Spot) -> Floats:
        """Return where the thing's middle was on a spot, shape (2,) [m]."""
        return spot.xy_m + self.seat_m * spot.lean

    def error_m(self, spot: Spot, stand: Stand) -> float:
        """Return how far from there the picture puts it [m]."""
        return float(np.linalg.norm(fit(self.camera, stand, spot.seen, turns=True).xy_m - self.place_m(spot)))

    def cover(self, spot: Spot, stand: Stand) -> float:
        """Return how well the outline that it has there covers what was seen, 0..1."""
        return fit(self.camera, stand, spot.seen, turns=True).cover


def solve(spots: Sequence[Spot], stand: Stand, width_px: int, height_px: int) -> Solution:
    """Return the camera that explains the spots best.

    Args:
        spots: At least `LEAST_SPOTS`, not in a line.
        stand: Size of the thing.
        width_px: Of the pictures.
        height_px: Of the same.

    Raises:
        CalibrationError: There are too few, or no camera explains them.
    """
    if len(spots) < LEAST_SPOTS:
        raise CalibrationError(f"{len(spots)} spots were seen, and {LEAST_SPOTS} are needed; turn the camera to the table")
    at_px = np.array([middle(spot.seen) for spot in spots])
    xy_m = np.array([spot.xy_m for spot in spots])
    starts = [_start(xy_m, at_px, stand, width_px, height_px, float(scale) * width_px) for scale in _FOCALS]
    found = [start for start in starts if start is not None]
    if not found:
        raise CalibrationError("no camera sees the spots as they were seen: was the thing moved, or the camera?")
    unknowns = min(found, key=lambda one: _cost(one, spots, at_px, stand, width_px, height_px))
    for _ in range(_ROUNDS):  # the middle of an outline is not quite where the thing's middle is seen
        solution = _solution(unknowns, width_px, height_px)
        off_px = np.array([_off_px(solution, spot, stand) for spot in spots])
        unknowns = _refined(unknowns, spots, at_px - off_px, stand, width_px, height_px)
    return _solution(unknowns, width_px, height_px)


def _start(xy_m: Floats, at_px: Floats, stand: Stand, width_px: int, height_px: int, focal_px: float) -> Floats | None:
    """Return unknowns to start from with a focal length; None where no camera of it sees the spots."""
    matrix = np.array([[focal_px, 0, (width_px - 1) / 2], [0, focal_px, (height_px - 1) / 2], [0, 0, 1.0]])
    points = np.concatenate([xy_m, np.zeros((len(xy_m), 1))], axis=1)
    good, turns, shifts, _ = cv2.solvePnPGeneric(points, at_px, matrix, None, flags=cv2.SOLVEPNP_IPPE)
    for turn, shift in zip(turns, shifts, strict=True) if good else ():
        rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
        shift_m = shift.ravel() - rotation[:, 2] * stand.middle_m
        if np.isfinite(shift_m).all() and (-shift_m @ rotation)[2] > 0:  # it looks from above
            return np.array([np.log(focal_px), *turn.ravel(), *shift_m, 0.0, 0.0])
    return None


def _solution(unknowns: Floats, width_px: int, height_px: int) -> Solution:
    focal, a, b, c, x, y, z, radial_m, seat_m = unknowns.tolist()
    return Solution(Pinhole(width_px, height_px, float(np.exp(focal)), (a, b, c), (x, y, z), radial_m), seat_m)


def _off_px(solution: Solution, spot: Spot, stand: Stand) -> Floats:
    """Return how far the middle of a thing's outline is from where its middle is seen, shape (2,) [px]."""
    place_m = solution.place_m(spot)
    return middle(outline(solution.camera, stand, place_m, spot.yaw_deg)) - solution.camera.project(place_m, stand.middle_m)


def _residuals(unknowns: Floats, spots: Sequence[Spot], at_px: Floats, stand: Stand, width_px: int, height_px: int) -> Floats:
    solution = _solution(unknowns, width_px, height_px)
    seen = solution.camera.project(np.array([solution.place_m(spot) for spot in spots]), stand.middle_m)
    expected = [(unknowns[0] - np.log(width_px)) / _LOG_FOCAL, unknowns[7] / _RADIAL_M, unknowns[8] / _SEAT_M]
    return np.concatenate([((seen - at_px) / _PX).ravel(), expected])


def _cost(unknowns: Floats, spots: Sequence[Spot], at_px: Floats, stand: Stand, width_px: int, height_px: int) -> float:
    return float((_residuals(unknowns, spots, at_px, stand, width_px, height_px) ** 2).sum())


def _refined(unknowns: Floats, spots: Sequence[Spot], at_px: Floats, stand: Stand, width_px: int, height_px: int) -> Floats:
    """Return the unknowns with the least sum of squares, from a start near to them."""
    asked = spots, at_px, stand, width_px, height_px
    damping, cost = 1e-3, _cost(unknowns, *asked)
    for _ in range(_STEPS):
        off = _residuals(unknowns, *asked)
        slopes = np.array([(_residuals(unknowns + step, *asked) - off) / 1e-6 for step in 1e-6 * np.eye(len(unknowns))]).T
        square = slopes.T @ slopes
        step = np.linalg.solve(square + damping * np.diag(np.diag(square)), -slopes.T @ off)
        tried = _cost(unknowns + step, *asked)
        if tried < cost:
            unknowns, cost, damping = unknowns + step, tried, damping / 5
        else:
            damping *= 10
    return unknowns
