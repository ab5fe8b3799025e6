"""When the task is done: the cube lies in the bin, let go and at rest.

The rule is that of the simulator (`soarm.sim.task`), with what a robot knows: sights of the cube in the place of its velocity,
and the gripper in the place of touch. A test holds the numbers against the simulator's.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from soarm import arm, kinematics
from soarm.runtime.objects import Sight
from soarm.runtime.standing import BIN_HALF_M, BIN_WALL_HEIGHT_M

IN_THE_BIN = "the cube lies in the bin"
INSIDE_M = BIN_HALF_M - 0.008
"""The cube's middle is no farther from the bin's in x and in y, or it lies on the rim [m]."""
INSIDE_HEIGHT_M = BIN_WALL_HEIGHT_M - 0.01
"""And is lower than this [m]."""
AT_REST_M = 0.005
"""A cube at rest is seen no farther than this from where it was: markers and trackers are off by a few millimetres [m]."""
_IN_HAND_M = 0.025
"""A cube in the hand is no farther from the gripper point; one that was let go over the bin falls 4 cm [m]."""
_OPEN_PERCENT = 30.0
"""The fingers hold nothing of the cube's size when they are further open; 15.6 when they hold it [percent]."""


class InTheBin:
    """Tells whether the cube has come to lie in the bin.

    Args:
        hold_s: How long it must have lain there [s].
    """

    def __init__(self, hold_s: float) -> None:
        self._hold_s = hold_s
        self._since_s = math.inf
        self._there = np.zeros(3)

    def reached(self, sight: Sight, q: ArrayLike) -> bool:
        """Return whether it lies there; once per control step.

        Args:
            sight: The latest of cube and bin.
            q: Where the joints are, shape (6,) [deg x 5, percent].
        """
        objects = np.asarray(sight.objects, np.float64)
        cube, bin_xy = objects[:3], objects[5:7]
        inside = bool((np.abs(cube[:2] - bin_xy) < INSIDE_M).all()) and cube[2] < INSIDE_HEIGHT_M
        tcp_m, _ = kinematics.forward(q)
        let_go = float(np.asarray(q)[arm.GRIPPER]) > _OPEN_PERCENT or float(np.linalg.norm(cube - tcp_m)) > _IN_HAND_M
        if not (inside and let_go):
            self._since_s = math.inf
            return False
        if math.isinf(self._since_s) or float(np.linalg.norm(cube - self._there)) > AT_REST_M:
            self._since_s, self._there = sight.t_s, cube
        return sight.t_s - self._since_s >= self._hold_s
