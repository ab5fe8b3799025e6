"""When the bytes of the twin's replies reach the host."""

from __future__ import annotations

import pytest

from soarm.twin import wire
from soarm.twin.emulator import BusEmulator
from soarm.twin.faults import Fault, TimedReply
from soarm.twin.outgoing import BYTE_S, Outgoing
from soarm.twin.servo import FirmwareAssumptions, Servo

IDS = range(1, 7)
TELEMETRY = bytes((56, 15, *IDS))
N_REPLY = 21
"""Bytes of a reply with 15 bytes of data."""


def packet(servo_id, code, parameters=b""):
    body = bytes((servo_id, len(parameters) + 2, code)) + parameters
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


REQUEST = packet(wire.BROADCAST, wire.SYNC_READ, TELEMETRY)


def replies(fault=None, **assumptions):
    switches = FirmwareAssumptions(**assumptions)
    emulator = BusEmulator([Servo(i, {"return_delay_time": 50}, switches) for i in IDS], switches)
    if fault is not None:
        emulator.script.add(fault, 0)
        emulator.script.due(0.0, 0)
    (instruction,) = emulator.parser.feed(REQUEST)
    return emulator.execute(instruction)


def times(outgoing):
    """Return when each of the replies is due [s]."""
    return [at_s for at_s, _ in outgoing._queue]


def test_six_replies_come_as_a_train_and_none_before_its_last_byte_is_through():
    outgoing = Outgoing(line_timing=True, usb_delay_s=0.002)
    outgoing.put(replies(), len(REQUEST), now_s=1.0)

    first_s = 1.0 + 0.002 + BYTE_S * (len(REQUEST) + N_REPLY)
    assert times(outgoing) == pytest.approx([first_s + BYTE_S * N_REPLY * i for i in range(6)])
    assert times(outgoing)[-1] - 1.002 == pytest.approx(1.40e-3), "14 bytes asked, 126 answered"


def test_a_return_delay_holds_up_every_servo_after_it():
    outgoing = Outgoing(line_timing=True, usb_delay_s=0.0)
    outgoing.put(replies(return_delay=True), len(REQUEST), now_s=0.0)

    per_servo_s = 100e-6 + BYTE_S * N_REPLY
    assert times(outgoing) == pytest.approx([BYTE_S * len(REQUEST) + per_servo_s * (i + 1) for i in range(6)])


def test_a_reply_that_the_adapter_delays_holds_up_those_behind_it_without_pushing_them_further():
    outgoing = Outgoing(line_timing=True, usb_delay_s=0.0)
    outgoing.put(replies(Fault("delay", servo_id=2, value=0.05)), len(REQUEST), now_s=0.0)
    due = times(outgoing)

    assert due[0] < 0.001
    assert due[1:] == pytest.approx([BYTE_S * (len(REQUEST) + 2 * N_REPLY) + 0.05] * 5)


def test_a_question_asked_too_early_waits_until_the_line_is_free():
    outgoing = Outgoing(line_timing=True, usb_delay_s=0.0)
    outgoing.put([TimedReply(b"x" * 100)], 10, now_s=0.0)
    outgoing.put([TimedReply(b"y" * 10)], 10, now_s=0.0005)

    assert times(outgoing) == pytest.approx([0.0011, 0.0013])


def test_without_line_timing_only_the_adapter_takes_time():
    outgoing = Outgoing(line_timing=False, usb_delay_s=0.003)
    outgoing.put(replies(), len(REQUEST), now_s=2.0)

    assert times(outgoing) == pytest.approx([2.003] * 6)


def test_what_is_due_comes_once_and_a_pulled_cable_forgets_the_rest():
    outgoing = Outgoing(line_timing=True, usb_delay_s=0.0)
    outgoing.put([TimedReply(b"first"), TimedReply(b"second")], 0, now_s=0.0)

    assert outgoing.due(5.1 * BYTE_S) == b"first"
    assert outgoing.due(5.2 * BYTE_S) == b""
    outgoing.clear()
    assert outgoing.due(1.0) == b""
    assert outgoing.next_s is None
