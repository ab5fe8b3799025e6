"""Go on with a slow move after a fault that passes: a silent servo, a sagging supply, an overload, a pulled cable.

The control loop holds an arm and goes on (`soarm.runtime.watchdogs`); so do the moves that are no policy's, to where a run
starts and to the parking pose. A missed answer is usual on a busy machine, and an arm that is released for it falls.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from numpy.typing import ArrayLike

from soarm.errors import BusError, FaultError
from soarm.hardware.driver import Arm
from soarm.hardware.moves import MOVE_HZ
from soarm.hardware.registers import Status
from soarm.hardware.states import State
from soarm.runtime import clearance
from soarm.runtime.limits import Limits
from soarm.runtime.standing import Box

logger = logging.getLogger(__name__)
Each = Callable[[], None]
MOST_STOPS = 20
"""How often a move may be held up. Of 14 runs on a busy machine 4 were held up once or twice; a joint that holds it up more
often is broken."""
_CALM_STEPS = 10
"""The arm goes on after so many steps in a row without a cause: 0.2 s."""
_RETRY_STEPS = 10
"""Steps between two attempts to open a port that is gone: 0.2 s."""


def persist(arm: Arm, go: Callable[[Each], None], each: Each, able: Callable[[], bool]) -> None:
    """Move until the arm is there: where it is held up, wait, mend what can be mended, and plan the way anew from where it is.

    An arm in FAULT is recovered as often as its settings allow (`Arm.recover`), unless it is able to go without that, or was
    switched off meanwhile.

    Args:
        arm: In any state but LIMP and DISCONNECTED.
        go: Makes the whole move; called with `each`, again after every stop.
        each: Called in every step, of the move and while it waits; what it raises ends the move.
        able: Whether the move may be made as the arm is now.

    Raises:
        FaultError: The arm is not able to move, or was held up too often.
    """
    asked = _Asked(each)
    given_up: set[int] = set()
    why = arm.fault
    for n_stops in range(MOST_STOPS + 1):
        try:
            _make_ready(arm, asked, given_up, recover=n_stops > 0 or not able())
            if not able():
                break
            go(asked)
            return
        except (FaultError, BusError) as error:
            if asked.ended:
                raise
            why = str(error)
            logger.warning("held up on its way: %s", error)
    raise FaultError(f"the move was given up: {why}")


def travel(arm: Arm, pose: ArrayLike, limits: Limits, each: Each, around: Sequence[Box] = ()) -> None:
    """Move to a pose clear of what stands on the table, and hold there; go on after a fault that passes.

    Args:
        arm: In any state but LIMP and DISCONNECTED.
        pose: Shape (6,) [deg x 5, percent].
        limits: Range, and height of the table.
        each: Called in every step; what it raises ends the move.
        around: What stands on the table.

    Raises:
        FaultError: The arm is not able to move, or was held up too often.
    """

    def go(each: Each) -> None:
        clearance.move_clear(arm, pose, limits, each, around)
        arm.move_to(pose, each)

    persist(arm, go, each, lambda: _moves(arm))


def bring_back(arm: Arm, each: Each) -> None:
    """Bring an arm back that stopped: wait for its port and for what passes, and clear a fault.

    Args:
        arm: In any state but LIMP and DISCONNECTED.
        each: Called in every step; what it raises ends the wait.

    Raises:
        FaultError: It does not come back.
    """
    persist(arm, lambda each: None, each, lambda: _moves(arm))


def _moves(arm: Arm) -> bool:
    return arm.state in (State.HOLD, State.ACTIVE) and not passing(arm)


def passing(arm: Arm) -> frozenset[int]:
    """Return the joints that the arm holds for, and that may be well again by themselves: silent, or badly supplied."""
    seen, (low, high) = arm.seen, arm.config.volts
    if seen is None:
        return frozenset()
    silent = (misses >= arm.config.hold_after_misses for misses in seen.misses)
    supplied = (low <= one.voltage_v <= high and not one.status & Status.VOLTAGE for one in seen.telemetry)
    return frozenset(i for i, (mute, fed) in enumerate(zip(silent, supplied, strict=True)) if mute or not fed)


class _Asked:
    """Calls `each`, and remembers whether it was what ended the move."""

    def __init__(self, each: Each) -> None:
        self._each, self.ended = each, False

    def __call__(self) -> None:
        try:
            self._each()
        except BaseException:
            self.ended = True
            raise


def _make_ready(arm: Arm, each: Each, given_up: set[int], *, recover: bool) -> None:
    """Wait for what passes, and clear a fault; `given_up` gets the joints that were waited for in vain."""
    if not arm.bus.line.is_open:
        _reconnect(arm, each)
    if arm.bus.line.is_open and passing(arm) - given_up:
        _wait(arm, each, given_up)
    if recover and arm.state is State.FAULT and arm.bus.line.is_open and not passing(arm):
        try:
            _require_power(arm)
            arm.recover()
        except (FaultError, BusError) as error:
            logger.warning("not recovered: %s", error)


def _require_power(arm: Arm) -> None:
    """Refuse an arm that somebody switched off, and on again: it has fallen, and must not move by itself."""
    if not any(arm.bus.read(servo_id, "torque_enable") for servo_id in arm.bus.servo_ids):
        raise FaultError("no servo has torque any more: the arm was switched off, and its torque stays off")


def _wait(arm: Arm, each: Each, given_up: set[int]) -> None:
    until_s, calm = arm.now() + arm.config.wait_s, 0
    while calm < _CALM_STEPS and arm.now() < until_s:
        _step(arm, each)
        arm.observe()
        calm = 0 if passing(arm) - given_up else calm + 1
    given_up |= passing(arm)


def _reconnect(arm: Arm, each: Each) -> None:
    until_s, wait_s = arm.now() + arm.config.wait_s, arm.config.wait_s
    logger.error("the port is gone, and the servos hold their last goals; waiting %g s for it to come back", wait_s)
    while arm.now() < until_s:
        for _ in range(_RETRY_STEPS):
            _step(arm, each)
        try:
            return arm.reconnect()
        except (FaultError, BusError) as error:
            logger.debug("%s", error)
    logger.error("the port did not come back in %g s", wait_s)
    return None


def _step(arm: Arm, each: Each) -> None:
    each()
    arm.sleep(1.0 / MOVE_HZ)
