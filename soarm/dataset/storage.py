"""Atomic replacement of files and folders: a kill, a power cut or a full disk leaves the old one or the new one, never half.

Knows files and folders, nothing about datasets.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from soarm.errors import DatasetError
from soarm.smallfile import PARTIAL, replacing

logger = logging.getLogger(__name__)


def write_file(path: Path, content: bytes | memoryview) -> None:
    """Write a whole file, durably, under another name first; `path` appears complete or stays as it was.

    Raises:
        DatasetError: The disk is full or the folder cannot be written; names the file and the remedy.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(content)
        sync_folder(path.parent)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an OSError of the block into a DatasetError that names `path` and what to do."""
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"cannot write {path}: {error.strerror or error}. What was there before is untouched. "
            f"Free space on the disk of {path.parent} (or allow writing there) and do the same again; "
            "finished episodes of a recording are kept: go on with `soarm control --dataset` and its folder."
        ) from error


def sync_file(path: Path) -> None:
    """Wait until the disk has a file."""
    with writing(path), open(path, "rb") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable; a system that cannot (Windows) is left alone."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def room_for(path: Path) -> Path:
    """Return an empty folder beside `path` in which its successor can be built."""
    recover(path)
    successor = _successor(path)
    with writing(successor):
        successor.mkdir(parents=True)
    return successor


def require_room(path: Path) -> None:
    """Make the folder `path`, and try that it can be written and replaced: before hours of work end in a folder that cannot.

    Raises:
        DatasetError: It cannot; names the folder and what to do.
    """
    room_for(path)
    discard(path)
    probe = path / f".soarm{PARTIAL}"
    with writing(path):
        path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()


def require_void(path: Path, what: str) -> None:
    """Refuse a place for a new dataset where something is.

    Raises:
        DatasetError: `path` is a file, or a folder that is not empty; `what` is what writes there.
    """
    recover(path)
    if not _is_void(path):
        raise DatasetError(f"{path} is not empty; {what} writes a new dataset. Choose another folder.")


def copy_others(path: Path, folder: Path, except_for: Iterable[str]) -> None:
    """Copy what lies in `path` under other names than `except_for` into `folder`."""
    for entry in sorted(path.iterdir()) if path.exists() else []:
        if entry.name not in except_for:
            if entry.is_dir() and not entry.is_symlink():
                shutil.copytree(entry, folder / entry.name, symlinks=True)
            else:
                shutil.copy2(entry, folder / entry.name, follow_symlinks=False)


def publish(path: Path) -> None:
    """Put the successor built in `room_for(path)` in the place of `path`, durably.

    Two renames: wherever a kill falls, the old or the new folder is whole; between them `location` still finds the old one.
    """
    path = path.resolve()  # the folder itself, not a link to it
    successor, predecessor = _successor(path), _predecessor(path)
    with writing(path):
        if path.exists():
            os.replace(path, predecessor)
        try:
            os.replace(successor, path)
        except OSError:
            if predecessor.exists():
                os.replace(predecessor, path)
            raise
        sync_folder(path.parent)
    shutil.rmtree(predecessor, ignore_errors=True)


def discard(path: Path) -> None:
    """Remove what was built in `room_for(path)`."""
    shutil.rmtree(_successor(path), ignore_errors=True)


def recover(path: Path) -> None:
    """Finish or undo what a killed `publish` left beside `path`."""
    path = path.resolve()
    predecessor = _predecessor(path)
    if predecessor.exists() and _is_void(path):
        logger.warning("%s: an edit was interrupted; the state before it is put back", path)
        with writing(path):
            if path.exists():
                path.rmdir()  # made anew by somebody, and empty
            os.replace(predecessor, path)
    elif predecessor.exists():
        shutil.rmtree(predecessor, ignore_errors=True)
    discard(path)


def location(path: Path) -> Path:
    """Return where the content of `path` is now: beside it if a kill fell between the two renames of `publish`."""
    return _predecessor(path) if _is_void(path) and _predecessor(path).exists() else path


def _is_void(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _successor(path: Path) -> Path:
    real = path.resolve()
    return real.with_name(f".{real.name}.soarm-next")


def _predecessor(path: Path) -> Path:
    real = path.resolve()
    return real.with_name(f".{real.name}.soarm-before")
