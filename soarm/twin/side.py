"""One bus of servos: instructions in, replies out. No physics and no port."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from soarm.twin import wire
from soarm.twin.faults import Fault, Reply, Script
from soarm.twin.servo import Servo, Unknowns
from soarm.twin.wire import Instruction, Parser

_GOAL_REGISTER = 42


class Side:
    """The servos on one line.

    Args:
        servos: In the order of the joints.
        unknowns: What is not settled about real ones.

    Attributes:
        parser: Takes the bytes.
        script: The faults of replies, and those of the arm that wait.
        goal_writes: SYNC WRITEs of goals so far.
        requests: Instructions so far.
        echo: The adapter sends back what it is sent.
    """

    def __init__(self, servos: Sequence[Servo], unknowns: Unknowns) -> None:
        self.servos = tuple(servos)
        self.parser, self.script = Parser(), Script()
        self.goal_writes = self.requests = 0
        self.echo = False
        self._unknowns = unknowns
        self._held: dict[int, tuple[int, bytes]] = {}  # REG_WRITE waits for ACTION

    @property
    def by_id(self) -> Mapping[int, Servo]:
        """Servo by its present id."""
        return {servo.id: servo for servo in self.servos}

    def obey(self, instruction: Instruction) -> list[Reply]:
        """Carry out an instruction and return the replies in the order in which they come."""
        self.requests += 1
        replies = [Reply(instruction.raw)] if self.echo else []
        code, parameters, servos = instruction.code, instruction.parameters, self.by_id
        if code == wire.SYNC_WRITE and len(parameters) >= 2:
            self._sync_write(parameters, servos)
        elif code == wire.SYNC_READ and len(parameters) >= 2:
            replies += self._sync_read(parameters, servos)
        elif code == wire.ACTION:
            for servo_id, (address, data) in self._held.items():
                servos[servo_id].write(address, data)
            self._held = {}
        else:
            everyone = instruction.servo_id == wire.BROADCAST
            asked = sorted(servos) if everyone else [instruction.servo_id] if instruction.servo_id in servos else []
            for servo_id in asked:
                replies += self._single(servos[servo_id], instruction, silent=everyone and code != wire.PING)
        return replies

    def _single(self, servo: Servo, instruction: Instruction, *, silent: bool) -> list[Reply]:
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
            return []
        reply = self._reply(servo, servo_id, data) if answers else None
        return [] if reply is None else [reply]

    def _sync_write(self, parameters: bytes, servos: Mapping[int, Servo]) -> None:
        address, n = parameters[:2]
        for at in range(2, len(parameters) - n, n + 1):
            servo = servos.get(parameters[at])
            if servo is not None:
                servo.write(address, parameters[at + 1 : at + 1 + n])
        self.goal_writes += address <= _GOAL_REGISTER < address + n

    def _sync_read(self, parameters: bytes, servos: Mapping[int, Servo]) -> list[Reply]:
        address, n = parameters[:2]
        replies = []
        for servo_id in parameters[2:]:
            servo = servos.get(servo_id)
            reply = None if servo is None else self._reply(servo, servo_id, servo.read(address, n))
            if reply is not None:
                replies.append(reply)
            elif not self._unknowns.sync_read_after_missing:
                break
        return replies

    def _reply(self, servo: Servo, servo_id: int, data: bytes) -> Reply | None:
        """Return a reply; a servo that just got another id still answers under the old one."""
        reply = self.script.spoil(servo_id, servo.get("status"), data)
        if reply is not None and self._unknowns.return_delay:
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
