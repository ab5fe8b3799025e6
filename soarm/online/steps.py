"""The file of all steps that an arm made while it learnt: appended to as they are made, each with a checksum, never rewritten.

The first line is JSON and says what a record holds and whose steps they are. After it come records of one size: an
observation of the residual, what was executed, and what the step was. The last record of an episode (`END`) holds its last
observation and how it ended, so an episode without one was cut off. Each record carries the CRC-32 of its bytes. What a power
cut left of the last record is cut off when the file is opened again, and a damaged one in the middle costs its episode alone.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import os
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import OnlineError, SmallFileError
from soarm.policy import Array
from soarm.smallfile import MOST_BYTES, parse_json, shown

logger = logging.getLogger(__name__)
_MAGIC, _VERSION = "soarm-online-steps", 1
_REMEDY = "Put back a copy of it, or begin another folder with --out"
_MOST_DIM = 10_000


class Kind(enum.IntFlag):
    """What a record is.

    Attributes:
        STEP: An observation, and what was executed on it.
        HUMAN: A person drove this step.
        END: The last observation of an episode.
        SUCCESS: The task was done.
        DISCARDED: The episode is not to be learnt from.
    """

    STEP = 0
    HUMAN = 1
    END = 2
    SUCCESS = 4
    DISCARDED = 8


class Episode(NamedTuple):
    """An episode of T steps.

    Attributes:
        number: Its place in the file, from 0.
        observations: Of the residual, the last one included, shape (T + 1, D).
        residuals: What was executed less the base's action, in units of the bound, not clipped, shape (T, 6).
        human: Steps that a person drove, shape (T,).
        success: Whether the task was done, which ended it; else it was cut by its time limit, or by what stopped the arm.
    """

    number: int
    observations: Array
    residuals: Array
    human: NDArray[np.bool_]
    success: bool

    def __len__(self) -> int:
        return len(self.residuals)


def record_type(dim: int) -> np.dtype[np.void]:
    """Return what a record holds, for observations of `dim` numbers."""
    fields: list[Any] = [
        ("episode", "<u4"),
        ("index", "<u4"),  # of the step in its episode
        ("kind", "<u4"),
        ("observation", "<f4", (dim,)),
        ("residual", "<f4", (arm.N_JOINTS,)),
        ("crc", "<u4"),
    ]
    return np.dtype(fields)


class StepFile:
    """Writes the file; a context manager. One that exists is continued.

    Args:
        path: The file.
        dim: Numbers of an observation.
        about: Whose steps they are, as JSON: residual, calibration; a file of others is refused.

    Attributes:
        n_episodes: Episodes in the file, those that were cut off and discarded among them.

    Raises:
        OnlineError: The file cannot be written, is no such file, or of others.
    """

    def __init__(self, path: Path, dim: int, about: Mapping[str, Any]) -> None:
        self.path, self._type = path, record_type(dim)
        self._index = 0
        try:
            self._file = path.open("r+b" if path.exists() else "x+b")
        except OSError as error:
            raise OnlineError(
                f"{path} cannot be written ({error.strerror}); choose another folder, or allow writing"
            ) from None
        try:
            self.n_episodes = self._continue(about) if os.fstat(self._file.fileno()).st_size else self._begin(about)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second time does nothing. An episode that is not ended stays cut off."""
        if not self._file.closed:
            self.sync()
            self._file.close()

    def add(self, observation: Array, residual: Array, *, human: bool) -> None:
        """Append a step.

        Args:
            observation: Of the residual, shape (D,).
            residual: What was executed less the base's action, in units of the bound, shape (6,).
            human: Whether a person drove it.
        """
        self._append(observation, residual, Kind.HUMAN if human else Kind.STEP)
        self._index += 1

    def end(self, observation: Array, *, success: bool, discarded: bool = False) -> None:
        """End the episode, and wait until the disk has all of it.

        Args:
            observation: The last one, shape (D,).
            success: Whether the task was done.
            discarded: Whether nothing is to be learnt from it.
        """
        kind = Kind.END | (Kind.SUCCESS if success else Kind.STEP) | (Kind.DISCARDED if discarded else Kind.STEP)
        self._append(observation, np.zeros(arm.N_JOINTS, np.float32), kind)
        self.sync()
        self.n_episodes, self._index = self.n_episodes + 1, 0

    def sync(self) -> None:
        """Wait until the disk has everything; once a second is enough."""
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
        except OSError as error:
            raise OnlineError(f"{self.path} cannot be written ({error.strerror}); make room, then start again") from None

    def _append(self, observation: Array, residual: Array, kind: Kind) -> None:
        record = np.zeros((), self._type)
        record["episode"], record["index"], record["kind"] = self.n_episodes, self._index, int(kind)
        record["observation"], record["residual"] = observation, residual
        record["crc"] = _crc(record.tobytes())
        try:
            self._file.write(record.tobytes())
            self._file.flush()  # so that the learner can read it; the disk has it after `sync`
        except OSError as error:
            raise OnlineError(f"{self.path} cannot be written ({error.strerror}); make room, then start again") from None

    def _begin(self, about: Mapping[str, Any]) -> int:
        dim = self._type["observation"].shape[0]
        first = {"format": _MAGIC, "version": _VERSION, "dim": dim, "about": dict(about)}
        self._file.write(json.dumps(first).encode("utf-8") + b"\n")
        self.sync()
        return 0

    def _continue(self, about: Mapping[str, Any]) -> int:
        """Cut off what is no whole record, and return the number of episodes that were begun."""
        header = _header(self._file.readline(MOST_BYTES), self.path)
        differ = [name for name in about if header["about"].get(name, about[name]) != about[name]]
        if differ or header["dim"] != self._type["observation"].shape[0]:
            what = "; ".join(f"{name} {shown(header['about'].get(name))}, here {shown(about[name])}" for name in differ)
            raise OnlineError(
                f"{self.path} holds steps of another policy or arm ({what or 'other observations'}); choose another folder, "
                "or start with what the folder was begun with"
            )
        start = self._file.tell()
        content = self._file.read()
        whole = len(content) // self._type.itemsize
        records = np.frombuffer(content[: whole * self._type.itemsize], self._type)
        while whole and int(records[whole - 1]["crc"]) != _crc(records[whole - 1].tobytes()):
            whole -= 1
        torn = len(content) - whole * self._type.itemsize
        if torn:
            logger.warning("%s ended in the middle of a step, as after a power cut: %d bytes were cut off", self.path, torn)
            self._file.truncate(start + len(content) - torn)
        self._file.seek(start + len(content) - torn)
        return int(records["episode"][:whole].max()) + 1 if whole else 0


