"""Tasks run to their end while somebody watches: one view, signals passed on, the last words of those that failed."""

from __future__ import annotations

import contextlib
import fcntl
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console

from soarm.cluster.local import Processes
from soarm.cluster.on_ray import RayCluster, require_reachable
from soarm.cluster.package import Package
from soarm.cluster.task import Outcome, Runner, Task, run_all
from soarm.entry import loading
from soarm.errors import StageError
from soarm.progress import Overview
from soarm.signals import recorded_signals


def require_there(address: str | None) -> None:
    """Refuse a Ray cluster that cannot be used; None is none.

    Raises:
        StageError: There is no such cluster.
        MissingPackageError: Ray is not installed.
    """
    if address is not None:
        require_reachable(address)
        with loading("cluster"):
            import ray  # noqa: F401


def runner(root: Path, workers: int, address: str | None, packed: Package) -> Runner:
    """Return what runs tasks: processes of this machine, or a Ray cluster where an address of one is given."""
    return Processes(root, workers) if address is None else RayCluster(root, address, packed)


@contextlib.contextmanager
def alone(root: Path, name: str) -> Iterator[None]:
    """Let no other process run the command `name` in this repository meanwhile: both would run the same tasks in one folder.

    Raises:
        StageError: One does.
    """
    path = root / "data" / ".scratch" / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                f"`soarm {name}` runs in {root} already, in another terminal; wait for it or stop it there"
            ) from None
        yield


def run_attended(
    title: str, what: str, tasks: Sequence[Task], start: Callable[[], Runner], enter: Callable[[Sequence[str]], None]
) -> int:
    """Run tasks, and return the exit status: 0, 1 where some failed, 128 and the signal's number where one came.

    Args:
        title: Of the view.
        what: What a task is, in the plural.
        tasks: What to run.
        start: Starts what runs them.
        enter: See `run_all`.
    """
    with recorded_signals() as stop, Overview(Console(stderr=True), title) as view:
        others = run_all(tasks, start(), enter, view, stop)
    if stop:
        sys.stderr.write(f"stopped. Type the same command again: finished {what} and checkpoints are kept\n")
        return 128 + signal.Signals[stop.came[0]]
    _tell_failed(what, others)
    return int(bool(others))


def _tell_failed(what: str, others: Sequence[Outcome]) -> None:
    for outcome in others:
        sys.stderr.write(f"{outcome.name} ended with status {outcome.status}, and the last it wrote is\n{outcome.said}\n\n")
    if others:
        names = ", ".join(outcome.name for outcome in others)
        sys.stderr.write(f"{len(others)} {what} failed: {names}. Type the same command again to run them alone\n")
