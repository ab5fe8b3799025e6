"""A table that is painted: boxes of one colour on grey, as a known camera sees them, with noise."""

from __future__ import annotations

import cv2
import numpy as np

from soarm.table_camera.outlines import Stand, outline
from soarm.table_camera.pinhole import Pinhole
from soarm.tasks.pick_place.things import BIN_HALF_M, BIN_WALL_HEIGHT_M, BIN_WALL_M

CAMERA = Pinhole(640, 480, 739.0, (1.99, 0.655, -0.39), (0.102, 0.009, 0.838), 0.0)
CUBE, BIN = Stand(0.0125, 0.025, 0.0), Stand(BIN_HALF_M + BIN_WALL_M, BIN_WALL_HEIGHT_M, 0.0)
BLUE, GREEN = (33, 112, 235), (92, 178, 117)
AT, YAW, BIN_AT = (0.05, -0.2), 20.0, (-0.13, -0.19)
SCENE = ((CUBE, AT, YAW, BLUE), (BIN, BIN_AT, 0.0, GREEN))


def paint(*boxes, over=(), seed=0, camera=CAMERA):
    """Return a picture of boxes (stand, xy, yaw, colour), with rectangles (x, y, w, h) of orange over it."""
    fine = 4
    canvas = np.full((camera.height_px * fine, camera.width_px * fine, 3), 225, np.uint8)
    for stand, xy, yaw, colour in boxes:
        hull = (outline(camera, stand, np.array(xy), yaw) + 0.5) * fine - 0.5
        cv2.fillConvexPoly(canvas, np.rint(hull * 16).astype(np.int32), colour, shift=4)
    small = cv2.resize(canvas, (camera.width_px, camera.height_px), interpolation=cv2.INTER_AREA)
    for x, y, w, h in over:
        small[y : y + h, x : x + w] = (235, 110, 20)
    noisy = small + np.random.default_rng(seed).normal(0.0, 4.0, small.shape)
    return np.clip(noisy.round(), 0, 255).astype(np.uint8)


def textured(seed=0):
    """Return the grey of a table with marks all over it."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(150, 240, (60, 80)).astype(np.uint8)
    return cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)
