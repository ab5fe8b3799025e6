"""The wire format from the servo's side: instruction packets out of a stream of bytes, status packets into it.

An instruction is `FF FF | id | length | instruction | parameters | checksum`, a status `FF FF | id | length | error | data |
checksum`; the length counts what comes after it.
"""

from __future__ import annotations

from typing import NamedTuple

PING, READ, WRITE, REG_WRITE, ACTION, SYNC_READ, SYNC_WRITE = 0x01, 0x02, 0x03, 0x04, 0x05, 0x82, 0x83
BROADCAST = 0xFE
_LONGEST = 250


class Instruction(NamedTuple):
    """One instruction packet with a good checksum."""

    servo_id: int
    code: int
    parameters: bytes
    raw: bytes


class Parser:
    """Finds packets in a stream; what is none is counted and dropped.

    Attributes:
        bad_checksums: Packets whose checksum was wrong.
        garbage: Bytes outside of packets.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self.bad_checksums = self.garbage = 0

    def clear(self) -> None:
        """Forget a packet that has begun."""
        self._held.clear()

    def feed(self, data: bytes) -> list[Instruction]:
        """Take bytes and return the packets that are complete now."""
        self._held += data
        found: list[Instruction] = []
        held = self._held
        while True:
            start = held.find(b"\xff\xff")
            if start < 0:
                drop = len(held) - (held[-1:] == b"\xff")
                self.garbage += drop
                del held[:drop]
                return found
            self.garbage += start
            del held[:start]
            if len(held) < 4:
                return found
            if held[2] == 0xFF or not 2 <= held[3] <= _LONGEST:
                self.garbage += 1
                del held[:1]
                continue
            end = held[3] + 4
            if len(held) < end:
                return found
            packet = bytes(held[:end])
            if sum(packet[2:]) & 0xFF != 0xFF:
                self.bad_checksums += 1
                del held[:2]
                continue
            del held[:end]
            found.append(Instruction(packet[2], packet[4], packet[5:-1], packet))


def status(servo_id: int, error: int, data: bytes) -> bytes:
    """Return a status packet."""
    body = bytes((servo_id, len(data) + 2, error)) + data
    return b"\xff\xff" + body + bytes((~sum(body) & 0xFF,))
