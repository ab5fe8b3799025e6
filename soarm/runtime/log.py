"""The log of a run: one file, a record of fixed size per tick and what happened between, up to the last half second.

The first line is JSON and says what the run was (rates, limits, calibration, bundle) and what a record holds. After it come
pieces: a letter, the number of bytes, the bytes. `T` is a tick, little-endian as NumPy wrote it. `M` is a step of a move that
is no policy's, to the start and to park, 50 times a second. `E` is an event as JSON, with its time since the log began and a
text: every change of the arm's state with its cause, what a move is for, and at the end the counters of the bus. Every half
second it is handed to the operating system. A log that was cut off in the middle of a piece is read up to there.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import LogError, SmallFileError
from soarm.smallfile import BINARY_BYTES, MOST_BYTES, parse_json, read_bytes, require_writable, shown
from soarm.spec import DEFAULT_TASK
from soarm.tasks.registry import find
from soarm.tasks.task import Task

logger = logging.getLogger(__name__)
_MAGIC = "soarm-run-log"
_VERSION = 3
_PIECE = struct.Struct("<cI")
_FLUSH_S = 0.5
_MOST_CAMERAS = 100
_N = arm.N_JOINTS
_JOINTS = [
    ("ticks_present", "<i4", (_N,)),
    ("q_present", "<f8", (_N,)),
    ("velocity", "<f8", (_N,)),
    ("age_s", "<f8", (_N,)),
    ("misses", "<i4", (_N,)),
]
_SERVOS = [
    ("load", "<f4", (_N,)),
    ("voltage_v", "<f4", (_N,)),
    ("temperature_c", "<i4", (_N,)),
    ("status", "<i4", (_N,)),
    ("current_ma", "<f4", (_N,)),
    ("moving", "u1", (_N,)),
]
MOVE = np.dtype(
    [
        ("t_s", "<f8"),  # since the log began, as of events
        ("state", "u1"),
        *_JOINTS,
        ("ticks_told", "<i4", (_N,)),  # the goal each joint had then; -1 for none
        *_SERVOS,
    ]
)
"""What is kept of a step of a move."""


@functools.cache
def record_type(n_objects: int, n_cameras: int = 0) -> np.dtype[np.void]:
    """Return what a tick's record holds; joints in order and units of `soarm.arm`.

    Args:
        n_objects: Numbers of objects.
        n_cameras: Cameras; a log without any is what it was before there were cameras.
    """
    pictures = [("picture_age_s", "<f4", (n_cameras,)), ("picture_crc", "<u4", (n_cameras,))]
    return np.dtype(
        [
            ("t_s", "<f8"),  # since the start of the run
            ("arrived", "u1"),  # whether the arm had come to the policy: before, its speed is that of the approach
            ("control", "u1"),  # whether this tick asked for a new action
            ("state", "u1"),  # of the arm, its place in soarm.hardware.states.State
            ("verdict", "u1"),  # soarm.runtime.watchdogs.Action
            ("lateness_s", "<f8"),  # how much after its time the tick began
            ("busy_s", "<f8"),  # how long it took
            ("sight_age_s", "<f8"),
            ("dt_s", "<f8"),  # what the safety chain counted with
            ("objects", "<f4", (n_objects,)),  # NaN where nobody told them
            *pictures,  # how old those were that the policy saw, and CRC-32 of their bytes
            *_JOINTS,
            ("base", "<f4", (_N,)),  # what the base said; NaN where it said nothing
            ("correction", "<f4", (_N,)),  # of the residual
            ("action", "<f8", (_N,)),  # what was wanted: their sum, inside the joints' limits
            ("last_q", "<f8", (_N,)),  # what the safety chain took for the last target, and its velocity
            ("last_velocity", "<f8", (_N,)),
            ("q_sent", "<f8", (_N,)),
            ("ticks_sent", "<i4", (_N,)),
            ("reasons", "<i4", (_N,)),
            ("refused", "u1"),
            ("sent", "u1"),  # 0 where nothing was sent: a dry run, or a held arm
            *_SERVOS,
        ]
    )


class Run(NamedTuple):
    """A log that was read; `n_cut_off` bytes at its end are no whole piece."""

    task: Task
    header: dict[str, Any]
    records: NDArray[np.void]
    n_cut_off: int
    events: tuple[dict[str, Any], ...] = ()
    moves: NDArray[np.void] = np.zeros(0, MOVE)


class RunLog:
    """Writes a log; a context manager.

    Args:
        path: Must not exist: no run overwrites another.
        task: Of the run.
        header: What else the run was; anything JSON can hold. `cameras` lists the names of those whose pictures are seen.
        now: The clock [s].

    Attributes:
        incomplete: Why its end is missing; None where all is well.

    Raises:
        LogError: The file exists, or cannot be written.
    """

    def __init__(self, path: Path, task: Task, header: Mapping[str, Any], now: Callable[[], float] = time.monotonic) -> None:
        record = record_type(*task.objects.shape, len(header.get("cameras", ())))
        fields, of_moves = ([[name, *map(str, rest)] for name, *rest in kind.descr] for kind in (record, MOVE))
        first = {
            "format": _MAGIC,
            "version": _VERSION,
            "task": task.name,
            "record_bytes": record.itemsize,
            "fields": fields,
            "fields_of_moves": of_moves,
            **header,
        }
        try:
            self._file = path.open("xb")
        except OSError as error:
            raise LogError(f"the log {path} cannot be written ({error.strerror}); choose a file that does not exist") from None
        try:
            self._file.write(json.dumps(first).encode("utf-8") + b"\n")
            self._file.flush()
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.close()
            raise LogError(
                f"the log {path} cannot be written ({error.strerror}); make room, or choose another place"
            ) from None
        self.path, self.n_records = path, 0
        self._now = now
        self._began_s = self._flushed_s = now()
        self.incomplete: str | None = None

    def add(self, record: NDArray[np.void]) -> None:
        """Append one record, a `record_type` of the task's; where the disk is full the run goes on, and the log ends here."""
        if self._append(b"T", record.tobytes()):
            self.n_records += 1

    def add_move(self, record: NDArray[np.void], at_s: float) -> None:
        """Append a step of a move, shape () of dtype `MOVE`, as of a time [s]."""
        record["t_s"] = at_s - self._began_s
        self._append(b"M", record.tobytes())

    def note(self, text: str, at_s: float | None = None, **more: Any) -> None:
        """Append an event.

        Args:
            text: What happened.
            at_s: When; None for now [s].
            more: Numbers to it, by name; anything JSON can hold.
        """
        t_s = (self._now() if at_s is None else at_s) - self._began_s
        self._append(b"E", json.dumps({"t_s": round(t_s, 4), "text": text, **more}).encode("utf-8"))

    def _append(self, kind: bytes, data: bytes) -> bool:
        if self.incomplete is not None or self._file.closed:
            return False
        try:
            self._file.write(_PIECE.pack(kind, len(data)) + data)
            now_s = self._now()
            if now_s - self._flushed_s >= _FLUSH_S:
                self._file.flush()
                self._flushed_s = now_s
        except OSError as error:
            self._give_up(error)
            return False
        return True

    def close(self) -> None:
        """End the log; a second time does nothing."""
        try:
            self._file.close()
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        if self.incomplete is None:
            self.incomplete = f"the log {self.path} is incomplete: {error.strerror}"
            logger.error("%s; the run goes on without it", self.incomplete)

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def require_place(path: Path) -> None:
    """Refuse a file for a log before anything is begun that it should be a log of.

    Raises:
        LogError: It exists, or cannot be written.
    """
    if os.path.lexists(path):
        raise LogError(f"the log {path} exists; choose a file that does not exist")
    require_writable(path, LogError)


