"""What runs on a worker of a Ray cluster, and the board on the machine of the repository that its workers tell.

This module and those it imports are sent to the workers with the tasks: a worker needs the packages of soarm, not soarm
itself. They need the standard library only, and Ray on a worker.
"""

from __future__ import annotations

import getpass
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from soarm.cluster.archive import linked, pack, put, unpack, unpack_once
from soarm.process import Process

STOPPED = 130
_LOOK_S, _TELL_S, _SILENT_S, _PATIENCE_S = 0.1, 1.0, 15.0, 20.0


class Order(NamedTuple):
    """A task as it is sent to a worker.

    Attributes:
        name: Its name.
        words: What Python runs.
        scratch: Folder of its checkpoints.
        results: What it writes.
        key: Hash of its package.
        package: A list with Ray's reference to the package: it is fetched where no earlier task has unpacked it.
        environment: Variables of the process.
        here: Those where the worker is on the machine of the repository, in their place.
        home: That machine's address, as Ray knows it.
        keep_every_s: How often a checkpoint that has changed is sent home, at most [s].
    """

    name: str
    words: tuple[str, ...]
    scratch: str
    results: tuple[str, ...]
    key: str
    package: list[Any]
    environment: Mapping[str, str]
    here: Mapping[str, str]
    home: str
    keep_every_s: float


class Board:
    """Collects what workers tell, and keeps their checkpoints in the repository: an actor on the machine that has it.

    Args:
        root: Of the repository.
    """

    def __init__(self, root: str) -> None:
        self._root, self._told, self._stopping = Path(root), dict[str, tuple[float, str]](), False

    def tell(self, name: str, line: str) -> bool:
        """Note how far a task has come, and return whether it is to end."""
        self._told[name] = time.monotonic(), line
        return self._stopping

    def lines(self) -> dict[str, str]:
        """Return how far tasks have come; of one that is silent, as that of a lost machine until it runs again, since when."""
        silent_s = {name: time.monotonic() - told_s for name, (told_s, _) in self._told.items()}
        said = {name: f"no word for {silent_s[name]:.0f} s; " if silent_s[name] > _SILENT_S else "" for name in self._told}
        return {name: said[name] + line for name, (_, line) in self._told.items()}

    def stop(self) -> None:
        """Have every task end."""
        self._stopping = True

    def keep(self, scratch: str, data: bytes) -> None:
        """Put checkpoints into the repository."""
        put(data, self._root, [scratch])

    def kept(self, scratch: str) -> bytes | None:
        """Return the checkpoints in the repository; None where there are none."""
        return pack(self._root, [scratch]) if (self._root / scratch).is_dir() else None


def run(order: Order, board: Any) -> tuple[int, str, bytes]:
    """Run a task in a folder of its own, and return its status, the end of what it wrote, and its results as an archive.

    It goes on from the checkpoints that the board has, of whichever worker.

    Args:
        order: The task.
        board: Ray's handle of the board.
    """
    import ray

    cache = Path(tempfile.gettempdir(), f"soarm-{getpass.getuser()}")
    cache.mkdir(mode=0o700, exist_ok=True)
    if not (cache / order.key).is_dir():
        unpack_once(_get(order.package[0]), cache / order.key)
    with tempfile.TemporaryDirectory(dir=cache, prefix="task-") as work:
        root = Path(work, "root")
        linked(cache / order.key, root)
        if (kept := _get(board.kept.remote(order.scratch))) is not None:
            unpack(kept, root)
        near = ray.util.get_node_ip_address() == order.home
        process = Process(order.words, root, Path(work, "log"), order.here if near else order.environment)
        try:
            stopped = _attended(process, order, board, root)
        finally:
            process.kill()
        status = STOPPED if stopped else int(process.status or 0)
        return status, process.said(), pack(root, [] if status else order.results)


def _attended(process: Process, order: Order, board: Any, root: Path) -> bool:
    """Wait for a process, telling the board how far it is and sending its checkpoints; return whether it was stopped."""
    where, told_s, sent_s = platform.node(), 0.0, time.monotonic()
    sent, stopped_s = _state(root / order.scratch), 0.0
    while process.status is None:
        time.sleep(_LOOK_S)
        now = time.monotonic()
        if now - told_s >= _TELL_S:
            if _get(board.tell.remote(order.name, f"{where}: {process.line()}")) and not stopped_s:
                process.interrupt()
                stopped_s = now
            told_s = now
        if stopped_s and now > stopped_s + _PATIENCE_S:
            process.kill()
        if now - sent_s >= order.keep_every_s and (state := _state(root / order.scratch)) != sent:
            _send(process, order, board, root)
            sent, sent_s = state, time.monotonic()
    if process.status:
        _send(process, order, board, root)
    return bool(stopped_s and process.status)


def _send(process: Process, order: Order, board: Any, root: Path) -> None:
    with process.paused():
        data = pack(root, [order.scratch])
    _get(board.keep.remote(order.scratch, data))


def _get(reference: Any) -> Any:
    """Return what Ray has for a reference, waiting for it in another thread.

    A task that waits in its main thread gives its processor back meanwhile, and Ray begins another task there.
    """
    import ray

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ray.get, reference).result()


def _state(folder: Path) -> list[tuple[str, int, int]]:
    """Return what tells whether files of a folder have changed."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                stat = os.stat(os.path.join(place, name))
            except FileNotFoundError:
                continue
            found.append((os.path.join(place, name), stat.st_mtime_ns, stat.st_size))
    return sorted(found)
