"""The wire protocol: instruction packets to send, and status packets found in whatever bytes came back.

    instruction   FF FF | id | length | instruction | parameters | checksum      length = parameters + 2
    status        FF FF | id | length | error bits  | data       | checksum      checksum = inverse of the sum from id on

A status packet names neither the address it was read from nor the question it answers: only id and length tell whether it can
be the answer, so the bus has to see to it that no older answer is under way. Packets are framed here and not by the SDK's
`txPacket`, byte for byte as it does (a test asks it), since that goes over the bytes one by one.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import NamedTuple

from scservo_sdk import (
    BROADCAST_ID,
    INST_PING,
    INST_READ,
    INST_SYNC_READ,
    INST_SYNC_WRITE,
    INST_WRITE,
)

HEADER = b"\xff\xff"
OVERHEAD = 6
"""Bytes of a status packet without its data: header, id, length, error, checksum."""
HIGHEST_ID = 253
_LONGEST = 250
_CHECKSUM = tuple(bytes(((0xFD - total) & 0xFF,)) for total in range(256))
"""Sum of a packet, header included, modulo 256 -> its checksum byte."""


class StatusPacket(NamedTuple):
    """A whole answer with a right checksum."""

    servo_id: int
    error: int
    data: bytes


class Scan(NamedTuple):
    """What a piece of the incoming stream holds.

    Attributes:
        packets: Every packet with a right checksum, in order.
        tail: Number of bytes at the end that may be the start of a packet.
        lacking: How many bytes that packet still lacks, at least; 0 where there is no tail.
        bad_checksums: Number of places that look like a packet and have a wrong checksum.
    """

    packets: list[StatusPacket]
    tail: int
    lacking: int
    bad_checksums: int


class Reply(NamedTuple):
    """One servo's answer, when it came [s], what the servo complains of, and the data asked for."""

    error: int
    data: bytes
    t_s: float


class ReplyBurst(NamedTuple):
    """The answers of all servos that were asked, whole and in order (`Form.fits`), and when they came [s]."""

    stream: bytes
    t_s: float


def scan(stream: bytes) -> Scan:
    """Find the status packets in a stream; noise, echoes and damaged packets between them are stepped over."""
    packets: list[StatusPacket] = []
    bad_checksums, settled, start, n = 0, 0, 0, len(stream)
    tail_at = n
    while (start := stream.find(HEADER, start)) >= 0:
        if start + 4 > n:
            if start + 2 == n or stream[start + 2] <= HIGHEST_ID:
                tail_at = min(tail_at, start)
                break
            start += 1
            continue
        end = start + 4 + stream[start + 3]
        if stream[start + 2] > HIGHEST_ID or not 2 <= stream[start + 3] <= _LONGEST:
            start += 1
        elif end > n:
            tail_at = min(tail_at, start)
            start += 1
        elif sum(stream[start + 2 : end]) & 0xFF == 0xFF:
            packets.append(StatusPacket(stream[start + 2], stream[start + 4], stream[start + 5 : end - 1]))
            start = settled = end
            tail_at = n
        else:
            bad_checksums += 1
            start += 1
    if tail_at == n > settled and stream[-1] == 0xFF:
        tail_at = n - 1
    return Scan(packets, n - tail_at, _lacking(stream, tail_at), bad_checksums)


def _lacking(stream: bytes, at: int) -> int:
    n = len(stream)
    if at == n:
        return 0
    return at + 4 + stream[at + 3] - n if at + 4 <= n else at + OVERHEAD - n


class Form(NamedTuple):
    """How a whole burst looks: bytes of a packet and of all; one byte of every packet in a row; where each packet lies."""

    size: int
    n_bytes: int
    ids: bytes
    lengths: bytes
    header: bytes
    packets: tuple[slice, ...]

    def fits(self, stream: bytes) -> bool:
        """Return whether a stream is exactly what was asked for, every servo in order and undamaged.

        The way of nearly every tick; anything else goes through `scan`. One byte of all packets is compared at a time: that is
        faster than one packet at a time.
        """
        size = self.size
        if (
            len(stream) != self.n_bytes
            or stream[2::size] != self.ids
            or stream[3::size] != self.lengths
            or stream[::size] != self.header
            or stream[1::size] != self.header
        ):
            return False
        for packet in self.packets:  # noqa: SIM110 - `all` over a generator costs half as much again
            if sum(stream[packet]) & 0xFF != 0xFD:  # the two header bytes add 0x1FE to the 0xFF of the rest
                return False
        return True


@functools.cache
def form_of(servo_ids: tuple[int, ...], n_bytes: int) -> Form:
    """Return the form of the burst in which these servos answer with so many bytes each."""
    size, n = n_bytes + OVERHEAD, len(servo_ids)
    packets = tuple(slice(start, start + size) for start in range(0, size * n, size))
    return Form(size, size * n, bytes(servo_ids), bytes((n_bytes + 2,)) * n, HEADER[:1] * n, packets)


def split_burst(burst: ReplyBurst, servo_ids: tuple[int, ...], n_bytes: int) -> dict[int, Reply]:
    """Return the answers of a whole burst, servo by servo."""
    size, stream = n_bytes + OVERHEAD, burst.stream
    starts = range(0, size * len(servo_ids), size)
    return {
        servo_id: Reply(stream[start + 4], stream[start + 5 : start + size - 1], burst.t_s)
        for servo_id, start in zip(servo_ids, starts, strict=True)
    }


def ping(servo_id: int = BROADCAST_ID) -> bytes:
    """Build a ping of one servo or, without an id, of all."""
    return _instruction(servo_id, INST_PING, b"")


def read(servo_id: int, address: int, n_bytes: int) -> bytes:
    """Build the request for `n_bytes` registers of one servo."""
    return _instruction(servo_id, INST_READ, bytes((address, n_bytes)))


def write(servo_id: int, address: int, data: bytes) -> bytes:
    """Build an acknowledged write to one servo."""
    return _instruction(servo_id, INST_WRITE, bytes((address,)) + data)


def sync_read(servo_ids: Iterable[int], address: int, n_bytes: int) -> bytes:
    """Build the request for the same registers of several servos, which answer in that order."""
    return _instruction(BROADCAST_ID, INST_SYNC_READ, bytes((address, n_bytes, *servo_ids)))


def sync_write(address: int, n_bytes: int, data: bytes | bytearray) -> bytes:
    """Build a write to the same registers of several servos; no servo acknowledges it.

    Args:
        address: The first register.
        n_bytes: How many.
        data: For each servo its id and its `n_bytes`.
    """
    return _instruction(BROADCAST_ID, INST_SYNC_WRITE, bytes((address, n_bytes)) + data)


def _instruction(servo_id: int, instruction: int, parameters: bytes | bytearray) -> bytes:
    n = len(parameters)
    assert 0 <= servo_id <= BROADCAST_ID, f"no servo has the id {servo_id}; ids are 0..{HIGHEST_ID}"
    assert n + OVERHEAD <= _LONGEST, f"a packet of {n + OVERHEAD} bytes; the longest has {_LONGEST}"
    packet = bytes((0xFF, 0xFF, servo_id, n + 2, instruction)) + parameters
    return packet + _CHECKSUM[sum(packet) & 0xFF]
