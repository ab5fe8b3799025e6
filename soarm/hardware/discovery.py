"""Find the servos on a line, one by one or all at once; two with the same id are noticed.

Two servos with one id answer together; what comes is a damaged packet, or two. Only where both send the very same bits at the
very same time does nothing show.
"""

from __future__ import annotations

from collections.abc import Iterable

from soarm.errors import BusError
from soarm.hardware import packets
from soarm.hardware.line import Line
from soarm.hardware.registers import TABLE, decode

_MODEL = TABLE["model_number"]
_TRIES = 3
"""How often a damaged answer is asked for again before two servos are blamed for it: noise does not strike three times."""
_SECOND_ANSWER_S = 0.002
"""How long to wait for the answer of a second servo [s]."""
_ALL_ANSWER_S = 0.78
"""Each id waits for its turn to answer a ping of all; 3 ms for each of the 253 ids are what other drivers allow."""


class SharedIdError(BusError):
    """Two servos answer to one id."""


def ping(line: Line, servo_id: int) -> int:
    """Return the model number of a servo.

    The question is a read of the model, not a ping: the echo of a ping is itself a valid answer to it, with an error bit set.

    Args:
        line: Where it is.
        servo_id: Its id, 0..253.

    Raises:
        BusError: It does not answer.
        SharedIdError: Two servos share the id.
    """
    model = _probe(line, servo_id, line.timeout_s)
    if model is None:
        raise BusError(
            f"no servo with the id {servo_id} answers on {line.port.port_name}: check its power, its cable and its id; "
            "`soarm setup-motors` shows which ids are there"
        )
    return model


def scan(line: Line, servo_ids: Iterable[int]) -> dict[int, int]:
    """Return id -> model number of those that answer.

    Args:
        line: Where they are.
        servo_ids: Which ids to try; each that is not there takes 7 ms at the bus's usual timeout.

    Raises:
        SharedIdError: Two servos share an id.
    """
    found = {servo_id: _probe(line, servo_id, 0.6 * line.timeout_s) for servo_id in servo_ids}
    return {servo_id: model for servo_id, model in found.items() if model is not None}


def broadcast_ping(line: Line) -> list[int]:
    """Return the ids of all servos, in ascending order, from one question that all answer.

    Args:
        line: Where they are.

    Raises:
        SharedIdError: Two servos share an id.
    """
    for _ in range(_TRIES):
        line.tell(packets.ping())
        answer = line.listen(_ALL_ANSWER_S).replace(line.port.sent, b"", 1)
        found = packets.scan(answer)
        servo_ids = sorted(packet.servo_id for packet in found.packets if not packet.data)
        if len(set(servo_ids)) * packets.OVERHEAD == len(answer):
            return servo_ids
    twice = sorted({servo_id for servo_id in servo_ids if servo_ids.count(servo_id) > 1})
    raise _shared(f"id {twice[0]}" if twice else "an id", answer)


def _probe(line: Line, servo_id: int, within_s: float) -> int | None:
    strange = b""
    for _ in range(_TRIES):
        replies = line.ask(lambda _, n: packets.read(servo_id, _MODEL.address, n), (servo_id,), _MODEL.n_bytes, 1, within_s)
        strange = line.unexplained
        if servo_id in replies:
            strange = strange or line.listen(_SECOND_ANSWER_S)
            if not strange:
                return decode(_MODEL, replies[servo_id].data)
        elif not strange:
            return None
        line.listen(_SECOND_ANSWER_S)
    raise _shared(f"id {servo_id}", strange)


def _shared(which: str, came: bytes) -> SharedIdError:
    return SharedIdError(
        f"two servos share {which}: asked {_TRIES} times, the answer was damaged or came twice ({came[:40].hex(' ')}). "
        "Connect one servo at a time and give each its own id: `soarm setup-motors`"
    )
