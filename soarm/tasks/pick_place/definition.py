"""Pick and place as a `Task`."""

from __future__ import annotations

from soarm.tasks.pick_place import outcomes, residual_features
from soarm.tasks.pick_place.objects import OBJECTS
from soarm.tasks.pick_place.stages import Stage
from soarm.tasks.pick_place.things import GOAL, THINGS
from soarm.tasks.task import Task

PICK_PLACE = Task(
    name="pick_place",
    env_id="SoArm/PickPlace-v0",
    instruction="Pick up the cube and place it in the bin.",
    objects=OBJECTS,
    things=THINGS,
    goal=GOAL,
    stages=Stage,
    terms=("reach", "grasp", "lift", "transport", "place"),
    residual=residual_features.TERMS,
    outcomes=outcomes.LABELS,
    classify=outcomes.classify,
    ending_columns=outcomes.ENDING_COLUMNS,
    scene_columns=outcomes.SCENE_COLUMNS,
)