def read(path: Path) -> Run:
    """Read a log.

    Raises:
        LogError: It is missing, no log, of another version, or of a task that is not there.
    """
    try:
        content = read_bytes(path, BINARY_BYTES)
    except SmallFileError as error:
        raise LogError(f"{path} {error}; `soarm drive --log FILE` writes logs") from None
    first, _, rest = content.partition(b"\n")
    try:
        header: dict[str, Any] = parse_json(first[: MOST_BYTES + 1])
        found = header["format"], header["version"], header["record_bytes"]
    except (SmallFileError, KeyError):
        raise LogError(f"{path} is no log of a run: its first line is {first[:60]!r}") from None
    task = find(str(header.get("task", DEFAULT_TASK))[:40], LogError)  # logs of before say none
    cameras = header.get("cameras", [])  # logs of before have none
    if not isinstance(cameras, list) or len(cameras) > _MOST_CAMERAS:
        raise LogError(f"{path} has cameras {shown(cameras)} in its first line; it must be a list of at most {_MOST_CAMERAS}")
    record = record_type(*task.objects.shape, len(cameras))
    if found != (_MAGIC, _VERSION, record.itemsize):
        raise LogError(
            f"{path} is {shown(found[0])} of version {shown(found[1])} with records of {shown(found[2])} bytes; this soarm "
            f"reads {_MAGIC!r} of version "
            f"{_VERSION} with {record.itemsize}. Read it with the soarm that wrote it: {header.get('soarm', 'unknown')!s:.40}"
        )
    ticks, moves, events, cut_off = _pieces(rest, record.itemsize)
    if cut_off:
        logger.warning("%s ends in the middle of a record: %d whole ones were read", path, len(ticks))
    records, steps = np.frombuffer(b"".join(ticks), record), np.frombuffer(b"".join(moves), MOVE)
    return Run(task, header, records, cut_off, tuple(events), steps)


def _pieces(content: bytes, record_bytes: int) -> tuple[list[bytes], list[bytes], list[dict[str, Any]], int]:
    """Return the records of ticks and of moves, the events, and how many bytes at the end are no whole piece."""
    ticks, moves, events, at = [], [], [], 0
    while at + _PIECE.size <= len(content):
        kind, n = _PIECE.unpack_from(content, at)
        data = content[at + _PIECE.size : at + _PIECE.size + n]
        if len(data) < n:
            break
        try:
            if kind == b"T" and n == record_bytes:
                ticks.append(data)
            elif kind == b"M" and n == MOVE.itemsize:
                moves.append(data)
            elif kind == b"E":
                events.append(_event(data))
            else:
                raise SmallFileError(f"is {kind!r} of {n} bytes")
        except SmallFileError as error:
            raise LogError(f"the log is damaged {at} bytes after its first line: the piece there {error}") from None
        at += _PIECE.size + n
    return ticks, moves, events, len(content) - at


def _event(data: bytes) -> dict[str, Any]:
    """Return an event; its further numbers may be anything, since they are only shown."""
    event: dict[str, Any] = parse_json(data, finite=False)
    t_s = event.get("t_s")
    if isinstance(t_s, bool) or not isinstance(t_s, int | float) or not isinstance(event.get("text"), str):
        raise SmallFileError(f"is no event, which has a number t_s and a text: {shown(event)}")
    return event
