"""Stack as a `Task`: what a policy is told of both cubes, and the terms of the residual observation."""

from __future__ import annotations

from soarm.tasks.residual_observation import Term
from soarm.tasks.stack import outcomes
from soarm.tasks.stack.stages import Stage
from soarm.tasks.stack.things import GOAL, THINGS
from soarm.tasks.tabletop import (
    COARSE_M,
    FINE_M,
    between,
    cube,
    elements,
    from_gripper,
    in_jaw,
    in_plane,
    joined,
    turn_between,
    turn_from_jaw,
)
from soarm.tasks.task import Task

OBJECTS = joined(cube("cube"), cube("base"))
"""Environment state: the poses of the cube to be put down and of the one below, shape (5,) each."""

_CUBE, _BASE = elements(OBJECTS, "cube.x", 3), elements(OBJECTS, "base.x", 3)
_CUBE_YAW4, _BASE_YAW4 = elements(OBJECTS, "cube.yaw4_cos", 2), elements(OBJECTS, "base.yaw4_cos", 2)
_TO_CUBE, _TO_BASE = from_gripper(_CUBE), between(_CUBE, _BASE)

STACK = Task(
    name="stack",
    env_id="SoArm/Stack-v0",
    instruction="Put the blue cube onto the orange cube.",
    objects=OBJECTS,
    things=THINGS,
    goal=GOAL,
    stages=Stage,
    terms=("reach", "grasp", "lift", "align", "stack"),
    residual=(
        Term("cube_offset", 3, _TO_CUBE),  # gripper point to cube [m]
        Term("base_offset", 3, _TO_BASE),  # cube to base [m]
        Term("cube_in_plane", 3, in_plane(_TO_CUBE), (FINE_M, COARSE_M)),  # gripper point to cube: outwards, sideways, up [m]
        Term("cube_in_jaw", 3, in_jaw(_TO_CUBE), (FINE_M, COARSE_M)),  # the same in the fixed jaw's frame [m]
        Term("base_in_plane", 3, in_plane(_TO_BASE), (FINE_M, COARSE_M)),  # cube to base: outwards, sideways, up [m]
        Term("cube_turn", 2, turn_from_jaw(_CUBE_YAW4)),  # of four times the angle from jaw to cube
        Term("base_turn", 2, turn_between(_CUBE_YAW4, _BASE_YAW4)),  # of four times the angle from cube to base
    ),
    outcomes=outcomes.LABELS,
    classify=outcomes.classify,
    ending_columns=outcomes.ENDING_COLUMNS,
    scene_columns=outcomes.SCENE_COLUMNS,
)
