"""Why an episode failed, as one of seven classes.

Knows the stages of pick and place and nothing of the simulator. The rules are asked from top to bottom and the first that
holds decides, so that every episode gets exactly one outcome:

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

from soarm.rollout import Stage


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


FAILURES: tuple[Outcome, ...] = tuple(outcome for outcome in Outcome if outcome is not Outcome.SUCCESS)
"""The failure classes, furthest first."""


def classify(*, success: bool, stage: Stage, holding: bool, cube_moved_m: float, knocked_away_m: float) -> Outcome:
    """Return the outcome of an episode by the table of this module.

    Args:
        success: `is_success` after the last step.
        stage: Furthest stage reached.
        holding: Whether the gripper holds the cube after the last step.
        cube_moved_m: Distance in the plane from the cube's start to where it is after the last step [m].
        knocked_away_m: A cube that was never lifted counts as knocked away beyond this distance [m].
    """
    if success:
        return Outcome.SUCCESS
    if holding:
        return Outcome.TIMED_OUT_HOLDING
    if stage >= Stage.LIFT:
        return {Stage.LIFT: Outcome.DROPPED, Stage.TRANSPORT: Outcome.MISSED_BIN, Stage.PLACE: Outcome.TIMED_OUT}[stage]
    if cube_moved_m > knocked_away_m:
        return Outcome.KNOCKED_AWAY
    return Outcome.NEVER_REACHED if stage == Stage.START else Outcome.MISSED_GRASP
