"""The way of a move that is no policy's: straight in the joints, and where the hand would dip under the table, lifted first.

Of random poses with the hand up to 25 cm above the table, a straight way to the parking pose dips more than a centimetre below
it from 6 in 100. Knows the kinematics of wrist and fixed jaw (`soarm.runtime.safety.lowest_m`), and no other obstacle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import FaultError
from soarm.hardware.driver import Arm
from soarm.runtime.limits import Joints, Limits
from soarm.runtime.safety import lowest_m

logger = logging.getLogger(__name__)
_SAMPLES = 33
_DIP_M = 0.002
"""Less is no dip: a hand on the table stands within it [m]."""
_LIFT, _ELBOW, _WRIST = 1, 2, 3


def lift(arm: Arm, goal: ArrayLike, limits: Limits, each: Callable[[], None]) -> None:
    """Take an arm that holds to where no dip is on its straight way to a goal, if there is one.

    Args:
        arm: In HOLD.
        goal: Where it is to go then, shape (6,) [deg x 5, percent].
        limits: Range, and height of the table.
        each: See `Arm.move_to`.

    Raises:
        FaultError: Something stops the arm on its way.
    """
    low, high = limits.lower, limits.upper
    first = over(np.clip(arm.observe().q, low, high), np.clip(np.asarray(goal, np.float64), low, high), limits)
    if first is not None:
        logger.info("lifting the hand over the table first")
        arm.move_to(first, each)


def require_speed(speed: float, limits: Limits) -> None:
    """Refuse moves that are faster than a policy may be.

    Raises:
        FaultError: Names both speeds.
    """
    allowed = float(limits.velocity.min())
    if not 0 < speed <= allowed:
        raise FaultError(
            f"park_speed is {speed:g} deg/s; the limits allow {allowed:g}. Lower it in the arm's settings: 40 is usual"
        )


def over(start: ArrayLike, goal: ArrayLike, limits: Limits) -> Joints | None:
    """Return where to go first, shape (6,) [deg x 5, percent]; None where the straight way will do.

    Of the poses that differ from the start in lift, elbow and wrist alone, the nearest from and to which no way dips under the
    table, or lower than start and goal are; where every way dips, the one that dips least.

    Args:
        start: Shape (6,) [deg x 5, percent].
        goal: Shape (6,).
        limits: Range, and height of the table.
    """
    if limits.table_m is None:
        return None
    begin, end = np.asarray(start, np.float64), np.asarray(goal, np.float64)
    floor_m = min(limits.table_m, float(lowest_m(begin)), float(lowest_m(end))) - _DIP_M
    if _lowest_on_the_way(begin, end) >= floor_m:
        return None
    tried = _candidates(begin, end, limits)
    heights = np.minimum(_lowest_on_the_way(begin, tried), _lowest_on_the_way(tried, end))
    far = np.abs(tried - begin).max(axis=-1)
    good = heights >= floor_m
    best = np.argmin(np.where(good, far, np.inf)) if good.any() else np.argmax(heights)
    return np.asarray(tried[best])


def _candidates(start: Joints, goal: Joints, limits: Limits) -> Joints:
    """Return poses with other values of the three joints that lift the hand, shape (N, 6)."""
    values = []
    for joint, n in ((_LIFT, 9), (_ELBOW, 9), (_WRIST, 5)):
        ends = limits.lower[joint], limits.upper[joint]
        values.append(np.unique([*np.linspace(*ends, n), np.clip(start[joint], *ends), np.clip(goal[joint], *ends)]))
    grid = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, 3)
    poses = np.tile(start, (len(grid), 1))  # (N, 6)
    poses[:, [_LIFT, _ELBOW, _WRIST]] = grid
    return poses


def _lowest_on_the_way(start: Joints, goal: Joints) -> NDArray[np.float64]:
    """Return the least height on straight ways, shape (...) for poses of shape (..., 6) that broadcast [m]."""
    share = np.linspace(0.0, 1.0, _SAMPLES)[:, None]
    a, b = start[..., None, :], goal[..., None, :]
    return np.asarray(lowest_m(a + (b - a) * share).min(axis=-1))
