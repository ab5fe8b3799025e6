"""A scripted demonstrator of stack."""

from __future__ import annotations

import math

import numpy as np

from soarm import arm, kinematics
from soarm.sim.cubes import CUBE_HALF_M
from soarm.sim.demonstrator import Vector
from soarm.sim.grasping import GraspDemonstrator, Phase
from soarm.sim.stack.rules import HEIGHT_ERROR_M
from soarm.tasks.stack.definition import OBJECTS
from soarm.tasks.stack.things import ON_TOP_M
from soarm.tasks.tabletop import elements

_RELEASE_GAP_M = 0.003
"""Height above the base at which the cube is let go."""
_BASE, _BASE_XY = elements(OBJECTS, "base.x", 3), elements(OBJECTS, "base.x", 2)


class Expert(GraspDemonstrator):
    """Carries the cube over the base, puts it down by where the cube is in the hand, and leaves sideways, then upwards."""

    def goal_xy(self, objects: Vector) -> Vector:
        """Return the base's centre, shape (2,) [m]."""
        return objects[_BASE_XY]

    def placed(self, objects: Vector) -> bool:
        """Whether the cube lies on the base."""
        x, y, z = objects[:3] - objects[_BASE]
        return math.hypot(x, y) < ON_TOP_M and abs(z - 2 * CUBE_HALF_M) < HEIGHT_ERROR_M

    def release_point(self, tcp: Vector, state: Vector, objects: Vector) -> Vector:
        """Return where the gripper point brings the cube just above the base, shape (3,) [m]."""
        in_hand = objects[:3] - kinematics.forward(state)[0]  # both lag behind what was sent
        above = np.array([*self.offsets["place_offset_m"], 2 * CUBE_HALF_M + _RELEASE_GAP_M])
        point: Vector = objects[_BASE] + above - in_hand
        return point

    def plan_phase(self, phase: Phase, state: Vector, objects: Vector) -> list[Vector]:
        """Return the joint targets of a phase; see `Demonstrator`."""
        if phase is not Phase.RETREAT or not self._beside(state, objects):
            return super().plan_phase(phase, state, objects)
        # The fixed jaw still touches the cube: it leaves by the gap it came with, before it goes up.
        tcp, _ = kinematics.forward(self.sent)
        aside = self.move(tcp - self.habits["fixed_jaw_gap_m"] * self.opening, float(self.sent[arm.GRIPPER]))
        self.sent = aside[-1]
        return aside + super().plan_phase(phase, state, objects)

    def _beside(self, state: Vector, objects: Vector) -> bool:
        return math.dist(kinematics.forward(state)[0], objects[:3]) < 2 * CUBE_HALF_M
