"""How a stacking ended, as success or one of eight failure classes, and what else an evaluation keeps of it.

The rules are asked from top to bottom and the first that holds decides, so that every episode gets exactly one outcome:

    | rule                                        | outcome             | in words                                           |
    |---------------------------------------------|---------------------|----------------------------------------------------|
    | `is_success` when the episode ended         | `success`           | on the base, released, both at rest, held          |
    | `holding` when the episode ended            | `timed_out_holding` | had the cube, not put down in time                 |
    | furthest stage STACK, `on_base` at the end  | `timed_out`         | stood at rest on the base, not for long enough     |
    | furthest stage STACK                        | `toppled`           | stood at rest on the base and fell or was knocked  |
    | furthest stage ALIGN                        | `missed_base`       | let go above the base, did not come to rest on it  |
    | furthest stage LIFT                         | `dropped`           | lifted it and lost it on the way                   |
    | GRASP or less, cube beyond `knocked_away_m` | `knocked_away`      | never lifted it, but pushed it away                |
    | furthest stage REACH or GRASP               | `missed_grasp`      | was at the cube and never lifted it                |
    | furthest stage START                        | `never_reached`     | did not come near the cube                         |

`stage`, `holding`, `on_base` and how far the cube is from where it lay at the start are those of
`soarm.rollout.StepResult.info` after the last step.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any

from soarm.tasks.stack.stages import Stage
from soarm.tasks.tabletop import CUBE_MOVED, HOLDING_AT_END, xy_columns, yaw_column
from soarm.tasks.task import in_words


class Outcome(enum.StrEnum):
    """How an episode ended; the order is that of the figures, from the furthest to the nearest."""

    SUCCESS = "success"
    TIMED_OUT = "timed_out"
    TOPPLED = "toppled"
    TIMED_OUT_HOLDING = "timed_out_holding"
    MISSED_BASE = "missed_base"
    DROPPED = "dropped"
    MISSED_GRASP = "missed_grasp"
    KNOCKED_AWAY = "knocked_away"
    NEVER_REACHED = "never_reached"


LABELS = in_words(Outcome, timed_out="timed out on the base", missed_base="missed the base")
"""Outcome -> the same in words."""
ENDING_COLUMNS = (HOLDING_AT_END, CUBE_MOVED)
SCENE_COLUMNS = (*xy_columns("cube"), yaw_column("cube"), *xy_columns("base"), yaw_column("base"))


def classify(last_info: Mapping[str, Any], knocked_away_m: float) -> Outcome:
    """Return the outcome of an episode by the table of this module.

    Args:
        last_info: After the last step: `is_success`, `stage` (furthest), `holding`, `on_base` and `moved_m`.
        knocked_away_m: A cube that was never lifted counts as knocked away beyond this distance [m].
    """
    stage = Stage(int(last_info["stage"]))
    if last_info["is_success"]:
        return Outcome.SUCCESS
    if last_info["holding"]:
        return Outcome.TIMED_OUT_HOLDING
    if stage == Stage.STACK:
        return Outcome.TIMED_OUT if last_info["on_base"] else Outcome.TOPPLED
    if stage >= Stage.LIFT:
        return Outcome.MISSED_BASE if stage == Stage.ALIGN else Outcome.DROPPED
    if last_info["moved_m"] > knocked_away_m:
        return Outcome.KNOCKED_AWAY
    return Outcome.NEVER_REACHED if stage == Stage.START else Outcome.MISSED_GRASP
