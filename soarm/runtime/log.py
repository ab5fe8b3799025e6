"""The log of a run: one file, one record of fixed size per tick, complete up to the last one whatever ended the run.

The first line is JSON and says what the run was (rates, limits, calibration, bundle) and what a record holds; after it come
the records, little-endian, as NumPy wrote them. A log that was cut off in the middle of a record is read up to there.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import LogError

logger = logging.getLogger(__name__)
_MAGIC = "soarm-run-log"
_VERSION = 1
_N = arm.N_JOINTS
RECORD = np.dtype(
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
        ("objects", "<f4", (7,)),
        ("ticks_present", "<i4", (_N,)),
        ("q_present", "<f8", (_N,)),
        ("age_s", "<f8", (_N,)),
        ("misses", "<i4", (_N,)),
        ("action", "<f8", (_N,)),  # what was wanted
        ("last_q", "<f8", (_N,)),  # what the safety chain took for the last target, and its velocity
        ("last_velocity", "<f8", (_N,)),
        ("q_sent", "<f8", (_N,)),
        ("ticks_sent", "<i4", (_N,)),
        ("reasons", "<i4", (_N,)),
        ("refused", "u1"),
        ("sent", "u1"),  # 0 where nothing was sent: a dry run, or a held arm
        ("load", "<f4", (_N,)),
        ("voltage_v", "<f4", (_N,)),
        ("temperature_c", "<i4", (_N,)),
        ("status", "<i4", (_N,)),
        ("current_ma", "<f4", (_N,)),
    ]
)
"""What a record holds; joints in the order of `soarm.arm.JOINT_NAMES`, LeRobot's units."""


class Run(NamedTuple):
    """A log that was read: its header, its records, and bytes at the end that are no whole record."""

    header: dict[str, Any]
    records: NDArray[np.void]
    n_cut_off: int


class RunLog:
    """Writes a log; a context manager.

    Args:
        path: Must not exist: no run overwrites another.
        header: What the run was; anything JSON can hold.

    Attributes:
        incomplete: Why its end is missing; None where all is well.

    Raises:
        LogError: The file exists, or cannot be written.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        fields = [[name, *map(str, rest)] for name, *rest in RECORD.descr]
        first = {"format": _MAGIC, "version": _VERSION, "record_bytes": RECORD.itemsize, "fields": fields, **header}
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
        self.incomplete: str | None = None

    def add(self, record: NDArray[np.void]) -> None:
        """Append one record, shape () of dtype `RECORD`; where the disk is full the run goes on, and the log ends here."""
        if self.incomplete is None:
            try:
                self._file.write(record.tobytes())
                self.n_records += 1
            except OSError as error:
                self._give_up(error)

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


def read(path: Path) -> Run:
    """Read a log.

    Raises:
        LogError: It is missing, no log, or of another version.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LogError(f"{path} cannot be read ({error.strerror}); `soarm drive --log FILE` writes logs") from None
    first, _, rest = content.partition(b"\n")
    try:
        header: dict[str, Any] = json.loads(first)
        found = header["format"], header["version"], header["record_bytes"]
    except (ValueError, KeyError, TypeError):
        raise LogError(f"{path} is no log of a run: its first line is {first[:60]!r}") from None
    if found != (_MAGIC, _VERSION, RECORD.itemsize):
        raise LogError(
            f"{path} is {found[0]!r} of version {found[1]} with records of {found[2]} bytes; this soarm "
            f"reads {_MAGIC!r} of version "
            f"{_VERSION} with {RECORD.itemsize}. Read it with the soarm that wrote it: {header.get('soarm', 'unknown')}"
        )
    n = len(rest) // RECORD.itemsize
    cut_off = len(rest) - n * RECORD.itemsize
    if cut_off:
        logger.warning("%s ends in the middle of a record: %d whole ones were read", path, n)
    return Run(header, np.frombuffer(rest[: n * RECORD.itemsize], RECORD), cut_off)
