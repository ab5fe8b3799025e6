"""Things that a tracker sees, but for the one in the hand and those that the arm hides.

A camera sees things on a table, not the arm; the control loop knows the arm. Here both come together: what is seen is where
the tracker says; what the fingers hold moves with the hand (`soarm.runtime.carried`); what is hidden is where it was last, for
a while. A tracker that does not say what it sees (`hidden` is None) follows everything itself, and is believed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.runtime.carried import Carrying
from soarm.runtime.sensors import Stamped
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

logger = logging.getLogger(__name__)
HIDDEN_S = 5.0
"""How long what the gripper can move may be hidden, in no hand, before its place counts as old [s]: an approach takes 2."""
STANDING_S = 60.0
"""The same for what stands still [s]."""
_LOST_S, _LOST_M = 0.5, 0.04
"""A thing that is seen for so long, so far from the hand that held it, has slipped out of it [s, m]."""
_STILL_M = 0.01
_IN_LINE_M = 0.03
"""Unless the hand is so near to the line of sight: a thing in the air is taken for one on the table behind it [m]."""


class TrackerFile(Protocol):
    """What is needed of `soarm.runtime.objects.FileObjects`."""

    @property
    def hidden(self) -> Mapping[str, float] | None:
        """Things that are not seen, and for how long [s]."""

    @property
    def camera_m(self) -> NDArray[np.float64] | None:
        """Where they are seen from, shape (3,) [m]."""

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""


class TrackedObjects:
    """Objects of a tracker, the one in the hand following the hand.

    Args:
        task: Whose objects they are.
        tracker: What says where they are, and what it sees.
        now: The clock of the tracker's values [s].
    """

    def __init__(self, task: Task, tracker: TrackerFile, now: Callable[[], float] = time.monotonic) -> None:
        self.subject = task.subject
        self._task, self._tracker, self._now = task, tracker, now
        self._carrying: Carrying | None = None
        self._joints: tuple[ArrayLike, ArrayLike] | None = None
        self._known_s: dict[str, float] = {}
        self._elsewhere: tuple[float, NDArray[np.float64]] | None = None

    def update(self, q: ArrayLike, commanded: ArrayLike) -> None:
        """See `soarm.runtime.sensors.FollowsArm`."""
        self._joints = q, commanded

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`; the value is as old as the tracker's, or what has been hidden for too long."""
        seen = self._tracker.read()
        if self._tracker.hidden is None:
            self._carrying = None
            return seen
        carrying = self._carrying = self._carrying or Carrying(self._task, seen.value)
        for thing in self._task.things:
            self._take(thing, seen, self._tracker.hidden, carrying)
        if self._joints is not None:
            carrying.update(*self._joints)
            self._joints = None
        if carrying.held is not None:
            self._known_s[carrying.held] = seen.t_s
        return Stamped(seen.t_s - max(map(self._overdue_s, self._task.things)), carrying.objects.astype(np.float32))

    def _take(self, thing: Thing, seen: Stamped, hidden: Mapping[str, float], carrying: Carrying) -> None:
        """Take over where a thing is, if it is seen and not in the hand."""
        if thing.name in hidden:
            self._known_s.setdefault(thing.name, seen.t_s - hidden[thing.name])
            if carrying.held == thing.name:
                self._elsewhere = None
        elif carrying.held != thing.name or self._slipped(thing, seen, carrying):
            carrying.put(thing, seen.value)
            self._known_s[thing.name] = seen.t_s

    def _slipped(self, thing: Thing, seen: Stamped, carrying: Carrying) -> bool:
        """Whether a thing that should be in the hand has been seen elsewhere, at rest, for long enough."""
        camera_m = self._tracker.camera_m
        at_m = self._task.middle_m(thing, np.asarray(seen.value, np.float64))
        hand_m = self._task.middle_m(thing, carrying.objects)
        if camera_m is None or np.linalg.norm(at_m - hand_m) < _LOST_M or _off_line_m(hand_m, camera_m, at_m) < _IN_LINE_M:
            self._elsewhere = None
            return False
        if self._elsewhere is None or np.linalg.norm(self._elsewhere[1] - at_m) > _STILL_M:
            self._elsewhere = seen.t_s, at_m
        slipped = seen.t_s - self._elsewhere[0] >= _LOST_S
        if slipped:
            logger.warning("the %s has slipped out of the hand: it is seen at x %.3f, y %.3f", thing.name, *at_m[:2])
            self._elsewhere = None
        return slipped

    def _overdue_s(self, thing: Thing) -> float:
        """Return for how long a thing has been hidden beyond what is allowed [s]."""
        moves = thing.grip is not None or thing.name == self._task.goal.thing
        return max(0.0, self._now() - self._known_s[thing.name] - (HIDDEN_S if moves else STANDING_S))


def _off_line_m(point_m: NDArray[np.float64], start_m: NDArray[np.float64], end_m: NDArray[np.float64]) -> float:
    """Return the distance of a point from the way between two others [m]."""
    way = end_m - start_m
    share = np.clip((point_m - start_m) @ way / max(float(way @ way), 1e-9), 0.0, 1.0)
    return float(np.linalg.norm(start_m + share * way - point_m))
