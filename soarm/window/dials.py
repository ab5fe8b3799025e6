"""The residual drawn on the arm: at each joint an arc with an arrow, in the direction in which the residual turns the joint.

The arc goes the further round the joint, the larger the residual is in units of its bound. Pure geometry; knows neither window
nor policy.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm

Vector = NDArray[np.float64]

FULL_DEG = 150.0
"""How far the arc of a residual at its bound goes round the joint."""
RADIUS_M = (0.075, 0.05, 0.05, 0.05, 0.05, 0.05)
"""Of each joint's arc."""
THICKNESS_M, TIP_M = 0.005, 0.045
"""Of an arc, and the length of the arrow at its end."""
_ASIDE_M = (0.0, 0.035, 0.035, 0.035, 0.0, 0.0)
"""From each joint's centre to its arc along the joint's axis, so that the links do not hide it."""
_ZERO = np.array([0.0, -0.6, 0.8])
"""Where arcs begin, seen from the joint's centre, as far as the joint's axis allows: in front and above."""
_STEP_DEG = 15.0
_LEAST = 0.02
"""Smaller residuals, in units of the bound, are not drawn."""
_FAINT, _FULL = np.array([0.95, 0.55, 0.85, 1.0]), np.array([0.75, 0.0, 0.45, 1.0])


class ArcPiece(NamedTuple):
    """A piece of an arc.

    Attributes:
        start: Shape (3,) [m].
        end: Shape (3,) [m].
        is_tip: Whether it ends in the tip of an arrow.
        rgba: Colour, shape (4,), each in [0, 1].
    """

    start: Vector
    end: Vector
    is_tip: bool
    rgba: Vector


def dials(anchors: ArrayLike, axes: ArrayLike, share: ArrayLike) -> list[ArcPiece]:
    """Return the arcs of all joints.

    Args:
        anchors: Where the joints are, shape (6, 3) [m].
        axes: MuJoCo's axes of the joints, unit length, shape (6, 3).
        share: Residual in units of its bound, in LeRobot's directions, shape (6,), each in [-1, 1].
    """
    signs = np.sign(arm.PER_RAD)
    pieces: list[ArcPiece] = []
    rows = zip(np.asarray(anchors), np.asarray(axes), np.asarray(share) * signs, RADIUS_M, _ASIDE_M, strict=True)
    for anchor, axis, turn, radius_m, aside_m in rows:
        if abs(turn) >= _LEAST:
            pieces += _arc(anchor + aside_m * axis, axis, float(turn), radius_m)
    return pieces


def _arc(centre: Vector, axis: Vector, turn: float, radius_m: float) -> list[ArcPiece]:
    start = _ZERO - (_ZERO @ axis) * axis
    start /= np.linalg.norm(start)
    side = np.cross(axis, start)
    angle = math.radians(FULL_DEG) * turn
    n = math.ceil(abs(math.degrees(angle)) / _STEP_DEG)
    angles = np.linspace(0.0, angle, n + 1)[:, None]
    points = centre + radius_m * (np.cos(angles) * start + np.sin(angles) * side)
    rgba = _FAINT + abs(turn) * (_FULL - _FAINT)
    onwards = math.copysign(TIP_M, turn) * (math.cos(angle) * side - math.sin(angle) * start)
    arc = [ArcPiece(points[i], points[i + 1], False, rgba) for i in range(n)]
    return [*arc, ArcPiece(points[-1], points[-1] + onwards, True, rgba)]
