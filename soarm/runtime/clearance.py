"""Plan moves that are no policy's: straight in joint space, and around what is in the way.

Where the straight way dips under the table or touches what stands on it, the hand goes straight up first, if it is in or
beside something, and then through poses from which the way is free. Of random poses with the hand up to 25 cm above the table,
a straight way to the parking pose dips more than a centimetre below it from 6 in 100. Knows the heights of wrist and fixed jaw
(`soarm.runtime.safety.lowest_m`) and the distance to the things of the task (`soarm.runtime.standing`), and no other obstacle.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import kinematics
from soarm.errors import FaultError
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.runtime.limits import Joints, Limits
from soarm.runtime.persist import passing, persist
from soarm.runtime.safety import lowest_m
from soarm.runtime.standing import Box, clearance_m

logger = logging.getLogger(__name__)
_SAMPLES = 33
_DIP_M = 0.002
"""Less is no dip: a hand on the table stands within it [m]."""
_CLEAR_M = 0.01
"""How far from a box the arm stays: more than its balls leave out of its corners (9 mm), and what a place is off [m]."""
_RISE_M, _MOST_RISE_M = 0.02, 0.2
_ASTRAY_M = 0.005
"""How far off straight up a pose may be: the jaws have as much room in a bin [m]."""
_PAN, _LIFT, _ELBOW, _WRIST, _ROLL = range(5)
_TURN_DEG = 3.0
_TRIED_AT_ONCE = 64
"""Poses tried between two beats: 50 ms on a small computer."""


def move_clear(arm: Arm, goal: ArrayLike, limits: Limits, each: Callable[[], None], around: Sequence[Box] = ()) -> None:
    """Take an arm that holds to where the straight way to a goal is free, if there is such a place.

    Args:
        arm: In HOLD.
        goal: Where it is to go then, shape (6,) [deg x 5, percent].
        limits: Range, and height of the table.
        each: See `Arm.move_to`.
        around: What stands on the table.

    Raises:
        FaultError: Something stops the arm on its way.
    """
    low, high = limits.lower, limits.upper
    first = waypoints(
        np.clip(arm.observe().q, low, high), np.clip(np.asarray(goal, np.float64), low, high), limits, around, each
    )
    if first:
        names = " and ".join(box.name for box in around)
        logger.info("going %s first", f"around {names}" if around else "over the table")
    for pose in first:
        arm.move_to(pose, each)


def go_clear(arm: Arm, goal: ArrayLike, limits: Limits, each: Callable[[], None], around: Sequence[Box] = ()) -> None:
    """Take an arm that holds to a goal, around what is in the way, and go on after what passes (`soarm.runtime.persist`).

    Args:
        arm: In HOLD.
        goal: Where it is to go, shape (6,) [deg x 5, percent].
        limits: Range, and height of the table.
        each: See `Arm.move_to`.
        around: What stands on the table.

    Raises:
        FaultError: Something stops the arm on its way, for good.
    """

    def go(each: Callable[[], None]) -> None:
        move_clear(arm, goal, limits, each, around)
        arm.move_to(goal, each)

    persist(arm, go, each, lambda: arm.state in (State.HOLD, State.ACTIVE) and not passing(arm))


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


def turned_clear(pose: tuple[float, ...], limits: Limits, around: Sequence[Box]) -> tuple[float, ...]:
    """Return a pose turned about the shoulder by as little as brings it clear of what stands there.

    Something may stand where the arm rests. Where no turn helps, the pose turned to where it is freest.

    Args:
        pose: Six numbers [deg x 5, percent].
        limits: Range.
        around: What stands on the table.
    """
    if not around:
        return pose
    wanted = np.clip(np.asarray(pose, np.float64), limits.lower, limits.upper)
    turns = np.arange(limits.lower[_PAN], limits.upper[_PAN], _TURN_DEG)
    turns = np.array([wanted[_PAN], *sorted(turns, key=lambda turn: abs(turn - wanted[_PAN]))])
    turned = np.tile(wanted, (len(turns), 1))
    turned[:, _PAN] = turns
    clear = clearance_m(turned, around)
    best = int(np.argmax(clear >= _CLEAR_M)) if (clear >= _CLEAR_M).any() else int(np.argmax(clear))
    if not best:
        return pose
    names = " or ".join(box.name for box in around)
    logger.info("the arm rests turned to %.0f deg: %s stands where it would rest", turns[best], names)
    return tuple(turned[best].tolist())


def waypoints(
    start: ArrayLike, goal: ArrayLike, limits: Limits, around: Sequence[Box] = (), each: Callable[[], None] = lambda: None
) -> list[Joints]:
    """Return the poses to go through before a goal, each of shape (6,) [deg x 5, percent]; none where the way is free.

    A way is free where it stays above the table and `_CLEAR_M` away from the boxes, or as far as start and goal are. Of the
    poses that differ from the start in lift, elbow and wrist alone, and the same turned to the goal, those with the shortest
    free way are taken; where no way is free, those of the one that is nearest to it.

    Args:
        start: Shape (6,) [deg x 5, percent].
        goal: Shape (6,).
        limits: Range, and height of the table.
        around: What stands on the table.
        each: Called between some of the poses that are tried.
    """
    begin, end = np.asarray(start, np.float64), np.asarray(goal, np.float64)
    rise = _straight_up(begin, limits, around)
    top = rise[-1] if rise else begin
    free = _Free.between(top, end, limits, around)
    if free.excess_m(top, end) >= 0:
        return rise
    tried, turned = _candidates(top, end, limits)
    best, most_m = 0, -np.inf
    for n in range(0, len(tried), _TRIED_AT_ONCE):
        each()
        some = slice(n, n + _TRIED_AT_ONCE)
        ways = (top, tried[some]), (tried[some], turned[some]), (turned[some], end)
        excess_m = np.minimum.reduce([free.excess_m(a, b) for a, b in ways])
        chosen = int(np.argmax(excess_m >= 0)) if (excess_m >= 0).any() else int(np.argmax(excess_m))
        if excess_m[chosen] > most_m:
            best, most_m = n + chosen, float(excess_m[chosen])
        if most_m >= 0:
            break
    if free.excess_m(tried[best], end) >= min(most_m, 0.0):
        return [*rise, tried[best]]
    return [*rise, tried[best], turned[best]]


class _Free(NamedTuple):
    """When a way is free: no lower than a height, and no nearer to boxes than a distance [m]."""

    lowest_m: float
    clear_m: float
    limits: Limits
    around: Sequence[Box]

    @classmethod
    def between(cls, start: Joints, goal: Joints, limits: Limits, around: Sequence[Box]) -> _Free:
        """Return what a way between two poses can keep."""
        ends = np.stack([start, goal])
        table_m = np.inf if limits.table_m is None else limits.table_m
        lowest = min(table_m, float(lowest_m(ends).min())) - _DIP_M
        return cls(lowest, min(_CLEAR_M, float(clearance_m(ends, around).min())) - _DIP_M, limits, around)

    def excess_m(self, start: Joints, goal: Joints) -> NDArray[np.float64]:
        """Return by how much straight ways are free, negative where not, for poses of shape (..., 6) that broadcast [m]."""
        share = np.linspace(0.0, 1.0, _SAMPLES)[:, None]
        a, b = start[..., None, :], goal[..., None, :]
        poses = a + (b - a) * share  # (..., samples, 6)
        clear = (clearance_m(poses, self.around) - self.clear_m).min(axis=-1)
        if self.limits.table_m is None:
            return np.asarray(clear)
        return np.asarray(np.minimum((lowest_m(poses) - self.lowest_m).min(axis=-1), clear))


def _straight_up(start: Joints, limits: Limits, around: Sequence[Box]) -> list[Joints]:
    """Return the poses that lift the hand out of what it is in or beside; none where it is clear, or cannot get clear so."""
    if float(clearance_m(start, around)) >= _CLEAR_M:
        return []
    tcp_m, rotation = kinematics.forward(start)
    heights = np.arange(_RISE_M, _MOST_RISE_M + _RISE_M / 2, _RISE_M)
    wanted = tcp_m + heights[:, None] * np.array([0.0, 0.0, 1.0])
    found = kinematics.solve_ik(wanted, np.broadcast_to(rotation, (len(heights), 3, 3)), start).q
    poses = np.clip(found, limits.lower, limits.upper)
    astray_m = np.linalg.norm(kinematics.forward(poses)[0][:, :2] - tcp_m[:2], axis=-1)
    rise: list[Joints] = []
    for pose, astray, clear in zip(poses, astray_m, clearance_m(poses, around), strict=True):
        if astray > _ASTRAY_M:
            break
        rise.append(pose)
        if clear >= _CLEAR_M:
            break
    return rise


def _candidates(start: Joints, goal: Joints, limits: Limits) -> tuple[Joints, Joints]:
    """Return poses with other values of the three joints that lift the hand, and the same turned to a goal, shapes (N, 6).

    Those with the shortest way from start to goal come first.
    """
    values = []
    for joint, n in ((_LIFT, 9), (_ELBOW, 9), (_WRIST, 5)):
        ends = limits.lower[joint], limits.upper[joint]
        values.append(np.unique([*np.linspace(*ends, n), np.clip(start[joint], *ends), np.clip(goal[joint], *ends)]))
    grid = np.stack(np.meshgrid(*values, indexing="ij"), axis=-1).reshape(-1, 3)
    poses = np.tile(start, (len(grid), 1))  # (N, 6)
    poses[:, [_LIFT, _ELBOW, _WRIST]] = grid
    turned = poses.copy()
    turned[:, [_PAN, _ROLL]] = goal[[_PAN, _ROLL]]
    way = np.abs(poses - start).max(axis=-1) + np.abs(goal - poses).max(axis=-1)
    order = np.argsort(way, kind="stable")
    return poses[order], turned[order]
