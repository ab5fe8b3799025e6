"""The latest telemetry of each servo, and how old it is. A servo that says nothing usable keeps its past, marked as such."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from soarm.hardware.packets import Reply
from soarm.hardware.registers import STATUS, TICKS_PER_TURN, Status, Telemetry, telemetry


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
        status: Servo -> what it complained of in its last answer, whatever the question was.
    """

    def __init__(self) -> None:
        self.latest: dict[int, Reading] = {}
        self.out_of_range: dict[int, int] = {}
        self.status: dict[int, Status] = {}

    def take(self, servo_ids: tuple[int, ...], replies: Mapping[int, Reply]) -> None:
        """Enter the answers of one cycle; a servo of `servo_ids` without a usable one has missed it."""
        for servo_id in servo_ids:
            reply = replies.get(servo_id)
            if reply is not None and self._enter(servo_id, reply):
                continue
            last = self.latest.get(servo_id)
            if last is not None:
                self.latest[servo_id] = last._replace(misses=last.misses + 1)

    def _enter(self, servo_id: int, reply: Reply) -> bool:
        measured = telemetry(reply.data)
        if reply.error != measured.status:
            measured = measured._replace(status=STATUS[reply.error | measured.status])
        self.status[servo_id] = measured.status
        if not 0 <= measured.position_ticks < TICKS_PER_TURN:
            self.out_of_range[servo_id] = measured.position_ticks
            return False
        self.latest[servo_id] = Reading(measured, reply.t_s, 0)
        self.out_of_range.pop(servo_id, None)
        return True
