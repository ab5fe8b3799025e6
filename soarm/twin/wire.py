"""The wire format from the servo's side: instruction packets out of a stream of bytes, status packets into it.

An instruction is `FF FF | id | length | instruction | parameters | checksum`, a status `FF FF | id | length | error | data |
checksum`; the length counts what comes after it.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def collide(packets: Sequence[bytes], skews_bits: Sequence[int]) -> bytes:
    """Return what a host reads where several servos speak at once on one wire.

    A byte is a start bit of 0, eight bits with the lowest first, and a stop bit of 1; the line is 0 where anybody sends 0. The
    host takes every fall of the idle line for a start bit, and hands on bytes whose stop bit is missing as they are.

    Args:
        packets: What each of them sends.
        skews_bits: How much later than the first each one begins [bits].
    """
    line = [1] * (max(skew + 10 * len(packet) for packet, skew in zip(packets, skews_bits, strict=True)) + 10)
    for packet, skew in zip(packets, skews_bits, strict=True):
        for i, byte in enumerate(packet):
            bits = (0, *(byte >> bit & 1 for bit in range(8)), 1)
            for j, value in enumerate(bits):
                line[skew + 10 * i + j] &= value
    heard, at = bytearray(), 0
    while at < len(line) - 10:
        if line[at]:
            at += 1
            continue
        heard.append(sum(line[at + 1 + bit] << bit for bit in range(8)))
        at += 9
        while at < len(line) and not line[at]:  # a stop bit that is missing: the next start comes after the line was idle
            at += 1
    return bytes(heard)
