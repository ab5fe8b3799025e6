"""What was seen, drawn into the picture: outlines and names of the things, and what is hidden."""

from __future__ import annotations

import cv2
import numpy as np

from soarm.table_camera.colours import Picture
from soarm.table_camera.table import Table
from soarm.table_camera.tracker import Sighting

_SEEN, _TEXT = (255, 60, 160), (20, 20, 20)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_AXIS_M = 0.05


def drawn(picture: Picture, sighting: Sighting, table: Table, note: str = "") -> Picture:
    """Return a copy of a picture with what was seen drawn in.

    Args:
        picture: Red, green, blue, shape (H, W, 3).
        sighting: What was seen in it.
        table: The table, and the camera over it.
        note: A line below.
    """
    canvas = np.ascontiguousarray(picture.copy())
    _axes(canvas, table)
    for name, fit in sighting.fits.items():
        cv2.polylines(canvas, [np.rint(fit.outline * 8).astype(np.int32)], True, _SEEN, 2, cv2.LINE_AA, 3)
        x, y = fit.xy_m * 1e3
        turn = f", {fit.yaw_deg:+.0f} deg" if fit.yaw_deg else ""
        below = int(fit.outline[:, 0].min()), int(fit.outline[:, 1].max()) + 18
        _write(canvas, f"{name} {x:.0f}, {y:.0f} mm{turn}", below)
    lines = [
        f"{name} hidden for {age_s:.1f} s" if np.isfinite(age_s) else f"{name} not seen yet"
        for name, age_s in sighting.hidden.items()
    ]
    for i, text in enumerate([*lines, *([note] if note else [])]):
        _write(canvas, text, (8, 20 + 20 * i))
    return canvas


def _axes(canvas: Picture, table: Table) -> None:
    """Draw the arm's axes on the table: x to its right, y backwards."""
    ends = table.camera.project(np.array([[0.0, -0.15], [_AXIS_M, -0.15], [0.0, -0.15 + _AXIS_M]]), 0.0)
    origin, *tips = [(round(float(end[0])), round(float(end[1]))) for end in ends]
    for tip, name in zip(tips, ("x", "y"), strict=True):
        cv2.arrowedLine(canvas, origin, tip, _TEXT, 1, cv2.LINE_AA, tipLength=0.15)
        _write(canvas, name, (tip[0] + 4, tip[1] + 4))


def _write(canvas: Picture, text: str, at: tuple[int, int]) -> None:
    x, y = max(2, at[0]), max(12, at[1])
    (width, height), below = cv2.getTextSize(text, _FONT, 0.45, 1)
    cv2.rectangle(canvas, (x - 2, y - height - 2), (x + width + 2, y + below), (255, 255, 255), cv2.FILLED)
    cv2.putText(canvas, text, (x, y), _FONT, 0.45, _TEXT, 1, cv2.LINE_AA)