class StepReader:
    """Reads the file while it grows.

    Args:
        path: The file.

    Attributes:
        dim: Numbers of an observation.
        about: Whose steps they are.
        n_damaged: Records whose checksum was wrong; their episodes are cut there.

    Raises:
        OnlineError: There is none, or it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        if not path.is_file():  # before it is opened: a pipe would wait
            raise OnlineError(f"{path} cannot be read: there is no such file; `soarm rl-train --arm` writes it")
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise OnlineError(f"{path} cannot be read ({error.strerror}); `soarm rl-train --arm` writes it") from None
        try:
            header = _header(self._file.readline(MOST_BYTES), path)
        except BaseException:
            self._file.close()
            raise
        self.dim, self.about = int(header["dim"]), header["about"]
        self._type = record_type(self.dim)
        self._open: list[NDArray[np.void]] = []
        self.n_damaged = 0

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def new(self) -> Iterator[Episode]:
        """Yield the episodes that ended since the last call, and those that were cut off; discarded ones are left out."""
        for record in self._records():
            begun = self._open
            follows = bool(begun) and record["episode"] == begun[0]["episode"] and record["index"] == len(begun)
            if begun and not follows:
                yield from self._cut_off()
            if not follows and record["index"]:
                continue  # its beginning is damaged
            self._open.append(record)
            if record["kind"] & Kind.END:
                ended, self._open = self._open, []
                if len(ended) > 1 and not record["kind"] & Kind.DISCARDED:
                    yield _episode(ended, success=bool(record["kind"] & Kind.SUCCESS))

    def _cut_off(self) -> Iterator[Episode]:
        """Yield the steps of an episode without an end: all but the last, whose outcome nobody knows."""
        begun, self._open = self._open, []
        if len(begun) > 1:
            yield _episode(begun, success=False)

    def _records(self) -> Iterator[NDArray[np.void]]:
        """Yield the whole records that came since the last call."""
        at = self._file.tell()
        content = self._file.read()
        whole = len(content) // self._type.itemsize * self._type.itemsize
        self._file.seek(at + whole)
        for record in np.frombuffer(content[:whole], self._type):
            if int(record["crc"]) == _crc(record.tobytes()):
                yield record
            else:
                self.n_damaged += 1
                logger.error("%s: a damaged step was left out, and its episode is cut there", self._path)


def read_all(path: Path) -> list[Episode]:
    """Return all episodes of a file, one that was cut off at its end included.

    Raises:
        OnlineError: There is none, or it is no such file.
    """
    with contextlib.closing(StepReader(path)) as reader:
        return [*reader.new(), *reader._cut_off()]


def _episode(records: list[NDArray[np.void]], *, success: bool) -> Episode:
    """Return records as an episode; the last one is the observation after the last step."""
    stacked = np.stack(records)
    steps = stacked[:-1]
    human = (steps["kind"] & Kind.HUMAN).astype(np.bool_)
    return Episode(int(stacked["episode"][0]), stacked["observation"].copy(), steps["residual"].copy(), human, success)


def _crc(data: bytes) -> int:
    return zlib.crc32(data[:-4])


def _header(line: bytes, path: Path) -> dict[str, Any]:
    try:
        header: dict[str, Any] = parse_json(line)
        found = header.get("format"), header.get("version")
        dim, about = header.get("dim"), header.get("about")
    except SmallFileError as error:
        raise OnlineError(f"{path} is no file of steps: its first line {error}. {_REMEDY}") from None
    if found != (_MAGIC, _VERSION) or type(dim) is not int or not 0 < dim <= _MOST_DIM or not isinstance(about, dict):
        raise OnlineError(
            f"{path} is {shown(found[0])} of version {shown(found[1])}; this soarm reads {_MAGIC!r} of version {_VERSION}. "
            f"{_REMEDY}"
        )
    return header
