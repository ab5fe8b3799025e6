"""Both cubes, and when one stands on the other as far as sensors of a robot can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from soarm.tasks.tabletop import CUBE, CUBE_HALF_M
from soarm.tasks.thing import Goal, Surface

ON_TOP_M = CUBE_HALF_M
"""A cube's centre this close to the base's, seen from above, can rest on it: half an edge [m]."""
SEEN_ERROR_M = 0.005
"""How far heights may be from those of two cubes that lie flat: markers and trackers are off by a few millimetres [m]."""


def _on_the_base(at: Mapping[str, float], tcp_m: NDArray[np.float64]) -> bool:
    away_m = math.hypot(at["cube.x"] - at["base.x"], at["cube.y"] - at["base.y"])
    heights_m = at["base.z"] - CUBE_HALF_M, at["cube.z"] - at["base.z"] - 2 * CUBE_HALF_M
    return away_m < ON_TOP_M and max(map(abs, heights_m)) < SEEN_ERROR_M


THINGS = (CUBE, CUBE._replace(name="base", grip=None, surface=Surface(ON_TOP_M, 2 * CUBE_HALF_M, walled=False)))
GOAL = Goal("the cube stands on the base", "cube", _on_the_base)
