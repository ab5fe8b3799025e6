"""Keep `objects.json` fresh for `soarm drive --objects`: 30 times a second, as a whole, with what a detector sees.

    python examples/write_objects.py objects.json

Put your camera, markers or tracker in the place of `look`. It needs the standard library only. docs/objects.md says what the
numbers are.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

RATE_HZ = 30


class Seen(NamedTuple):
    """Cube and bin in the frame of the arm's base: metres and radians."""

    cube: tuple[float, float, float]
    cube_yaw: float
    bin_xy: tuple[float, float]


def look() -> Seen | None:
    """Return what is seen now; None where it is not seen: then nothing is written, the file grows old and the arm holds."""
    return Seen(cube=(0.0, -0.2, 0.0125), cube_yaw=math.radians(15), bin_xy=(0.15, -0.15))


def write(path: Path, seen: Seen) -> None:
    """Replace the file by a new one, so that no reader finds half of it."""
    yaw4 = math.cos(4 * seen.cube_yaw), math.sin(4 * seen.cube_yaw)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps({"objects": [*seen.cube, *yaw4, *seen.bin_xy]}), encoding="utf-8")
    os.replace(part, path)


def run(path: Path, look: Callable[[], Seen | None] = look, go_on: Callable[[], bool] = lambda: True) -> None:
    """Look and write until told otherwise.

    Args:
        path: The file.
        look: Returns what is seen.
        go_on: Asked before every look.
    """
    due_s = time.monotonic()
    while go_on():
        seen = look()
        if seen is not None:
            write(path, seen)
        due_s = max(due_s + 1 / RATE_HZ, time.monotonic())
        time.sleep(max(0.0, due_s - time.monotonic()))


if __name__ == "__main__":
    run(Path(sys.argv[1] if len(sys.argv) > 1 else "objects.json"))
