"""When a task is done: the goal of the task has held for a while, its thing released and at rest.

The rule is that of the simulator (`soarm.sim.task`), with what a robot knows: readings of a thing's place in the place of its
velocity, and the gripper in the place of touch.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.runtime.sensors import Stamped
from soarm.tasks.task import Task

AT_REST_M = 0.005
"""A thing at rest is seen no farther than this from where it was: markers and trackers are off by a few millimetres [m]."""


class SuccessMonitor:
    """Tells whether a task is done.

    Args:
        task: The task.
        hold_s: How long its goal must have held [s].
    """

    def __init__(self, task: Task, hold_s: float) -> None:
        self._task, self._hold_s = task, hold_s
        self._thing = next((thing for thing in task.things if thing.name == task.goal.thing), None)
        self._since_s = math.inf
        self._there = np.zeros(3)

    def reached(self, objects: Stamped, q: ArrayLike) -> bool:
        """Return whether it is done; once per control step.

        Args:
            objects: The latest of them, in the order of `Task.objects`.
            q: Where the joints are, shape (6,) [deg x 5, percent].
        """
        values = np.asarray(objects.value, np.float64)
        tcp_m, _ = kinematics.forward(q)
        middle_m = tcp_m if self._thing is None else self._task.middle_m(self._thing, values)
        named = dict(zip(self._task.objects.names, values.tolist(), strict=True))
        if not (self._task.goal.reached(named, tcp_m) and self._let_go(middle_m, tcp_m, q)):
            self._since_s = math.inf
            return False
        if math.isinf(self._since_s) or float(np.linalg.norm(middle_m - self._there)) > AT_REST_M:
            self._since_s, self._there = objects.t_s, middle_m
        return objects.t_s - self._since_s >= self._hold_s

    def _let_go(self, middle_m: NDArray[np.float64], tcp_m: NDArray[np.float64], q: ArrayLike) -> bool:
        grip = None if self._thing is None else self._thing.grip
        if grip is None:
            return True
        away_m = float(np.linalg.norm(middle_m - tcp_m))
        return float(np.asarray(q)[arm.GRIPPER]) > grip.released_percent or away_m > grip.released_m
