"""A scripted demonstrator of pick and place."""

from __future__ import annotations

import numpy as np

from soarm.sim.demonstrator import Vector
from soarm.sim.grasping import GraspDemonstrator
from soarm.tasks.pick_place.objects import OBJECTS
from soarm.tasks.pick_place.things import BIN_HALF_M, BIN_WALL_HEIGHT_M
from soarm.tasks.tabletop import elements

_BIN = elements(OBJECTS, "bin.x", 2)
_DROP_HEIGHT_M = BIN_WALL_HEIGHT_M + 0.022
"""Gripper point's height at release: the finger tips, 9 mm below it, clear the bin's walls."""


class Expert(GraspDemonstrator):
    """Carries the cube over the bin and drops it."""

    def goal_xy(self, objects: Vector) -> Vector:
        """Return the bin's centre, shape (2,) [m]."""
        return objects[_BIN]

    def placed(self, objects: Vector) -> bool:
        """Whether the cube lies in the bin."""
        return bool(np.abs(objects[:2] - objects[_BIN]).max() < BIN_HALF_M)

    def release_point(self, tcp: Vector, state: Vector, objects: Vector) -> Vector:
        """Return the point above the bin where it lets go, shape (3,) [m]."""
        return np.array([*tcp[:2], _DROP_HEIGHT_M])
