"""Tasks in processes of this machine, a few at a time, in the repository itself."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from soarm.cluster.task import Outcome, Task
from soarm.process import Process


class Processes:
    """Runs tasks in the repository: a `soarm.cluster.task.Runner`.

    Args:
        root: Of the repository.
        workers: How many run at once.
    """

    def __init__(self, root: Path, workers: int) -> None:
        self._root, self._workers = root, workers
        self._waiting: deque[Task] = deque()
        self._running: dict[str, Process] = {}

    def start(self, tasks: Sequence[Task]) -> None:
        """See `Runner`."""
        self._waiting.extend(tasks)
        self._fill()

    def running(self) -> Mapping[str, str]:
        """See `Runner`."""
        return {name: process.line() for name, process in self._running.items()}

    def ended(self) -> list[Outcome]:
        """See `Runner`."""
        found = []
        for name, process in list(self._running.items()):
            if (status := process.status) is not None:
                found.append(Outcome(name, status, process.said()))
                del self._running[name]
        self._fill()
        return found

    def stop(self) -> None:
        """See `Runner`."""
        self._waiting.clear()
        for process in self._running.values():
            process.interrupt()

    def close(self) -> None:
        """See `Runner`."""
        for process in self._running.values():
            process.kill()

    def _fill(self) -> None:
        while self._waiting and len(self._running) < self._workers:
            task = self._waiting.popleft()
            log = self._root / "data" / ".scratch" / f"{task.name}.log"
            log.unlink(missing_ok=True)
            self._running[task.name] = Process(task.words, self._root, log, {})
