"""The bin's sizes, and when the cube lies in it. The simulator builds its bodies from the same numbers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from soarm.tasks.tabletop import CUBE
from soarm.tasks.thing import Goal, Surface, Thing

BIN_HALF_M = 0.045
"""Half the inner width of the bin."""
BIN_WALL_M = 0.004
"""How thick its walls and its floor are."""
BIN_WALL_HEIGHT_M = 0.04
INSIDE_M = BIN_HALF_M - 0.008
"""A cube's centre this close to the bin's centre in x and in y lies inside, not on the rim."""
INSIDE_HEIGHT_M = BIN_WALL_HEIGHT_M - 0.01
"""And is lower than this."""


def _inside(at: Mapping[str, float], tcp_m: NDArray[np.float64]) -> bool:
    away_m = max(abs(at["cube.x"] - at["bin.x"]), abs(at["cube.y"] - at["bin.y"]))
    return away_m < INSIDE_M and at["cube.z"] < INSIDE_HEIGHT_M


THINGS = (
    CUBE,
    Thing(
        "bin",
        BIN_HALF_M + BIN_WALL_M,
        BIN_WALL_HEIGHT_M,
        nearest_m=0.08,
        surface=Surface(BIN_HALF_M, BIN_WALL_M, walled=True),
    ),
)
GOAL = Goal("the cube lies in the bin", "cube", _inside)
