"""Emulate one bus of servos: instructions in, replies out. It knows no physics and no port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soarm.hardware.registers import BAUD_RATES
from soarm.twin import wire
from soarm.twin.faults import Fault, Script, TimedReply
from soarm.twin.hand import Bench, Hand
from soarm.twin.servo import FirmwareAssumptions, Servo
from soarm.twin.wire import Instruction, Parser

_GOAL_REGISTER = 42
_SKEWS_BITS = (3, 7, 1, 12, 5)
"""How much later the second of two servos with one id begins, time after time [bits]: their clocks are their own."""


class BusEmulator:
    """The servos on one line.

    Args:
        servos: In the order of the joints, and after them any that are no joint. Two with one id both obey, and answer over
            each other.
        assumptions: What is not settled about real ones.

    Attributes:
        parser: Takes the bytes.
        script: The faults of replies, and those of the arm that wait.
        goal_writes: SYNC WRITEs of goals so far.
        echo: The adapter sends back what it is sent.
        baud: Of the line; servos that are set to another one neither hear nor speak.
        hand: Whoever holds the arm while it is limp; None where nobody does.
        bench: New servos, of which not all are plugged in; None where all are.
    """

    def __init__(self, servos: Sequence[Servo], assumptions: FirmwareAssumptions) -> None:
        self.servos = tuple(servos)
        self.hand: Hand | None = None
        self.bench: Bench | None = None
        self.parser, self.script = Parser(), Script()
        self.goal_writes = 0
        self.echo = False
        self.baud = BAUD_RATES[0]
        self._assumptions = assumptions
        self._held: dict[int, tuple[int, bytes]] = {}  # REG_WRITE waits for ACTION
        self._collisions = 0

    @property
    def by_id(self) -> Mapping[int, Sequence[Servo]]:
        """The servos that listen at the line's baud, mostly one, by their present id."""
        found: dict[int, list[Servo]] = {}
        for servo in self.servos if self.bench is None else self.bench.plugged:
            if BAUD_RATES.get(servo.get("baud_rate")) == self.baud:
                found.setdefault(servo.id, []).append(servo)
        return found

    def execute(self, instruction: Instruction) -> list[TimedReply]:
        """Carry out an instruction and return the replies in the order in which they come."""
        for person in (self.bench, self.hand):
            if person is not None:
                person.hear(instruction)
        replies = [TimedReply(instruction.raw)] if self.echo else []
        code, parameters, servos = instruction.code, instruction.parameters, self.by_id
        if code == wire.SYNC_WRITE and len(parameters) >= 2:
            self._sync_write(parameters, servos)
        elif code == wire.SYNC_READ and len(parameters) >= 2:
            replies += self._sync_read(parameters, servos)
        elif code == wire.ACTION:
            for servo_id, (address, data) in self._held.items():
                for servo in servos.get(servo_id, ()):
                    servo.write(address, data)
            self._held = {}
        else:
            everyone = instruction.servo_id == wire.BROADCAST
            asked = sorted(servos) if everyone else [instruction.servo_id] if instruction.servo_id in servos else []
            for servo_id in asked:
                silent = everyone and code != wire.PING
                replies += self._together([self._single(servo, instruction, silent=silent) for servo in servos[servo_id]])
        return replies

    def _together(self, spoken: Sequence[TimedReply | None]) -> list[TimedReply]:
        """Return what comes of the answers of all servos with one id."""
        replies = [reply for reply in spoken if reply is not None]
        if len(replies) < 2:
            return replies
        self._collisions += 1
        skews = [_SKEWS_BITS[self._collisions % len(_SKEWS_BITS)] * i for i in range(len(replies))]
        first = replies[0]
        return [TimedReply(wire.collide(replies, skews), wait_s=first.wait_s, late_s=first.late_s)]

    def _single(self, servo: Servo, instruction: Instruction, *, silent: bool) -> TimedReply | None:
        code, parameters, servo_id = instruction.code, instruction.parameters, servo.id
        data, answers = b"", not silent
        if code == wire.READ and len(parameters) == 2:
            data = servo.read(*parameters)
        elif code == wire.WRITE and parameters:
            servo.write(parameters[0], parameters[1:])
            answers = answers and servo.get("response_level") > 0
        elif code == wire.REG_WRITE and parameters:
            self._held[servo_id] = (parameters[0], parameters[1:])
        elif code != wire.PING:
            return None
        return self._reply(servo, servo_id, data) if answers else None

    def _sync_write(self, parameters: bytes, servos: Mapping[int, Sequence[Servo]]) -> None:
        address, n = parameters[:2]
        for at in range(2, len(parameters) - n, n + 1):
            for servo in servos.get(parameters[at], ()):
                servo.write(address, parameters[at + 1 : at + 1 + n])
        self.goal_writes += address <= _GOAL_REGISTER < address + n

    def _sync_read(self, parameters: bytes, servos: Mapping[int, Sequence[Servo]]) -> list[TimedReply]:
        address, n = parameters[:2]
        replies: list[TimedReply] = []
        for servo_id in parameters[2:]:
            spoken = [self._reply(servo, servo_id, servo.read(address, n)) for servo in servos.get(servo_id, ())]
            replies += (heard := self._together(spoken))
            if not heard and not self._assumptions.sync_read_after_missing:
                break
        return replies

    def _reply(self, servo: Servo, servo_id: int, data: bytes) -> TimedReply | None:
        """Return a reply; a servo that just got another id still answers under the old one."""
        reply = self.script.spoil(servo_id, servo.get("status"), data)
        if reply is not None and self._assumptions.return_delay:
            reply.wait_s += 2e-6 * servo.get("return_delay_time")
        return reply


def fault_of_servo(servo: Servo, fault: Fault) -> bool:
    """Let a fault happen that concerns the registers of one servo alone; False where it does not."""
    if fault.kind == "deaf":
        servo.deaf = True
    elif fault.kind == "reboot":
        servo.power_up()
    elif fault.kind == "multi_turn":
        servo.put("phase", servo.get("phase") | 0b0001_0000)
        servo.turns = 1
    else:
        return False
    return True
