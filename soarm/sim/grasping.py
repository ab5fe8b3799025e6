"""A demonstrator that picks up a cube and lets it go elsewhere; where and how, the task says."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import Annotated

import numpy as np

from soarm import arm, kinematics
from soarm.quantities import LOW_HIGH, NotNegative, NotNegativeRange, within
from soarm.sim.cubes import CUBE_HALF_M
from soarm.sim.demonstrator import DOWN, Demonstrator, MotionParams, Vector
from soarm.sim.params import LengthRange

_Percent = Annotated[float, within(least=0, most=100)]
_LOWEST_GRASP_M = 0.011
"""The finger tips end 9 mm below the gripper point."""
_HELD_M = 0.025
"""A cube this close to the gripper point after closing is held."""


@dataclasses.dataclass(frozen=True)
class GraspParams(MotionParams):
    """How the demonstrator picks up and lets go.

    Attributes:
        approach_height_m: Height of the gripper point above the table before descending, range.
        carry_height_m: Height while carrying, range.
        fixed_jaw_gap_m: Gap left between the cube and the fixed jaw when descending, range.
        grasp_offset_m: Standard deviation of the grasp point along the fingers' width and height.
        place_offset_m: Standard deviation of the release point in x and y.
        open_percent: How far the gripper opens, range [percent].
        close_percent: Where the gripper is sent to close on a cube; below the cube's width, so that it squeezes [percent].
        settle_s: Pause after closing and after opening, range [s].
    """

    approach_height_m: LengthRange
    carry_height_m: LengthRange
    fixed_jaw_gap_m: NotNegativeRange
    grasp_offset_m: NotNegative
    place_offset_m: NotNegative
    open_percent: Annotated[tuple[_Percent, _Percent], LOW_HIGH]
    close_percent: _Percent
    settle_s: NotNegativeRange

    def __post_init__(self) -> None:
        if not self.close_percent < self.open_percent[0]:
            raise ValueError(
                f"close_percent is {self.close_percent}; it must be below open_percent ({list(self.open_percent)})"
            )


class Phase(enum.IntEnum):
    """What the demonstrator is doing."""

    APPROACH = 0
    DESCEND = 1
    CLOSE = 2
    LIFT = 3
    CARRY = 4
    LOWER = 5
    OPEN = 6
    RETREAT = 7


class GraspDemonstrator(Demonstrator[GraspParams, Phase]):
    """Picks up the cube that comes first among the objects, and tries again when it missed or lost it.

    A task's own gives `goal_xy`, `placed` and `release_point`.
    """

    def goal_xy(self, objects: Vector) -> Vector:
        """Return where the cube belongs, shape (2,) [m]."""
        raise NotImplementedError

    def placed(self, objects: Vector) -> bool:
        """Whether the cube lies where it belongs."""
        raise NotImplementedError

    def release_point(self, tcp: Vector, state: Vector, objects: Vector) -> Vector:
        """Return where the gripper point lets the cube go, shape (3,) [m].

        Args:
            tcp: Where the gripper point was last sent: above the goal, shape (3,) [m].
            state: Joint positions, shape (6,) [deg x 5, percent].
            objects: Environment state.
        """
        raise NotImplementedError

    def next_phase(self, phase: Phase | None, state: Vector, objects: Vector) -> Phase:
        """Return what follows a phase; see `Demonstrator`."""
        if phase is None:
            return Phase.APPROACH
        if phase is Phase.RETREAT:
            return Phase.RETREAT if self.placed(objects) else Phase.APPROACH
        if phase in (Phase.LIFT, Phase.CARRY) and math.dist(kinematics.forward(state)[0], objects[:3]) >= _HELD_M:
            return Phase.APPROACH
        return Phase(phase + 1)

    def plan_phase(self, phase: Phase, state: Vector, objects: Vector) -> list[Vector]:
        """Return the joint targets of a phase; see `Demonstrator`."""
        tcp, _ = kinematics.forward(self.sent)
        habits, grip = self.habits, float(self.sent[arm.GRIPPER])
        if phase is Phase.APPROACH:
            self.opening = self.face_normal(objects[:2], objects[3:5])
            return self.move([*self._grasp_point(objects)[:2], habits["approach_height_m"]], habits["open_percent"])
        if phase is Phase.DESCEND:
            return self.move(self._grasp_point(objects), grip)
        if phase is Phase.CLOSE:
            return self.squeeze(self.params.close_percent, habits["settle_s"])
        if phase is Phase.CARRY:
            goal_xy = self.goal_xy(objects)
            self.opening = self.turned_with_arm(tcp[:2], goal_xy)
            return self.move([*(goal_xy + self.offsets["place_offset_m"]), habits["carry_height_m"]], grip)
        if phase is Phase.LOWER:
            return self.move(self.release_point(tcp, state, objects), grip)
        if phase is Phase.OPEN:
            return self.squeeze(habits["open_percent"], habits["settle_s"])
        return self.move([tcp[0], tcp[1], habits["carry_height_m"]], grip)  # LIFT, RETREAT

    def _grasp_point(self, objects: Vector) -> Vector:
        """Return where the gripper point goes: beside the cube's centre, so that the fixed jaw passes it with a gap."""
        along, up = self.offsets["grasp_offset_m"]
        across = np.cross(DOWN, self.opening)
        point: Vector = objects[:3] - self.habits["fixed_jaw_gap_m"] * self.opening + along * across
        point[2] = max(CUBE_HALF_M + up, _LOWEST_GRASP_M)
        return point
