"""How a pick and place ended, as success or one of seven failure classes, and what else an evaluation keeps of it.

The rules are asked from top to bottom and the first that holds decides, so that every episode gets exactly one outcome:

    | rule                                        | outcome             | in words                                         |
    |---------------------------------------------|---------------------|--------------------------------------------------|
    | `is_success` when the episode ended         | `success`           | in the bin, released, at rest, held              |
    | `holding` when the episode ended            | `timed_out_holding` | had the cube, not brought home in time           |
    | furthest stage PLACE                        | `timed_out`         | lay at rest in the bin, not for long enough      |
    | furthest stage TRANSPORT                    | `missed_bin`        | let go above the bin, did not come to rest in it |
    | furthest stage LIFT                         | `dropped`           | lifted it and lost it on the way                 |
    | GRASP or less, cube beyond `knocked_away_m` | `knocked_away`      | never lifted it, but pushed it away              |
    | furthest stage REACH or GRASP               | `missed_grasp`      | was at the cube and never lifted it              |
    | furthest stage START                        | `never_reached`     | did not come near the cube                       |

`stage`, `holding` and how far the cube is from where it lay at the start are those of `soarm.rollout.StepResult.info` after
the last step.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from soarm.tasks.pick_place.stages import Stage
from soarm.tasks.tabletop import CUBE_MOVED, HOLDING_AT_END, xy_columns, yaw_column
from soarm.tasks.task import in_words


class Outcome(enum.StrEnum):
    """How an episode ended; the order is that of the figures, from the furthest to the nearest."""

    SUCCESS = "success"
    TIMED_OUT = "timed_out"
    TIMED_OUT_HOLDING = "timed_out_holding"
    MISSED_BIN = "missed_bin"
    DROPPED = "dropped"
    MISSED_GRASP = "missed_grasp"
    KNOCKED_AWAY = "knocked_away"
    NEVER_REACHED = "never_reached"


LABELS = in_words(Outcome, timed_out="timed out in the bin", missed_bin="missed the bin")
"""Outcome -> the same in words."""
ENDING_COLUMNS = (HOLDING_AT_END, CUBE_MOVED)
SCENE_COLUMNS = (*xy_columns("cube"), yaw_column("cube"), *xy_columns("bin"))


def classify(last_info: Mapping[str, Any], knocked_away_m: float) -> Outcome:
    """Return the outcome of an episode by the table of this module.

    Args:
        last_info: After the last step: `is_success`, `stage` (furthest), `holding` and `moved_m`.
        knocked_away_m: A cube that was never lifted counts as knocked away beyond this distance [m].
    """
    stage = Stage(int(last_info["stage"]))
    if last_info["is_success"]:
        return Outcome.SUCCESS
    if last_info["holding"]:
        return Outcome.TIMED_OUT_HOLDING
    if stage >= Stage.LIFT:
        return {Stage.LIFT: Outcome.DROPPED, Stage.TRANSPORT: Outcome.MISSED_BIN, Stage.PLACE: Outcome.TIMED_OUT}[stage]
    if last_info["moved_m"] > knocked_away_m:
        return Outcome.KNOCKED_AWAY
    return Outcome.NEVER_REACHED if stage == Stage.START else Outcome.MISSED_GRASP
