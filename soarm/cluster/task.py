"""What a task is, what runs tasks, and the one loop that waits for all of them."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

from soarm.progress import Overview
from soarm.signals import StopRequests

logger = logging.getLogger(__name__)
_LOOK_S = 0.2


@dataclasses.dataclass(frozen=True)
class Task:
    """A command of the repository that computes by itself, and what it leaves.

    Attributes:
        name: What people call it; no two tasks have the same.
        words: What Python runs: ("-m", "stages.study", "residual", "0").
        scratch: Folder of its checkpoints, from the root of the repository. A command that finds them there goes on from them.
        results: Files and folders that it writes, from the root.
    """

    name: str
    words: tuple[str, ...]
    scratch: Path
    results: tuple[Path, ...]


class Outcome(NamedTuple):
    """How a task ended.

    Attributes:
        name: Of the task.
        status: Of its process: 0 where its results lie in the repository.
        said: The end of what it wrote.
    """

    name: str
    status: int
    said: str


class Runner(Protocol):
    """What runs tasks. Results and checkpoints of all of them come to lie in the repository."""

    def start(self, tasks: Sequence[Task]) -> None:
        """Take tasks, which wait for a free worker."""

    def running(self) -> Mapping[str, str]:
        """Return the tasks that run, and how far each has come."""

    def ended(self) -> list[Outcome]:
        """Return what has ended since the last call."""

    def stop(self) -> None:
        """Ask all tasks to end; those that wait never begin. `ended` reports every task that ran."""

    def close(self) -> None:
        """End whatever still runs."""


class _Entering:
    """Enters results beside the loop, so that no worker waits meanwhile; what comes meanwhile is entered together.

    Args:
        enter: Takes the names of tasks that have succeeded.
    """

    def __init__(self, enter: Callable[[Sequence[str]], None]) -> None:
        self._enter, self._thread = enter, ThreadPoolExecutor(1)
        self._waiting: list[str] = []
        self._now = Future[None]()
        self._now.set_result(None)

    def take(self, names: Sequence[str]) -> None:
        """Take names; raise what entering others raised."""
        self._waiting += names
        if self._now.done():
            self._now.result()
            if self._waiting:
                self._now = self._thread.submit(self._enter, self._waiting)
                self._waiting = []

    def finish(self) -> None:
        """Wait until everything is entered."""
        self._now.result()
        self.take([])
        self._now.result()


def run_all(
    tasks: Sequence[Task],
    runner: Runner,
    enter: Callable[[Sequence[str]], None],
    view: Overview,
    stop: StopRequests,
    patience_s: float = 60.0,
) -> list[Outcome]:
    """Run tasks, and enter the results of each as soon as they are there.

    Args:
        tasks: What to run.
        runner: What runs them.
        enter: Takes the names of tasks that have succeeded; called in a thread of its own, one call at a time.
        view: Where progress is shown.
        stop: The signals that came; after the first one tasks are asked to end.
        patience_s: How long they may take to do so [s].

    Returns:
        How the others ended: tasks that failed and, after a signal, tasks that were stopped.
    """
    waiting, others, stopped_s = {task.name for task in tasks}, list[Outcome](), 0.0
    entering = _Entering(enter)
    try:
        runner.start(tasks)
        while waiting:
            ended = runner.ended()
            waiting -= {outcome.name for outcome in ended}
            others += [outcome for outcome in ended if outcome.status]
            for outcome in ended:
                failed = "stopped" if stop else f"ended with status {outcome.status}"
                view.say(f"{outcome.name}: {failed if outcome.status else 'done'}")
            entering.take([outcome.name for outcome in ended if not outcome.status])
            running = runner.running()
            view.show(len(tasks) - len(waiting), len(tasks), running)
            if stop and not stopped_s:
                runner.stop()
                stopped_s = time.monotonic()
            if stopped_s and (not running or len(stop.came) > 1 or time.monotonic() > stopped_s + patience_s):
                break
            if not ended:
                time.sleep(_LOOK_S)
        entering.finish()
    finally:
        runner.close()
    return others
