"""The six servos as registers by name: read, write, and the one block of telemetry per tick.

Knows registers and ids, neither joints nor units. Every number that comes back was checked against id, length and checksum; a
servo that did not answer has no new number, never a zero, and its last one says how old it is. One thread only: see
`Line.adopt`. Reading or writing what no register takes is refused before a byte goes out, with ValueError.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from soarm.errors import BusError
from soarm.hardware import discovery, eprom, packets
from soarm.hardware.line import Counters, Line
from soarm.hardware.packets import ReplyBurst
from soarm.hardware.port import SerialPort, open_port
from soarm.hardware.readings import Reading, Readings
from soarm.hardware.registers import (
    TELEMETRY_ADDRESS,
    TELEMETRY_BYTES,
    TICKS_PER_TURN,
    Status,
    decode,
    encode,
    named,
    writable,
)
from soarm.hardware.torque import torque_off

__all__ = ["SYNC_WRITABLE", "TIMEOUT_S", "Bus", "Counters", "Reading"]

TIMEOUT_S = 0.012
"""Time of one question, second attempt included: a tick of 50 Hz survives it, and a USB adapter answers in 2 to 6 ms."""
SYNC_WRITABLE = ("goal_position", "torque_enable", "torque_limit", "goal_velocity", "acceleration")
"""What may be written without an acknowledgement."""
_SYNC_REGISTERS = {name: writable(name) for name in SYNC_WRITABLE}


class Bus:
    """Servos on one port; a context manager that closes the port, and leaves torque as it is.

    Args:
        port: An open port.
        servo_ids: The servos of `sync_read` and `torque_off`, in the order in which they are asked.
        timeout_s: Time of one question, second attempt included [s]. In lockstep with an emulated bus on a loaded machine
            choose seconds: nothing waits for them unless a servo is mute.
        now: The clock [s].
        backups: Folder for the backups of registers; None for `backups.default_folder()`.

    Attributes:
        port: Path of the port.
        servo_ids: See above.
        line: The line below, for questions that no method asks.
    """

    def __init__(
        self,
        port: SerialPort,
        servo_ids: Sequence[int],
        *,
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
        backups: Path | None = None,
    ) -> None:
        self.servo_ids = tuple(servo_ids)
        faults = [servo_id for servo_id in self.servo_ids if not 0 <= servo_id <= packets.HIGHEST_ID]
        if faults or len(set(self.servo_ids)) < len(self.servo_ids):
            raise ValueError(f"servo ids are {self.servo_ids}: each must be in 0..{packets.HIGHEST_ID} and named once")
        self.port = str(port.port_name)
        self.line = Line(port, timeout_s, now)
        self._eprom = eprom.Eprom(self, backups)
        self._readings = Readings()
        self._telemetry_of_all = packets.sync_read(self.servo_ids, TELEMETRY_ADDRESS, TELEMETRY_BYTES)

    @classmethod
    def open(
        cls,
        port: str,
        servo_ids: Sequence[int],
        *,
        baud: int = 1_000_000,
        timeout_s: float = TIMEOUT_S,
        now: Callable[[], float] = time.monotonic,
        exclusive: bool = True,
    ) -> Bus:
        """Open a port, and say nothing on it yet.

        Args:
            port: Device, a link to one, or a pseudo-terminal.
            servo_ids: See the class, as the other arguments.
            baud: One of the SDK's rates.
            timeout_s: See the class.
            now: See the class.
            exclusive: False only for a watchdog that has to reach the servos of a program that hangs.

        Raises:
            PortError: The port is missing, busy, forbidden or none, or the SDK does not know the baud.
        """
        return cls(open_port(port, baud, exclusive, now), servo_ids, timeout_s=timeout_s, now=now)

    @property
    def counters(self) -> Counters:
        """What happened on the line since it was opened."""
        return self.line.counters

    @property
    def status(self) -> Mapping[int, Status]:
        """Servo -> what it complained of in its last answer to `read`, `write` or `sync_read`."""
        return self._readings.status

    def __enter__(self) -> Bus:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port; a second time does nothing, and nothing is raised."""
        self.line.close()

    def ping(self, servo_id: int) -> int:
        """Return the model number of a servo.

        Raises:
            BusError: It does not answer, or two servos share the id.
        """
        return discovery.ping(self.line, servo_id)

    def scan(self, servo_ids: Iterable[int] = range(254)) -> dict[int, int]:
        """Ask ids one by one and return id -> model number of those that answer; BusError where two servos share an id."""
        return discovery.scan(self.line, servo_ids)

    def broadcast_ping(self) -> list[int]:
        """Return the ids of all servos, from one question that all answer (0.8 s); BusError where two servos share an id."""
        return discovery.broadcast_ping(self.line)

    def read(self, servo_id: int, name: str) -> int:
        """Return the value of a register.

        Raises:
            BusError: The servo does not answer, twice; or its position is beyond one turn.
            ValueError: There is no such register.
        """
        register = named(name)
        value = decode(register, self.read_block(servo_id, register.address, register.n_bytes))
        if name == "present_position" and not 0 <= value < TICKS_PER_TURN:
            self.counters.out_of_range += 1
            raise BusError(
                f"servo {servo_id} reports position {value}, beyond one turn (0..{TICKS_PER_TURN - 1}): multi-turn feedback "
                "is on (bit 4 of `phase`, register 18). Clear that bit with `soarm setup-motors`"
            )
        return value

    def read_block(self, servo_id: int, address: int, n_bytes: int) -> bytes:
        """Return the bytes of consecutive registers, undecoded.

        Raises:
            BusError: The servo does not answer, twice.
        """
        replies = self.line.ask(lambda _, n: packets.read(servo_id, address, n), (servo_id,), n_bytes)
        if servo_id not in replies:
            raise self._no_answer(servo_id, f"the read of {n_bytes} bytes from register {address}")
        self._readings.hear(servo_id, replies[servo_id].error)
        return replies[servo_id].data

    def write(self, servo_id: int, name: str, value: int) -> None:
        """Write a register and wait for the acknowledgement.

        Registers in EPROM need `unlocked`. A change of `id` is followed: the servo goes on under its new id. A change of
        `baud_rate` changes the port's baud as well.

        Raises:
            BusError: The servo does not acknowledge, or the register lies in EPROM and the servo is locked.
            ValueError: No such register, not writable, or the value is out of its range; no byte was sent.
        """
        register = writable(name)
        if name == "lock":
            raise ValueError("lock (register 55) is opened and closed by `with bus.unlocked(servo_id)`, not written")
        data = encode(register, value)
        if register.memory == "EPROM":
            self._eprom.write(servo_id, register, value)
        else:
            self.write_block(servo_id, register.address, data)

    def write_block(self, servo_id: int, address: int, data: bytes) -> None:
        """Write bytes and wait for the acknowledgement. No whitelist, no lock, no range: `write` is the door for everybody.

        Raises:
            BusError: The servo does not acknowledge.
        """
        replies = self.line.ask(lambda *_: packets.write(servo_id, address, data), (servo_id,), 0)
        if servo_id not in replies:
            raise self._no_answer(servo_id, f"the write of {data.hex(' ')} to register {address}")
        self._readings.hear(servo_id, replies[servo_id].error)

    def unlocked(self, servo_id: int) -> AbstractContextManager[None]:
        """Let EPROM writes to a servo through in this block, and lock it again whatever happens.

        Before the first one a backup of the registers of all servos is written to a file.

        Raises:
            BusError: The servo's torque is on, it does not answer, or it could not be locked again.
        """
        return self._eprom.unlocked(servo_id)

    def write_eprom(self, servo_id: int, values: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Bring EPROM registers to values, writing only what differs, and read back what was written.

        Args:
            servo_id: Whose.
            values: Register -> value. `id` and `baud_rate` are written last.

        Returns:
            What was written: register -> (old, new); empty where nothing differed.

        Raises:
            BusError: Torque is on, no answer, or a register does not hold what was written.
            ValueError: A register is not one of the EPROM, not writable, or a value is out of its range; lists every fault.
        """
        return self._eprom.bring_to(servo_id, values)

    def sync_read(self) -> dict[int, Reading]:
        """Ask all servos for their telemetry in one go, and once more those that are missing.

        Returns:
            Servo -> its latest reading. One that missed keeps its last one with its time, and one more miss; one that was
            never heard has no entry.
        """
        answers = self.line.ask_burst(self._ask_telemetry, self.servo_ids, TELEMETRY_BYTES)
        if isinstance(answers, ReplyBurst):
            n_out_of_range = self._readings.take_burst(self.servo_ids, answers)
        else:
            n_out_of_range = self._readings.take(self.servo_ids, answers)
        if n_out_of_range:
            self.counters.out_of_range += n_out_of_range
        return self._readings.latest.copy()

    def sync_write(self, name: str, values: Mapping[int, int]) -> None:
        """Write one register of several servos in one packet that nobody acknowledges.

        Args:
            name: One of `SYNC_WRITABLE`.
            values: Servo -> value.

        Raises:
            ValueError: The register is none of those, or a value is out of range; no byte was sent.
        """
        register = _SYNC_REGISTERS.get(name)
        if register is None:
            raise ValueError(f"{name!r} is not written to several servos at once; allowed are {', '.join(SYNC_WRITABLE)}")
        data = bytearray()
        for servo_id, value in values.items():
            data.append(servo_id)
            data += encode(register, value)
        self.line.tell(packets.sync_write(register.address, register.n_bytes, data))

    def torque_off(self, deadline_s: float = 0.4) -> tuple[int, ...]:
        """Switch torque off and prove it by reading it back, servo by servo, whatever fails.

        Args:
            deadline_s: When to give up on servos that do not confirm [s].

        Returns:
            Servos that may still be live: cut their power. Nothing is raised for a dead servo or a lost port.
        """
        return torque_off(self.line, self.servo_ids, deadline_s)

    def _ask_telemetry(self, servo_ids: tuple[int, ...], n_bytes: int) -> bytes:
        if n_bytes == TELEMETRY_BYTES and servo_ids is self.servo_ids:
            return self._telemetry_of_all
        return packets.sync_read(servo_ids, TELEMETRY_ADDRESS, n_bytes)

    def _no_answer(self, servo_id: int, what: str) -> BusError:
        came = self.line.unexplained
        brought = f"only bytes that are not an answer to it: {came[:40].hex(' ')}" if came else "nothing came back"
        return BusError(
            f"servo {servo_id} on {self.port} did not answer {what}, asked twice within {1e3 * self.line.timeout_s:.0f} ms: "
            f"{brought}. Check its power, its cable and its id (`soarm doctor`)"
        )
