"""Push as a `Task`."""

from __future__ import annotations

from soarm.tasks.push import outcomes, residual_features
from soarm.tasks.push.objects import OBJECTS
from soarm.tasks.push.stages import Stage
from soarm.tasks.push.things import GOAL, THINGS
from soarm.tasks.task import Task

PUSH = Task(
    name="push",
    env_id="SoArm/Push-v0",
    instruction="Push the cube into the square.",
    objects=OBJECTS,
    things=THINGS,
    goal=GOAL,
    stages=Stage,
    terms=("reach", "touch", "push", "rest"),
    residual=residual_features.TERMS,
    outcomes=outcomes.LABELS,
    classify=outcomes.classify,
    ending_columns=outcomes.ENDING_COLUMNS,
    scene_columns=outcomes.SCENE_COLUMNS,
)
