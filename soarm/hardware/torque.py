"""Switch torque off and prove it: the one action that must work when everything else has failed."""

from __future__ import annotations

import logging

from soarm.errors import PortError
from soarm.hardware import packets
from soarm.hardware.line import Line
from soarm.hardware.registers import TABLE
from soarm.signals import deferred_signals

logger = logging.getLogger(__name__)

_TORQUE = TABLE["torque_enable"].address
_OFF = b"\0"


def torque_off(line: Line, servo_ids: tuple[int, ...], deadline_s: float) -> tuple[int, ...]:
    """Switch torque off and read it back until every servo confirmed it or the time is up.

    First all servos at once, twice, because nobody acknowledges that packet and a lost one cannot be seen; then all are read
    back at once; then those that did not confirm are written and read back one by one, so that one dead servo keeps no other
    one live. SIGINT and SIGTERM wait until this is over.

    Args:
        line: Where they are.
        servo_ids: Which.
        deadline_s: When to give up [s].

    Returns:
        Those that did not confirm, in the order of `servo_ids`.
    """
    live = servo_ids
    if not servo_ids:
        return ()
    with deferred_signals():
        try:
            end_s = line.now() + deadline_s
            live = _all_at_once(line, live, end_s)
            while live and line.now() < end_s:
                live = _one_by_one(line, live, end_s)
                if live:
                    live = _all_at_once(line, live, end_s)
        except PortError as error:
            logger.error("torque off: %s", error)
    if live:
        logger.error("torque off was not confirmed by the servos %s: they may still be live, cut their power", list(live))
    return live


def _all_at_once(line: Line, servo_ids: tuple[int, ...], end_s: float) -> tuple[int, ...]:
    off = packets.sync_write(_TORQUE, 1, b"".join(bytes((servo_id,)) + _OFF for servo_id in servo_ids))
    line.tell(off)
    line.tell(off)
    replies = line.ask(lambda ids, n: packets.sync_read(ids, _TORQUE, n), servo_ids, 1, within_s=_share(line, end_s))
    return tuple(servo_id for servo_id in servo_ids if servo_id not in replies or replies[servo_id].data != _OFF)


def _one_by_one(line: Line, servo_ids: tuple[int, ...], end_s: float) -> tuple[int, ...]:
    live = []
    for servo_id in servo_ids:
        line.ask(lambda ids, _: packets.write(ids[0], _TORQUE, _OFF), (servo_id,), 0, 1, _share(line, end_s))
        replies = line.ask(lambda ids, n: packets.read(ids[0], _TORQUE, n), (servo_id,), 1, 1, _share(line, end_s))
        if servo_id not in replies or replies[servo_id].data != _OFF:
            live.append(servo_id)
    return tuple(live)


def _share(line: Line, end_s: float) -> float:
    """Return the time of the next question: no servo may use up what the others need, and the last write is worth a moment."""
    return max(0.002, min(line.timeout_s, (end_s - line.now()) / 4))
