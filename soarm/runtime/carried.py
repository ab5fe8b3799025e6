"""Things that nobody sees: measured once, they lie there; one goes with the hand that holds it, and falls when released.

Knows the gripper's kinematics and what its position says of a thing between the fingers; no camera and no force. A thing that
is knocked away, or slips out of the hand, is where it was thought to be until somebody measures again; `tracked` hears of it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.errors import ObservationError
from soarm.runtime.plausible import require_plausible
from soarm.runtime.sensors import Stamped
from soarm.runtime.standing import support
from soarm.tasks.task import Task
from soarm.tasks.thing import Grip, Thing

logger = logging.getLogger(__name__)
_PRESSING_PERCENT = 3.0
"""How much further they were told to close [percent]."""
_STILL_PERCENT = 0.5
"""How little they move meanwhile from one control step to the next [percent]."""
_OPENED_PERCENT, _EMPTY_PERCENT = 1.0, 4.0
"""How much further open they are when it falls, unless they press on it meanwhile: then it turns between them; and how much
further closed when it is not there any more [percent]."""
_LEVEL = 0.7
"""Fingers that close on a thing on the table close along it: the level part of their direction."""
_POSE = ("x", "y", "z", "yaw4_cos", "yaw4_sin")
"""What has to be told of a thing that is followed in the hand."""


class _Grasp(NamedTuple):
    """A thing in the hand: its middle and its rotation in the hand's frame, and how open the fingers are around it."""

    thing: Thing
    offset_m: NDArray[np.float64]
    rotation: NDArray[np.float64]
    percent: float


class CarriedObjects:
    """Things as somebody measured them, and the one that the gripper carries; the value is always fresh.

    Args:
        task: Whose objects they are.
        objects: In the order of `Task.objects`.
        now: The clock [s].

    Raises:
        ObservationError: Not so many finite numbers, a thing cannot be there, or the task moves a thing that the gripper does
            not hold, which cannot be followed.
    """

    def __init__(self, task: Task, objects: ArrayLike, now: Callable[[], float] = time.monotonic) -> None:
        self.subject = task.subject
        followed(task)
        self._now, self._carrying = now, Carrying(task, require_plausible(task, objects, "objects"))

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        return Stamped(self._now(), self._carrying.objects.astype(np.float32))

    def update(self, q: ArrayLike, commanded: ArrayLike) -> None:
        """See `soarm.runtime.sensors.FollowsArm`."""
        self._carrying.update(q, commanded)


class Carrying:
    """Where things are thought to be; the one that the gripper holds goes with the hand.

    Args:
        task: Whose objects they are.
        objects: In the order of `Task.objects`.

    Attributes:
        objects: The same, as of the last `update`.
    """

    def __init__(self, task: Task, objects: ArrayLike) -> None:
        self._task, self._grips = task, gripped(task)
        self.objects = np.array(objects, np.float64)
        self._grasp: _Grasp | None = None
        self._before_percent = np.inf

    @property
    def held(self) -> str | None:
        """Name of the thing in the hand."""
        return None if self._grasp is None else self._grasp.thing.name

    def put(self, thing: Thing, objects: ArrayLike) -> None:
        """Take over where a thing is from `objects`; it is in no hand then."""
        if self.held == thing.name:
            self._grasp = None
        places = list(self._task.elements[thing.name].values())
        self.objects[places] = np.asarray(objects, np.float64)[places]

    def update(self, q: ArrayLike, commanded: ArrayLike) -> None:
        """Take in where the joints are and where they were sent last, (6,) each; once per control step."""
        tcp_m, rotation = kinematics.forward(q)
        percent = float(np.asarray(q)[arm.GRIPPER])
        still = abs(percent - self._before_percent) < _STILL_PERCENT
        self._before_percent = percent
        pressing = percent - float(np.asarray(commanded)[arm.GRIPPER]) > _PRESSING_PERCENT
        if self._grasp is None:
            if still and pressing:
                self._grasp = self._grasped(tcp_m, rotation, percent)
        elif (percent > self._grasp.percent + _OPENED_PERCENT and not pressing) or (
            percent < self._grasp.percent - _EMPTY_PERCENT
        ):
            self._drop(self._grasp.thing)
        if self._grasp is not None:
            middle_m, yaw4 = tcp_m + rotation @ self._grasp.offset_m, _yaw4(rotation @ self._grasp.rotation)
            self.objects[self._places(self._grasp.thing)] = [*middle_m, *yaw4]

    def _grasped(self, tcp_m: NDArray[np.float64], rotation: NDArray[np.float64], percent: float) -> _Grasp | None:
        """Return a grasp where a thing is between the fingers: in their middle, and a side of it along each finger."""
        level = float(np.linalg.norm(rotation[:2, 0]))
        for thing, grip in self._grips:
            offset_m = rotation.T @ (self._task.middle_m(thing, self.objects) - tcp_m)
            if level >= _LEVEL and _between(grip, offset_m, percent):
                across = rotation[:2, 0] / level
                lying = np.array([[across[0], -across[1], 0.0], [across[1], across[0], 0.0], [0.0, 0.0, 1.0]])
                logger.info("the fingers hold the %s", thing.name)
                return _Grasp(thing, offset_m * (0.0, 1.0, 1.0), rotation.T @ lying, percent)
        return None

    def _drop(self, thing: Thing) -> None:
        """Let a thing fall straight down, on or into what is below."""
        self._grasp = None
        places = self._places(thing)
        below, height_m = support(self._task, thing, self.objects)
        if below is not None and below.surface is not None and below.surface.walled:
            middle_m, room_m = self._task.middle_m(below, self.objects)[:2], below.surface.half_m - thing.half_m
            away_m = self.objects[places[:2]] - middle_m
            self.objects[places[:2]] = middle_m + np.clip(away_m, -room_m, room_m)
        self.objects[places[2]] = height_m
        length = np.hypot(*self.objects[places[3:]])
        if length > 0:
            self.objects[places[3:]] /= length
        logger.info("the fingers let the %s go over the %s", thing.name, "table" if below is None else below.name)

    def _places(self, thing: Thing) -> list[int]:
        return [self._task.elements[thing.name][element] for element in _POSE]


def followed(task: Task) -> list[tuple[Thing, Grip]]:
    """Return the things that go with the hand that holds them, and how it does.

    Raises:
        ObservationError: The task moves a thing that the gripper does not hold, which cannot be followed.
    """
    grips = gripped(task)
    if task.goal.thing not in (None, *(thing.name for thing, _ in grips)):
        raise ObservationError(
            f"the task {task.name} moves the {task.goal.thing} without holding it, so where it goes cannot be followed by "
            "the hand: give --objects FILE, which somebody who sees it keeps fresh"
        )
    return grips


def gripped(task: Task) -> list[tuple[Thing, Grip]]:
    """Return the things that the gripper can hold and whose whole pose is told, and how it holds them."""
    whole = [thing for thing in task.things if set(_POSE) <= set(task.elements[thing.name])]
    return [(thing, thing.grip) for thing in whole if thing.grip is not None]


def _between(grip: Grip, offset_m: NDArray[np.float64], percent: float) -> bool:
    least, most = grip.around_percent
    return bool((np.abs(offset_m) <= grip.near_m).all()) and least < percent < most


def _yaw4(rotation: NDArray[np.float64]) -> tuple[float, float]:
    """Return cosine and sine of four times a thing's yaw, averaged over its axes, as an objects feature has them."""
    mean = complex(((rotation[0] + 1j * rotation[1]) ** 4).sum() / 2)
    return mean.real, mean.imag
