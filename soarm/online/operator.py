"""Who stands beside the arm: puts the things where they are to lie, and says how an episode ended. A person, or the twin.

Knows keys, places and sensors; moves no arm.
"""

from __future__ import annotations

import enum
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from soarm.errors import OnlineError
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.objects import CalledObjects, FileObjects, on_the_table
from soarm.runtime.sensors import Sensor
from soarm.sim.draw import draw_apart, draw_yaw
from soarm.sim.params import SimParams, TabletopParams
from soarm.spec import ENVIRONMENT_STATE
from soarm.tasks.task import Task
from soarm.twin.twin import Twin

logger = logging.getLogger(__name__)
READY, YES, NO, DISCARD = "\n", "y", "n", "x"
HELP = "y it is done  n it is not  x discard"


class Judgement(enum.Enum):
    """How an episode ended."""

    SUCCESS = "success"
    FAILURE = "failure"
    DISCARDED = "discarded"


_OF_KEY = {YES: Judgement.SUCCESS, NO: Judgement.FAILURE, DISCARD: Judgement.DISCARDED}


class Operator(Protocol):
    """Who resets and judges."""

    @property
    def needs_room(self) -> bool:
        """Whether the arm has to be out of the way while things are laid out."""

    def lay_out(self, seed: int, wait: Callable[[], None]) -> Mapping[str, Sensor]:
        """Have the things of a scene laid out, and return the sensors of its episode, feature key -> sensor.

        Args:
            seed: Of the scene.
            wait: Lets a moment pass, in which the arm is looked after; what it raises ends the wait.
        """

    def said(self) -> Judgement | None:
        """Return how the running episode ended, where that was said since the last call; once per control step."""

    def judge(self, sensed: bool, wait: Callable[[], None]) -> Judgement:
        """Return how an episode ended that the arm's side ended.

        Args:
            sensed: Whether the sensors say that the task is done.
            wait: See `lay_out`.
        """


class Place(NamedTuple):
    """Where a thing is to lie: x and y in the frame of the arm's base [m], and its yaw [deg]."""

    x: float
    y: float
    yaw_deg: float

    def words(self) -> str:
        """Return it for a person with a ruler."""
        return f"x {100 * self.x:+.1f} cm, y {100 * self.y:+.1f} cm, turned {self.yaw_deg:+.0f} deg"


def draw_places(sim: SimParams, seed: int) -> dict[str, Place]:
    """Draw where the things of a scene are to lie, in the sectors of the simulator's task.

    Raises:
        OnlineError: The task's things do not lie in sectors of a table.
    """
    if not isinstance(sim.task, TabletopParams):
        raise OnlineError(f"the places of the task {sim.sim_task.task.name} are not drawn in sectors; give --objects FILE")
    rng = np.random.default_rng(seed)
    places = draw_apart(rng, sim.task)
    turn = math.degrees(draw_yaw(rng)) / 4  # a cube looks the same after a quarter of a turn
    return {
        name: Place(float(at[0]), float(at[1]), turn if i == 0 else 0.0)
        for i, (name, at) in enumerate(zip(sim.task.things, places, strict=True))
    }


class Person:
    """Somebody at the table, with a keyboard.

    Args:
        sim: Where the things of a scene may lie.
        keys: Returns what was typed since the last call.
        objects: File that somebody keeps fresh; None takes the things to lie where they were asked for.
        confirms: Whether a person confirms what sensors say; else the sensors alone judge.
        say: Shows a line.
    """

    needs_room = True

    def __init__(
        self,
        sim: SimParams,
        keys: Callable[[], str],
        objects: Path | None,
        *,
        confirms: bool,
        say: Callable[[str], None] = logger.info,
    ) -> None:
        self._sim, self._keys, self._objects, self._confirms, self._say = sim, keys, objects, confirms, say

    def lay_out(self, seed: int, wait: Callable[[], None]) -> dict[str, Sensor]:
        """See `Operator`."""
        task, places = self._sim.sim_task.task, draw_places(self._sim, seed)
        where = "; ".join(f"{name}: {place.words()}" for name, place in places.items())
        self._say(f"put the things where they start, then take the hands away and press Enter. {where}")
        self._await(READY, wait)
        if self._objects is not None:
            return {ENVIRONMENT_STATE: FileObjects(task, self._objects)}
        return {ENVIRONMENT_STATE: CarriedObjects(task, on_the_table(task, places))}

    def said(self) -> Judgement | None:
        """See `Operator`."""
        return next((_OF_KEY[key] for key in self._keys() if key in _OF_KEY), None)

    def judge(self, sensed: bool, wait: Callable[[], None]) -> Judgement:
        """See `Operator`."""
        if not self._confirms:
            return Judgement.SUCCESS if sensed else Judgement.FAILURE
        goal = self._sim.sim_task.task.goal.words
        self._say(f"{goal}, the sensors say: {HELP}" if sensed else f"the episode is over; is it true that {goal}? {HELP}")
        return _OF_KEY[self._await("".join(_OF_KEY), wait)]

    def _await(self, allowed: str, wait: Callable[[], None]) -> str:
        while True:
            for key in self._keys():
                if key in allowed:
                    return key
            wait()


class TwinOperator:
    """The twin in the place of a person: it lays scenes out by itself, and the simulator says when the task is done.

    Args:
        twin: The twin.
        now: The clock of the sensors [s].
        keys: Read once per control step, for whoever takes over.
    """

    needs_room = False

    def __init__(self, twin: Twin, now: Callable[[], float], keys: Callable[[], str] = lambda: "") -> None:
        self.twin, self._now, self._keys = twin, now, keys

    @property
    def task(self) -> Task:
        """The task of its scenes."""
        return self.twin.task

    def lay_out(self, seed: int, wait: Callable[[], None]) -> dict[str, Sensor]:
        """See `Operator`; the arm is home at once."""
        self.twin.reset(seed)
        return {ENVIRONMENT_STATE: CalledObjects(self.task, self.twin.objects, self._now)}

    def said(self) -> Judgement | None:
        """See `Operator`."""
        self._keys()
        outcome = self.twin.outcome()
        if outcome is None or not (outcome.terminated or outcome.truncated):
            return None
        return Judgement.SUCCESS if outcome.terminated else Judgement.FAILURE

    def judge(self, sensed: bool, wait: Callable[[], None]) -> Judgement:
        """See `Operator`."""
        return self.said() or Judgement.FAILURE
