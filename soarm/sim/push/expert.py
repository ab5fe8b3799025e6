"""A scripted demonstrator of the push.

It pushes with the sides of the closed fingers: two flats with a groove between them. A face of the cube lies against both
flats, a corner of it falls into the groove, so that the cube follows whatever its yaw. After each push the fingers let go;
a cube that is not inside then is pushed again, from where it is behind the cube now.
"""

from __future__ import annotations

import dataclasses
import enum

import numpy as np

from soarm import arm, kinematics
from soarm.quantities import NotNegative, NotNegativeRange
from soarm.sim.demonstrator import DOWN, Demonstrator, MotionParams, Vector
from soarm.sim.params import LengthRange, PositiveRange
from soarm.sim.push.draw import BEHIND_M
from soarm.tasks.push.objects import OBJECTS
from soarm.tasks.push.things import INSIDE_M
from soarm.tasks.tabletop import elements


@dataclasses.dataclass(frozen=True)
class PushExpertParams(MotionParams):
    """How the demonstrator pushes.

    Attributes:
        push_speed_m_per_s: Mean speed of the gripper point while pushing, range.
        approach_height_m: Height of the gripper point above the table on its way behind the cube, range.
        push_height_m: Height of the gripper point while pushing, range; the finger tips end 9 mm below it.
        aim_offset_m: Standard deviation of where a push ends, along it and to the side.
        settle_s: Pause at the end of a push, range [s].
    """

    push_speed_m_per_s: PositiveRange
    approach_height_m: LengthRange
    push_height_m: LengthRange
    aim_offset_m: NotNegative
    settle_s: NotNegativeRange


class Phase(enum.IntEnum):
    """What the demonstrator is doing."""

    APPROACH = 0
    DESCEND = 1
    PUSH = 2
    BACK = 3
    RISE = 4


_FINGERS_M = 0.011
"""From the gripper point to the groove between the closed fingers, against the direction in which the jaw opens."""
_CONTACT_M = 0.0205
"""From the groove to the middle of a cube that lies against the fingers: half their width, 8 mm, and half a cube."""
_BACK_M = 0.02
"""How far the fingers let go of the cube, backwards."""
_CUBE, _SQUARE = elements(OBJECTS, "cube.x", 2), elements(OBJECTS, "square.x", 2)
_CLOSED_PERCENT = 0.0


class Pusher(Demonstrator[PushExpertParams, Phase]):
    """Pushes the cube in a straight line to the square, and again until it is inside."""

    def next_phase(self, phase: Phase | None, state: Vector, objects: Vector) -> Phase:
        """Return what follows a phase; see `Demonstrator`. It stays in BACK while the cube is inside."""
        if phase is None or phase is Phase.RISE:
            return Phase.APPROACH
        if phase is Phase.BACK and np.abs(objects[_CUBE] - objects[_SQUARE]).max() < INSIDE_M:
            return Phase.BACK
        return Phase(phase + 1)

    def plan_phase(self, phase: Phase, state: Vector, objects: Vector) -> list[Vector]:
        """Return the joint targets of a phase; see `Demonstrator`."""
        habits = self.habits
        if phase is Phase.APPROACH:
            self._aim(objects)
            return self.move([*self._start_xy, habits["approach_height_m"]], _CLOSED_PERCENT)
        if phase is Phase.DESCEND:
            return self.move([*self._start_xy, habits["push_height_m"]], _CLOSED_PERCENT)
        if phase is Phase.PUSH:
            return self.paused(self._slide(self._end_xy), habits["settle_s"])
        if phase is Phase.BACK:
            return self._slide(self._end_xy - _BACK_M * self._direction)
        tcp, _ = kinematics.forward(self.sent)
        return self.move([*tcp[:2], habits["approach_height_m"]], _CLOSED_PERCENT)

    def _aim(self, objects: Vector) -> None:
        """Choose the line from cube to square, and the side of the fingers that leaves the moving jaw outside.

        Most pushes go around the base: for those the wrist is in the middle of its range then, and all that differ a little
        are pushed with the same side.
        """
        cube, way = objects[_CUBE], objects[_SQUARE] - objects[_CUBE]
        self._direction = way / np.linalg.norm(way)
        across = np.array([-self._direction[1], self._direction[0]])
        outwards = cube - kinematics.SHOULDER_XY_M
        self.opening = np.append(across if across @ outwards > 0 else -across, 0.0)
        along, aside = self.offsets["aim_offset_m"]
        groove = _FINGERS_M * self.opening[:2] + aside * across
        self._start_xy = cube + groove - BEHIND_M * self._direction
        self._end_xy = objects[_SQUARE] + groove + (along - _CONTACT_M) * self._direction

    def _slide(self, goal_xy: Vector) -> list[Vector]:
        """Plan a straight and level move of the gripper point, shape (2,) [m], with the fingers as they are."""
        tcp, _ = kinematics.forward(self.sent)
        way = np.array([*goal_xy, self.habits["push_height_m"]]) - tcp
        share = self.shares(float(np.linalg.norm(way)), self.habits["push_speed_m_per_s"])
        points = tcp + share[:, None] * way
        rotations = kinematics.gripper_rotation(DOWN, np.broadcast_to(self.opening, points.shape))
        plan = kinematics.solve_ik(points, rotations, self.sent).q
        plan[:, arm.GRIPPER] = _CLOSED_PERCENT
        return list(plan)
