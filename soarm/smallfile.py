"""Small files: a strict reader for what anybody may have written, and a writer that leaves a whole file or the old one.

Every reader of JSON in soarm goes through here. The file must be a regular one of bounded size; a pipe or a device is not
opened, so nothing hangs. The JSON must be UTF-8, with finite numbers, each key once, and the kind of value at its top that
the caller asks for. Whatever is wrong becomes one sentence: `SmallFileError`, or the error class of the caller.

Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import reprlib
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from soarm.errors import SmallFileError, SoarmError

MOST_BYTES = 1 << 20
"""Greatest size of a file that people and commands write, where the caller says nothing else [bytes]."""
DATASET_BYTES = 16 << 20
"""Greatest size of a JSON file in a dataset [bytes]: its statistics grow with its features."""
BINARY_BYTES = 2 << 30
"""Greatest size of a log or a network [bytes]; ONNX allows no more."""
PARTIAL = ".partial"
"""Ending of a file that is still being written."""
MOST_DEPTH = 32
"""Lists and objects inside one another."""
_MOST_DIGITS = 19
"""Of a whole number: more do not fit into 64 bits."""
_PROBE_BYTES = 1 << 16
_NAMES = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}
_NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def read_json(
    path: Path,
    error: type[SoarmError],
    remedy: str,
    *,
    what: str = "",
    kind: type = dict,
    most_bytes: int = MOST_BYTES,
    finite: bool = True,
) -> Any:
    """Return what a JSON file holds.

    Args:
        path: The file.
        error: What to raise.
        remedy: A sentence or two for the message: where such a file comes from, and what to do.
        what: What the file should be, as in "a calibration of soarm"; said where it can be read and is none.
        kind: What must be at its top: dict or list.
        most_bytes: Its greatest size.
        finite: Whether NaN, Infinity and numbers beyond the range of a float are refused.

    Raises:
        SoarmError: Of the class `error`: the file cannot be read, is too large, or is not such JSON.
    """
    try:
        return load_json(path, kind=kind, most_bytes=most_bytes, finite=finite)
    except SmallFileError as fault:
        is_none = f" is not {what}: it" if what and not str(fault).startswith("cannot be read") else ""
        raise error(f"{path}{is_none} {fault}. {remedy}") from None


def load_json(path: Path, *, kind: type = dict, most_bytes: int = MOST_BYTES, finite: bool = True) -> Any:
    """Return what a JSON file holds; as `read_json`, but raises `SmallFileError`, which does not name the file."""
    return parse_json(read_bytes(path, most_bytes), kind=kind, finite=finite)


def parse_json(content: bytes | str, *, kind: type = dict, finite: bool = True) -> Any:
    """Return what a JSON text holds; see `read_json`.

    Raises:
        SmallFileError: It is not such JSON.
    """
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content
    except UnicodeDecodeError as error:
        raise SmallFileError(f"is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}") from None
    if not text.strip():
        raise SmallFileError("is empty: truncated, or never written")
    try:
        data = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_whole,
            parse_float=_number if finite else float,
            parse_constant=_constant if finite else float,
        )
    except SmallFileError:
        raise
    except RecursionError:
        _refuse_depth()
    except ValueError as error:
        raise SmallFileError(f"is not JSON, or truncated: {error}") from None
    if not isinstance(data, kind):
        raise SmallFileError(f"holds {_NAMES.get(type(data), 'null')} ({shown(data)}), not {_NAMES[kind]}")
    level: list[Any] = [data]
    for _ in range(MOST_DEPTH):
        _refuse_half_characters(level)
        level = [inner for one in level for inner in _inside(one)]
    if level:
        _refuse_depth()
    return data


def read_bytes(path: Path, most_bytes: int = MOST_BYTES) -> bytes:
    """Return the content of a regular file.

    Raises:
        SmallFileError: There is none, it is no regular file, may not be read, or has more than `most_bytes`.
    """
    try:
        _require_regular(os.stat(path).st_mode)  # before it is opened: opening a serial port or a pipe does something
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            found = os.fstat(descriptor)
            _require_regular(found.st_mode)
            content = file.read(most_bytes + 1) if found.st_size <= most_bytes else b""
    except FileNotFoundError:
        link = f": it is a link to {os.readlink(path)}" if os.path.islink(path) else ""
        raise SmallFileError(f"cannot be read (No such file or directory{link})") from None
    except (OSError, ValueError) as error:  # ValueError: a path with a null byte
        raise SmallFileError(f"cannot be read ({_reason(error)})") from None
    if len(content) > most_bytes or found.st_size > most_bytes:
        raise SmallFileError(f"has {max(found.st_size, len(content))} bytes; allowed are {most_bytes}")
    return content


def write_atomically(path: Path, content: bytes | str, error: type[SoarmError], *, durable: bool = True) -> None:
    """Write a file so that a kill, a power cut or a full disk leaves the whole new file or the old one.

    A link is followed; text is written as UTF-8.

    Args:
        path: The file; its folder must exist.
        content: All of it.
        error: What to raise.
        durable: Wait until the disk has it.

    Raises:
        SoarmError: Of the class `error`: it cannot be written there.
    """
    try:
        with replacing(_target(path), durable=durable) as file:
            file.write(content.encode("utf-8") if isinstance(content, str) else content)
    except (OSError, ValueError) as fault:
        raise error(
            f"{path} cannot be written ({_reason(fault)}); what was there is as it was. Make room, allow writing, or choose "
            "another place"
        ) from None


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Open a new file beside `path`, which takes its place when the block ends well and is deleted when it does not.

    Args:
        path: The file; its folder must exist. A link is replaced, not followed.
        durable: Wait until the disk has it.

    Raises:
        OSError: It cannot be written there; `path` is as it was.
    """
    part = _part(path)
    try:
        with open(part, "wb") as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        _discard(part)
        raise


