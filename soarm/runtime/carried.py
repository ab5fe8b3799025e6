"""The cube that nobody sees: measured once, it lies where it was, goes with the hand that holds it, and falls when let go.

Knows the gripper's kinematics and what its position says of a cube between the fingers; no camera and no force. A cube that is
knocked away, or slips out of the hand, is where it was thought to be until somebody measures again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.runtime.objects import Sight
from soarm.runtime.plausible import require_plausible
from soarm.runtime.standing import BIN_HALF_M, BIN_REST_M, CUBE_HALF_M

logger = logging.getLogger(__name__)
_NEAR_M = np.array([0.02, 0.02, 0.015])
"""How far from the gripper point a cube may be that the fingers close on, in the hand's frame [m]."""
_AROUND_PERCENT = (8.0, 28.0)
"""How open fingers are that hold the cube: 15.6 flat, more across its corners [percent]."""
_PRESSING_PERCENT = 3.0
"""How much further they were told to close [percent]."""
_STILL_PERCENT = 0.5
"""How little they move meanwhile from one control step to the next [percent]."""
_OPENED_PERCENT, _EMPTY_PERCENT = 1.0, 4.0
"""How much further open they are when it falls, and how much further closed when it is not there any more [percent]."""


_LEVEL = 0.7
"""Fingers that close on a cube on the table close along it: the level part of their direction."""


class _Grasp(NamedTuple):
    """A cube in the hand: its middle and its rotation in the hand's frame, and how open the fingers are around it."""

    offset_m: NDArray[np.float64]
    rotation: NDArray[np.float64]
    percent: float


class CarriedObjects:
    """Cube and bin as somebody measured them, and the cube as the gripper carries it; a sight is always fresh.

    Args:
        objects: Shape (7,), see `soarm.tasks.pick_place.objects.OBJECTS`.
        now: The clock [s].

    Raises:
        ObservationError: Not seven finite numbers, or cube or bin cannot be there.
    """

    def __init__(self, objects: ArrayLike, now: Callable[[], float] = time.monotonic) -> None:
        self._objects, self._now = require_plausible(objects, "objects").astype(np.float64), now
        self._grasp: _Grasp | None = None
        self._before_percent = np.inf

    def read(self) -> Sight:
        """See `soarm.runtime.objects.ObjectSource`."""
        return Sight(self._now(), self._objects.astype(np.float32))

    def feel(self, q: ArrayLike, told: ArrayLike) -> None:
        """Take in what the arm says; once per control step, before `read`.

        Args:
            q: Where the joints are, shape (6,) [deg x 5, percent].
            told: Where they were sent last, shape (6,).
        """
        tcp_m, rotation = kinematics.forward(q)
        percent = float(np.asarray(q)[arm.GRIPPER])
        still = abs(percent - self._before_percent) < _STILL_PERCENT
        self._before_percent = percent
        if self._grasp is None:
            pressing = percent - float(np.asarray(told)[arm.GRIPPER]) > _PRESSING_PERCENT
            if still and pressing and _AROUND_PERCENT[0] < percent < _AROUND_PERCENT[1]:
                self._take(tcp_m, rotation, percent)
        elif percent > self._grasp.percent + _OPENED_PERCENT or percent < self._grasp.percent - _EMPTY_PERCENT:
            self._let_fall()
        if self._grasp is not None:
            self._objects[:3] = tcp_m + rotation @ self._grasp.offset_m
            self._objects[3:5] = _yaw4(rotation @ self._grasp.rotation)

    def _take(self, tcp_m: NDArray[np.float64], rotation: NDArray[np.float64], percent: float) -> None:
        """Put the cube into the hand if it is between the fingers: in the middle, and a side of it along each finger."""
        offset_m = rotation.T @ (self._objects[:3] - tcp_m)
        level = float(np.linalg.norm(rotation[:2, 0]))
        if (np.abs(offset_m) > _NEAR_M).any() or level < _LEVEL:
            return
        across = rotation[:2, 0] / level
        lying = np.array([[across[0], -across[1], 0.0], [across[1], across[0], 0.0], [0.0, 0.0, 1.0]])
        self._grasp = _Grasp(offset_m * (0.0, 1.0, 1.0), rotation.T @ lying, percent)
        logger.info("the fingers hold the cube")

    def _let_fall(self) -> None:
        """Let the cube fall straight down, into the bin where that is below."""
        self._grasp = None
        away = self._objects[:2] - self._objects[5:7]
        inside = bool((np.abs(away) < BIN_HALF_M).all())
        if inside:
            room = BIN_HALF_M - CUBE_HALF_M
            self._objects[:2] = self._objects[5:7] + np.clip(away, -room, room)
        self._objects[2] = BIN_REST_M if inside else CUBE_HALF_M
        length = np.hypot(*self._objects[3:5])
        if length > 0:
            self._objects[3:5] /= length
        logger.info("the fingers let the cube go %s", "over the bin" if inside else "beside the bin")


def _yaw4(rotation: NDArray[np.float64]) -> tuple[float, float]:
    """Return cosine and sine of four times a cube's yaw, averaged over its axes, as `OBJECTS` has them."""
    mean = complex(((rotation[0] + 1j * rotation[1]) ** 4).sum() / 2)
    return mean.real, mean.imag
