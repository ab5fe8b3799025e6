"""Delay replies as line and adapter do: the line carries one byte after the other, and the adapter adds its own time."""

from __future__ import annotations

from collections.abc import Sequence

from soarm.twin.faults import TimedReply

BYTE_S = 10e-6
"""A byte on the line, 8N1 at 1 Mbaud [s]."""


class Outgoing:
    """The replies on their way from one bus.

    A request takes its bytes' time, and each reply its own after the one before it is through: six answers to one SYNC READ
    come in a burst. A servo may wait before it speaks (`TimedReply.wait_s`), and all after it wait too. The adapter adds the
    same time to everything, and a late reply (`TimedReply.late_s`) holds up those behind it, but does not occupy the line.

    Args:
        line_timing: Bytes take their time; else only the adapter's counts.
        usb_delay_s: What the adapter adds [s].
    """

    def __init__(self, *, line_timing: bool, usb_delay_s: float) -> None:
        self._byte_s = BYTE_S if line_timing else 0.0
        self._usb_delay_s = usb_delay_s
        self._free_s = 0.0  # when the line is free again
        self._queue: list[tuple[float, bytes]] = []

    def put(self, replies: Sequence[TimedReply], n_asked: int, now_s: float) -> None:
        """Take the replies to a request of so many bytes that came now; none to one that is echoed: it was sent already."""
        self._free_s = max(self._free_s, now_s) + self._byte_s * n_asked
        for reply in replies:
            self._free_s += reply.wait_s + self._byte_s * len(reply)
            before_s = self._queue[-1][0] if self._queue else 0.0
            self._queue.append((max(before_s, self._free_s + self._usb_delay_s + reply.late_s), bytes(reply)))

    def due(self, now_s: float) -> bytes:
        """Return what has come through by now, once."""
        due = b"".join(data for at_s, data in self._queue if at_s <= now_s)
        self._queue = [entry for entry in self._queue if entry[0] > now_s]
        return due

    @property
    def next_s(self) -> float | None:
        """When the next reply is due [s]; None with none on its way."""
        return self._queue[0][0] if self._queue else None

    def clear(self) -> None:
        """Forget everything: the cable was pulled."""
        self._queue.clear()
        self._free_s = 0.0
