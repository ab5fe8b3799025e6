"""Shut a run down: the arm holds, is parked and released, whatever happened and whatever comes meanwhile."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from soarm import arm as joints
from soarm.errors import BusError, FaultError
from soarm.hardware import bringup
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.runtime import clearance
from soarm.runtime.deadman import nobody
from soarm.runtime.limits import Limits
from soarm.runtime.persist import Each, passing, persist
from soarm.runtime.standing import Box
from soarm.signals import StopRequests, deferred_signals

logger = logging.getLogger(__name__)
_AT_REST_DEG = 8.0
"""An arm whose joints are all this near to the parking pose lies there, and falls nowhere when it is released [deg]."""


class Shutdown(NamedTuple):
    """How an arm was left.

    Attributes:
        live: Joints that may still be live.
        parked: Whether it lay in its parking pose when it was released; None where that was not asked, or it had no torque.
        lost: The port was gone, so the servos hold their last goals with full torque; see `DeadMan.stay`.
    """

    live: tuple[str, ...]
    parked: bool | None
    lost: bool


def shut_down(
    arm: Arm,
    beat: Callable[[], None],
    *,
    park: bool,
    signals: StopRequests | None = None,
    limits: Limits | None = None,
    around: Sequence[Box] = (),
) -> Shutdown:
    """Hold, park and release, and release whatever happens; a Ctrl-C on the way, or KeyboardInterrupt, releases at once.

    What holds the arm up on its way is waited for and mended (`soarm.runtime.persist`). An arm in FAULT is parked too, where
    its port and the joints that carry it are sound, or can be recovered: an arm that is released in the air falls.

    Args:
        arm: In any state.
        beat: Called while it moves; where nobody listens any more, it is parked all the same, with its whole torque.
        park: Whether it is parked.
        signals: Those that have come.
        limits: Range and height of the table; None for the usual ones.
        around: What stands on the table: the way to the parking pose, and that pose, are clear of it.
    """
    said = _or_alone(beat, arm)
    if signals is not None:
        signals.begin_shutdown()

    def each() -> None:
        if signals is not None and signals.at_once:
            raise KeyboardInterrupt
        said()

    parked = False if park and _has_torque(arm) else None
    try:
        each()
        if arm.state is State.ACTIVE:
            _hold(arm)
        if parked is False:
            _park(arm, limits or _usual(arm), each, around)
            parked = True
    except (FaultError, BusError) as error:
        logger.error("not parked: %s", _why(arm, error))
    except KeyboardInterrupt:
        logger.warning("not parked: released at once")
    finally:
        try:
            parked = _lies_at_rest(arm) if parked is False else parked
        finally:
            live = _let_go(arm)
    if live:
        logger.error("%s may still be live: cut the power", ", ".join(live))
    return Shutdown(live, parked, lost=bool(live) and not arm.bus.line.is_open)


def _has_torque(arm: Arm) -> bool:
    """Return whether an arm was brought up, so that it can be parked and can fall; one that was not is given no torque now."""
    return arm.state in (State.HOLD, State.ACTIVE) or (arm.state is State.FAULT and bool((arm.told >= 0).any()))


def _hold(arm: Arm) -> None:
    try:
        arm.hold()
    except FaultError as error:
        logger.error("could not hold: %s", error)


def _park(arm: Arm, limits: Limits, each: Each, around: Sequence[Box]) -> None:
    arm.config = dataclasses.replace(arm.config, park=clearance.turned_clear(arm.config.park, limits, around))
    if arm.state is not State.FAULT:
        logger.info("parking; Ctrl-C releases the arm at once")
    elif arm.can_park():
        logger.warning(
            "parking in spite of the fault, with the joints that are sound: %s; Ctrl-C releases the arm at once", arm.fault
        )

    def home(each: Each) -> None:
        if arm.state is State.HOLD and not passing(arm):
            clearance.move_clear(arm, arm.config.park, limits, each, around)
        arm.park(each)

    persist(arm, home, each, arm.can_park)


def _why(arm: Arm, error: Exception) -> str:
    if arm.can_park():
        return str(error)
    return f"{arm.fault or error}; the port or a joint that carries the arm is not sound"


def _lies_at_rest(arm: Arm) -> bool:
    """Return whether an arm that was not parked lies in its parking pose all the same; say how far it is from it if not."""
    if arm.seen is None:
        return False
    park = np.clip(arm.config.park, arm.calibration.lower, arm.calibration.upper)
    off = np.abs(arm.seen.q - park)
    far = [f"{joint} {x:.0f}" for i, (joint, x) in enumerate(zip(joints.JOINT_NAMES, off, strict=True)) if _counts(i, x)]
    if not far:
        return True
    how, what = ("RELEASED", "It falls now")
    if not arm.bus.line.is_open:
        how, what = ("LEFT", "It stays there until its power is cut, and then it falls")
    logger.error("%s ABOVE ITS REST POSE, from which it is %s degrees away. %s: support it", how, ", ".join(far), what)
    return False


def _counts(joint: int, off: float) -> bool:
    return joint != joints.GRIPPER and off > _AT_REST_DEG


def _let_go(arm: Arm) -> tuple[str, ...]:
    """Release the arm, whatever comes; return the joints that may still be live."""
    while True:
        try:
            with deferred_signals():
                return arm.release()
        except (
            KeyboardInterrupt
        ):  # of a caller whose handlers raise: it struck before it was held back, or was delivered after
            logger.warning("interrupted while releasing the arm; once more")


def _or_alone(beat: Callable[[], None], arm: Arm) -> Callable[[], None]:
    """Return a beat that goes on without a dead man's switch that is gone, and takes back what torque it took."""
    taken = False

    def each() -> None:
        nonlocal beat, taken
        try:
            beat()
        except FaultError as error:
            logger.error("%s", error)
            beat, taken = nobody, True
        if taken and arm.bus.line.is_open:
            try:
                bringup.write_ram(arm.bus, arm.calibration, arm.config)
            except BusError as error:  # a servo is silent now: in the next step
                logger.debug("%s", error)
            else:
                taken = False

    return each


def _usual(arm: Arm) -> Limits:
    return Limits.usual(arm.calibration.lower, arm.calibration.upper)