def require_writable(path: Path, error: type[SoarmError]) -> None:
    """Refuse a place where `write_atomically` would fail; writes a little beside it and takes it away again.

    Raises:
        SoarmError: Of the class `error`: the folder is missing or read-only, the disk is full, or no file can be there.
    """
    part = None
    try:
        part = _part(_target(path))
        with part.open("wb") as file:
            file.write(bytes(_PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, ValueError) as fault:
        raise error(
            f"{path} cannot be written ({_reason(fault)}). Make room, allow writing, or choose another place"
        ) from None
    finally:
        _discard(part)


def shown(value: object) -> str:
    """Return a value for a message: its `repr`, at most about 80 characters of it."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 60
    short.maxlevel, short.maxlist, short.maxtuple, short.maxdict = 3, 8, 8, 8
    text = short.repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _target(path: Path) -> Path:
    """Return where the file lies, links followed."""
    target = Path(os.path.realpath(path))
    if target.exists():
        _require_regular(target.stat().st_mode)
    return target


def _part(path: Path) -> Path:
    return path.with_name(f"{path.name}.{os.getpid()}{PARTIAL}")


def _discard(part: Path | None) -> None:
    if part is not None:
        with contextlib.suppress(OSError):
            part.unlink()


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(f"it is {_NO_FILES.get(stat.S_IFMT(mode), 'something else')}, not a file")


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise SmallFileError(f"has the key {shown(next(key for key in keys if keys.count(key) > 1))} twice in one object")
    return found


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise SmallFileError(f"holds the number {text[:40]}, which no float can hold")
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > _MOST_DIGITS:
        raise SmallFileError(f"holds a whole number of {len(text)} digits ({text[:20]}...); allowed are {_MOST_DIGITS}")
    return int(text)


def _constant(text: str) -> NoReturn:
    raise SmallFileError(f"holds {text}; every number must be finite")


def _inside(value: Any) -> Iterable[Any]:
    return (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ()


def _refuse_half_characters(values: Iterable[Any]) -> None:
    for value in values:
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:  # an escape such as \ud800 alone: no text, and no terminal shows it
                raise SmallFileError(f"holds {shown(value)}, which is no text") from None


def _refuse_depth() -> NoReturn:
    raise SmallFileError(f"is nested more than {MOST_DEPTH} levels deep")
