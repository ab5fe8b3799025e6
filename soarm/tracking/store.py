"""Where runs are kept, how a local store comes to be, and which clone writes to one that several share.

MLflow makes a SQLite store table by table and migration by migration; two processes that begin together spoil it for good, as
does one that is killed in the middle. So one process at a time opens a store of the file system, and a new one is made aside
and appears whole.
"""

from __future__ import annotations

import fcntl
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from soarm.errors import StageError
from soarm.smallfile import read_bytes, write_atomically

_PATIENCE_S = 120.0
"""How long to wait for a process that has the store; making one takes 5 to 10 s on a slow machine."""
_LOOK_S = 0.1
CLONE = "SOARM_CLONE"
"""Environment variable: the name of the clone whose work a copy on another machine does."""


class Store(NamedTuple):
    """Where runs go: a tracking URI, and where artifacts lie; None where others may write to the store too, and it decides."""

    uri: str
    artifacts: str | None


def store_for(root: Path) -> Store:
    """Return the store the environment names, or the one of the repository.

    `dvc exp run` works in a temporary copy; DVC_ROOT names the repository it was made from.
    """
    if uri := os.environ.get("MLFLOW_TRACKING_URI"):
        return Store(uri, None)
    folder = Path(os.environ.get("DVC_ROOT", root)) / "mlflow"
    return Store(f"sqlite:///{folder / 'mlflow.db'}", (folder / "artifacts").as_uri())


def clone_name(root: Path) -> str:
    """Return what tells the clone at `root` from all others in a store that several share: 32 hexadecimal digits.

    They are drawn when they are first asked for, and kept in the folder `mlflow`.

    Raises:
        OSError: The folder cannot be written.
        StageError: The same, of the file.
    """
    if name := os.environ.get(CLONE):
        return name
    path = Path(os.environ.get("DVC_ROOT", root)) / "mlflow" / "clone"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name("clone.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it ends with the file
        if not path.exists():
            write_atomically(path, uuid.uuid4().hex, StageError)
        return read_bytes(path).decode()


@contextmanager
def opened_alone(uri: str, patience_s: float = _PATIENCE_S) -> Iterator[None]:
    """Let no other process of soarm open the same local store meanwhile, and make it if it is not there.

    A store behind a server, or in a database that is no file, is left as it is: there the server sees to it.

    Args:
        uri: Tracking URI.
        patience_s: How long to wait for other processes [s].

    Raises:
        OSError: The lock cannot be had, or in time (`TimeoutError`).
    """
    database = _database(uri)
    if database is None:
        yield
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with database.with_name(f"{database.name}.lock").open("w") as lock:
        _wait_for(lock.fileno(), Path(lock.name), patience_s)  # it ends with the file, or with the process
        if not database.exists() or not database.stat().st_size:
            _make(database)
        yield


def _database(uri: str) -> Path | None:
    name = uri.removeprefix("sqlite:///").partition("?")[0]
    return Path(name) if uri.startswith("sqlite:///") and name not in ("", ":memory:") else None


def _wait_for(lock: int, path: Path, patience_s: float) -> None:
    give_up_s = time.monotonic() + patience_s
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_s:
                raise TimeoutError(f"another process has held {path} for {patience_s:g} s") from None
        time.sleep(_LOOK_S)


def _make(database: Path) -> None:
    from mlflow import MlflowClient

    partial = database.with_name(f"{database.name}.partial")
    partial.unlink(missing_ok=True)  # of a process that was killed
    MlflowClient(f"sqlite:///{partial}").search_experiments(max_results=1)
    partial.rename(database)
