"""Cube and square, and when the cube lies in the square as far as sensors of a robot can tell.

The simulator builds its bodies from the same numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from soarm.tasks.tabletop import CUBE, CUBE_HALF_M
from soarm.tasks.thing import Goal, Thing

INSIDE_M = 0.01
"""A cube whose middle is this close to the square's in x and in y is inside."""
LIFTED_M = 0.01
"""A cube this high above the table is lifted: one that stands on an edge is at most 5 mm higher than a flat one."""
SQUARE_HALF_M = CUBE_HALF_M + INSIDE_M
"""Half the edge of the mark: a cube that is inside and not turned against the mark does not overlap its edge."""
LET_GO_M = 0.03
"""A gripper point this far from the cube's middle touches it no more: when the fingers push it is 23 mm."""


def _inside(at: Mapping[str, float], tcp_m: NDArray[np.float64]) -> bool:
    cube_m = (at["cube.x"], at["cube.y"], at["cube.z"])
    away_m = max(abs(at["cube.x"] - at["square.x"]), abs(at["cube.y"] - at["square.y"]))
    return away_m < INSIDE_M and at["cube.z"] - CUBE_HALF_M < LIFTED_M and math.dist(cube_m, tcp_m) > LET_GO_M


THINGS = (CUBE._replace(grip=None), Thing("square", SQUARE_HALF_M, height_m=0.0, nearest_m=0.05))
GOAL = Goal("the cube lies in the square", "cube", _inside)
