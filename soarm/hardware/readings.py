"""The latest telemetry of each servo, and how old it is. A servo that says nothing usable keeps its past, marked as such."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import NamedTuple

from soarm.hardware.packets import Reply, ReplyBurst
from soarm.hardware.registers import STATUS, TELEMETRY_LAYOUT, TICKS_PER_TURN, Status, Telemetry, decode_telemetry, telemetry

_PACKET = struct.Struct(f"<4xB{TELEMETRY_LAYOUT}x")
"""Error byte and telemetry of one packet."""


class Reading(NamedTuple):
    """The latest telemetry of one servo.

    Attributes:
        telemetry: Its position is within one turn, 0..4095.
        t_s: When it arrived, on the clock of the bus [s].
        misses: Consecutive cycles since then in which nothing usable came; 0 is fresh.
    """

    telemetry: Telemetry
    t_s: float
    misses: int


class Readings:
    """Readings by servo.

    Attributes:
        latest: Servo -> its latest reading; no entry for one that was never heard.
        out_of_range: Servo -> the position beyond one turn that it reports at present [ticks]. That answer counts as a miss.
    """

    def __init__(self) -> None:
        self.latest: dict[int, Reading] = {}
        self.out_of_range: dict[int, int] = {}
        self._answered: dict[int, Status] = {}  # of answers since the servo's last reading

    @property
    def status(self) -> dict[int, Status]:
        """Servo -> what it complained of in its last answer, whatever the question was."""
        return {servo_id: reading.telemetry.status for servo_id, reading in self.latest.items()} | self._answered

    def hear(self, servo_id: int, error: int) -> None:
        """Enter the error byte of an answer that brought no telemetry."""
        self._answered[servo_id] = STATUS[error]

    def take(self, servo_ids: tuple[int, ...], replies: Mapping[int, Reply]) -> int:
        """Enter the answers of one cycle; a servo of `servo_ids` without a usable one has missed it.

        Returns:
            How many of the answers bring a position beyond one turn.
        """
        n_out_of_range = 0
        for servo_id in servo_ids:
            reply = replies.get(servo_id)
            if reply is None:
                self._miss(servo_id)
            else:
                n_out_of_range += not self._enter(servo_id, telemetry(reply.data, reply.error), reply.t_s)
        return n_out_of_range

    def take_burst(self, servo_ids: tuple[int, ...], burst: ReplyBurst) -> int:
        """Enter the answers of a cycle in which every servo answered; returns what `take` does."""
        n_out_of_range, t_s, make = 0, burst.t_s, tuple.__new__
        latest, usual = self.latest, not self.out_of_range and not self._answered
        for servo_id, new in zip(servo_ids, decode_telemetry(_PACKET.iter_unpack(burst.stream)), strict=True):
            if usual and 0 <= new.position_ticks < TICKS_PER_TURN:
                latest[servo_id] = make(Reading, (new, t_s, 0))
            else:
                n_out_of_range += not self._enter(servo_id, new, t_s)
        return n_out_of_range

    def _enter(self, servo_id: int, new: Telemetry, t_s: float) -> bool:
        if not 0 <= new.position_ticks < TICKS_PER_TURN:
            self.out_of_range[servo_id] = new.position_ticks
            self._answered[servo_id] = new.status
            self._miss(servo_id)
            return False
        self.latest[servo_id] = Reading(new, t_s, 0)
        self.out_of_range.pop(servo_id, None)
        self._answered.pop(servo_id, None)
        return True

    def _miss(self, servo_id: int) -> None:
        last = self.latest.get(servo_id)
        if last is not None:
            self.latest[servo_id] = last._replace(misses=last.misses + 1)
