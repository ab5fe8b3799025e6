"""How a push ended, as success or one of eight failure classes, and what else an evaluation keeps of it.

The rules are asked from top to bottom and the first that holds decides, so that every episode gets exactly one outcome:

    | rule                                         | outcome         | in words                                              |
    |----------------------------------------------|-----------------|-------------------------------------------------------|
    | `is_success` when the episode ended          | `success`       | in the square, on the table, at rest, let go of, held |
    | `lifted` when the episode ended              | `lifted`        | the cube was off the table                            |
    | `inside` when the episode ended              | `timed_out`     | in the square, but touched, moving or too late        |
    | furthest stage INSIDE or REST                | `pushed_out`    | was in the square and left it                         |
    | `radius_m` beyond `OUT_OF_REACH_M`           | `out_of_reach`  | lies where the gripper cannot get behind it           |
    | furthest stage NEAR                          | `missed_square` | came near the square, never into it                   |
    | furthest stage less, moved `knocked_away_m`  | `pushed_astray` | moved the cube, but not to the square                 |
    | furthest stage REACH or TOUCH                | `missed_cube`   | was at the cube and hardly moved it                   |
    | furthest stage START                         | `never_reached` | did not come near the cube                            |

`stage` and what stands in quotes are those of `soarm.rollout.StepResult.info` after the last step.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from soarm.tasks.push.stages import Stage
from soarm.tasks.tabletop import CUBE_MOVED, xy_columns, yaw_column
from soarm.tasks.task import Column, in_words

OUT_OF_REACH_M = 0.27
"""A cube whose middle is further than this from the shoulder's axis cannot be pushed back: fingers that point down end at
0.26 m."""


class Outcome(enum.StrEnum):
    """How an episode ended; the order is that of the figures, from the furthest to the nearest."""

    SUCCESS = "success"
    TIMED_OUT = "timed_out"
    LIFTED = "lifted"
    PUSHED_OUT = "pushed_out"
    MISSED_SQUARE = "missed_square"
    OUT_OF_REACH = "out_of_reach"
    PUSHED_ASTRAY = "pushed_astray"
    MISSED_CUBE = "missed_cube"
    NEVER_REACHED = "never_reached"


LABELS = in_words(
    Outcome,
    timed_out="timed out in the square",
    pushed_out="pushed out of the square",
    missed_square="missed the square",
    missed_cube="missed the cube",
)
"""Outcome -> the same in words."""
ENDING_COLUMNS = (
    Column("touching_at_end", bool, lambda info: bool(info["touching"])),  # whether a finger touched the cube at the end
    CUBE_MOVED,
)
SCENE_COLUMNS = (*xy_columns("cube"), yaw_column("cube"), *xy_columns("square"))


def classify(last_info: Mapping[str, Any], knocked_away_m: float) -> Outcome:
    """Return the outcome of an episode by the table of this module.

    Args:
        last_info: After the last step: `is_success`, `stage` (furthest), `lifted`, `inside`, `radius_m` and `moved_m`.
        knocked_away_m: A cube that never came near the square counts as pushed astray beyond this distance [m].
    """
    stage = Stage(int(last_info["stage"]))
    rules = (
        (last_info["is_success"], Outcome.SUCCESS),
        (last_info["lifted"], Outcome.LIFTED),
        (last_info["inside"], Outcome.TIMED_OUT),
        (stage >= Stage.INSIDE, Outcome.PUSHED_OUT),
        (last_info["radius_m"] > OUT_OF_REACH_M, Outcome.OUT_OF_REACH),
        (stage == Stage.NEAR, Outcome.MISSED_SQUARE),
        (last_info["moved_m"] > knocked_away_m, Outcome.PUSHED_ASTRAY),
        (stage >= Stage.REACH, Outcome.MISSED_CUBE),
        (True, Outcome.NEVER_REACHED),
    )
    return next(outcome for holds, outcome in rules if holds)
