"""Six servos in memory behind a port without a device, on a clock that only waiting moves: every run is the same run.

The servos are written from the wire format, not with the code under test, and answer at a time the test chooses.
"""

from __future__ import annotations

from collections import defaultdict

import pytest

from soarm.hardware.bus import Bus
from soarm.hardware.port import SerialPort

SERVO_IDS = (1, 2, 3, 4, 5, 6)
USUAL_DELAY_S = 0.002


def status(servo_id, error, data):
    body = bytes((servo_id, len(data) + 2, error)) + data
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))


class Clock:
    """Time that stands still until somebody waits."""

    def __init__(self):
        self.t_s = 100.0

    def __call__(self):
        return self.t_s


class Servo:
    """A register file with the manners of an STS3215, and knobs for its faults."""

    def __init__(self, servo_id):
        self.memory = bytearray(128)
        self.memory[0:2] = bytes((3, 10))
        self.memory[3:5] = bytes((9, 3))
        self.memory[5] = servo_id
        self.memory[8] = 1
        self.memory[11:13] = (4095).to_bytes(2, "little")
        self.memory[18] = 0b0001_1100
        self.memory[21:24] = bytes((32, 32, 0))
        self.memory[55] = 1
        self.memory[62:64] = bytes((74, 31))
        self.position = 2000 + servo_id
        self.error = 0
        self.written = []
        self.deaf = False  # hears no write, as if the frame was lost
        self.mute = 0  # answers to leave out
        self.corrupt = 0  # answers to damage
        self.delays_s = []  # of the next answers, instead of the usual one
        self.next_answers = []  # raw bytes to send instead of the next answers

    @property
    def position(self):
        return int.from_bytes(self.memory[56:58], "little")

    @position.setter
    def position(self, raw):
        self.memory[56:58] = raw.to_bytes(2, "little")

    def word(self, address):
        return int.from_bytes(self.memory[address : address + 2], "little")

    def write(self, address, data):
        if self.deaf:
            return
        self.written.append((address, bytes(data)))
        if address < 40 and self.memory[55]:
            return
        self.memory[address : address + len(data)] = data

    def answer(self, servo_id, data):
        """Return the delay and the bytes of an answer; no bytes when mute."""
        delay_s = self.delays_s.pop(0) if self.delays_s else USUAL_DELAY_S
        if self.mute > 0:
            self.mute -= 1
            return delay_s, b""
        if self.next_answers:
            return delay_s, self.next_answers.pop(0)
        packet = bytearray(status(servo_id, self.error, data))
        if self.corrupt > 0:
            self.corrupt -= 1
            packet[-1] ^= 0x55
        return delay_s, bytes(packet)


class Wire:
    """The servos on one line; `requests` keeps what was asked. Setting `gone` unplugs it, `on_write` runs inside a write."""

    def __init__(self, clock):
        self.clock = clock
        self.servos = {servo_id: Servo(servo_id) for servo_id in SERVO_IDS}
        self.twins = defaultdict(list)  # id -> raw bytes that a second servo of that id answers
        self.requests = []
        self.incoming = []
        self.echo = False
        self.gone = None
        self.on_write = None
        self.on_read = None

    def written(self, address):
        """Return servo -> what was written to a register, in order."""
        return {i: [data for at, data in servo.written if at == address] for i, servo in self.servos.items()}

    def send(self, delay_s, data):
        if data:
            after = self.incoming[-1][0] if self.incoming else 0.0
            self.incoming.append((max(after, self.clock() + delay_s), data))

    def receive(self, packet):
        assert packet[:2] == b"\xff\xff"
        assert len(packet) == packet[3] + 4
        assert sum(packet[2:]) & 0xFF == 0xFF
        self.requests.append(packet)
        if self.echo:
            self.send(0.0, packet)
        servo_id, instruction, parameters = packet[2], packet[4], packet[5:-1]
        if instruction == 0x83:
            address, n = parameters[:2]
            for at in range(2, len(parameters), n + 1):
                if parameters[at] in self.servos:
                    self.servos[parameters[at]].write(address, parameters[at + 1 : at + 1 + n])
        elif instruction == 0x82:
            for each in parameters[2:]:
                self._read(each, *parameters[:2])
        elif servo_id == 0xFE:
            for each in self.servos:
                self._reply(each, b"")
        elif instruction == 0x02:
            self._read(servo_id, *parameters)
        elif instruction == 0x03 and servo_id in self.servos:
            servo = self.servos[servo_id]
            servo.write(parameters[0], parameters[1:])
            self._reply(servo_id, b"")
            if servo.memory[5] != servo_id:
                self.servos[servo.memory[5]] = self.servos.pop(servo_id)

    def _read(self, servo_id, address, n):
        if servo_id in self.servos:
            self._reply(servo_id, bytes(self.servos[servo_id].memory[address : address + n]))

    def _reply(self, servo_id, data):
        self.send(*self.servos[servo_id].answer(servo_id, data))
        for other in self.twins[servo_id]:
            self.send(0.0, other)


class MemoryPort(SerialPort):
    """A port whose device is a `Wire`."""

    class Device:
        """Stands in for the pyserial object."""

        closed = 0
        baudrate = 1_000_000

        def close(self):
            self.closed += 1

    def __init__(self, wire):
        super().__init__("/dev/servos", 1_000_000, now=wire.clock)
        self.is_open = True
        self.ser = self.Device()
        self.wire = wire

    def _check(self):
        if self.wire.gone is not None:
            raise self.wire.gone

    def _due(self):
        return sum(len(data) for due_s, data in self.wire.incoming if due_s <= self.wire.clock())

    def _n_waiting(self):
        self._check()
        return self._due()

    def _write(self, data):
        self._check()
        if self.wire.on_write is not None:
            self.wire.on_write()
        self._check()
        self.wire.receive(data)

    def _read(self, n_bytes, within_s):
        if self.wire.on_read is not None:
            self.wire.on_read()
        self._check()
        incoming, clock = self.wire.incoming, self.wire.clock
        if not self._due():
            if not incoming or incoming[0][0] > clock() + within_s:
                clock.t_s += within_s
                return b""
            clock.t_s = incoming[0][0]
        due_s, data = incoming.pop(0)
        if len(data) > n_bytes:
            incoming.insert(0, (due_s, data[n_bytes:]))
        return data[:n_bytes]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def wire(clock):
    return Wire(clock)


@pytest.fixture
def make_status():
    return status


@pytest.fixture(scope="session")
def make_bus():
    """Return a function that makes a fresh wire and a bus on it; the caller closes the bus."""

    def make(servo_ids, **options):
        wire = Wire(Clock())
        return wire, Bus(MemoryPort(wire), servo_ids, now=wire.clock, **options)

    return make


@pytest.fixture
def bus(wire, clock, tmp_path):
    with Bus(MemoryPort(wire), SERVO_IDS, now=clock, backups=tmp_path / "backups") as bus:
        yield bus
