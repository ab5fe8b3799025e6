"""How a run ends: the arm holds, is parked, and is let go, whatever happened and whatever comes meanwhile."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence

from soarm.errors import BusError, FaultError
from soarm.hardware import bringup
from soarm.hardware.driver import Arm
from soarm.hardware.signals import interrupts_held
from soarm.hardware.states import State
from soarm.runtime import way
from soarm.runtime.deadman import nobody
from soarm.runtime.limits import Limits
from soarm.runtime.standing import Box
from soarm.runtime.stopping import Signals

logger = logging.getLogger(__name__)


def wind_down(
    arm: Arm,
    beat: Callable[[], None],
    *,
    park: bool,
    signals: Signals | None = None,
    limits: Limits | None = None,
    around: Sequence[Box] = (),
) -> tuple[str, ...]:
    """Hold, park and let go, and let go whatever happens; a Ctrl-C on the way, or KeyboardInterrupt, lets go at once.

    An arm in FAULT is parked too, where its port and the other joints are sound: let go in the air it would fall.

    Args:
        arm: In any state.
        beat: Called while it moves; where nobody listens any more, it is parked all the same, with its whole torque.
        park: Whether it is parked.
        signals: Those that have come.
        limits: Range and height of the table; None for the usual ones.
        around: What stands on the table: the way to the parking pose, and that pose, are clear of it.

    Returns:
        Joints that may still be live.
    """
    said, limits = _or_alone(beat, arm), limits or _usual(arm)
    arm.config = dataclasses.replace(arm.config, park=way.aside(arm.config.park, limits, around))
    if signals is not None:
        signals.wind_down()

    def each() -> None:
        if signals is not None and signals.at_once:
            raise KeyboardInterrupt
        said()

    live: tuple[str, ...] = ()
    try:
        each()
        if arm.state is State.ACTIVE:
            arm.hold()
        if park and arm.state is State.HOLD:
            logger.info("parking; Ctrl-C lets go at once")
            way.lift(arm, arm.config.park, limits, each, around)
            arm.park(each)
        elif park and arm.state is State.FAULT:
            _park_in_fault(arm, each)
    except (FaultError, BusError) as error:
        logger.error("not parked: %s", error)
    except KeyboardInterrupt:
        logger.warning("not parked: let go at once")
    finally:
        live = _let_go(arm)
    if live:
        logger.error("%s may still be live: cut the power", ", ".join(live))
    return live


def _let_go(arm: Arm) -> tuple[str, ...]:
    """Release the arm, whatever comes; return the joints that may still be live."""
    while True:
        try:
            with interrupts_held():
                return arm.release()
        except (
            KeyboardInterrupt
        ):  # of a caller whose handlers raise: it struck before it was held back, or was delivered after
            logger.warning("interrupted while letting go; once more")


def _park_in_fault(arm: Arm, each: Callable[[], None]) -> None:
    if not arm.can_park():
        logger.error("not parked: %s; the port or a joint that carries the arm is not sound. It falls now", arm.fault)
        return
    logger.warning("parking in spite of the fault, with the joints that are sound: %s; Ctrl-C lets go at once", arm.fault)
    arm.park(each)


def _or_alone(beat: Callable[[], None], arm: Arm) -> Callable[[], None]:
    """Return a beat that goes on without a dead man's switch that is gone, and takes back what torque it took."""

    def each() -> None:
        nonlocal beat
        try:
            beat()
        except FaultError as error:
            logger.error("%s", error)
            beat = nobody
            bringup.write_ram(arm.bus, arm.calibration, arm.config)

    return each


def _usual(arm: Arm) -> Limits:
    return Limits.usual(arm.calibration.lower, arm.calibration.upper)
