"""Tasks in processes of this machine, and the loop that waits for them."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
from rich.console import Console

from soarm.cluster.local import Processes
from soarm.cluster.task import Outcome, Task, run_all
from soarm.errors import StageError
from soarm.progress import Overview
from soarm.signals import StopRequests

Count = Callable[[str, float], Task]


def run(
    root: Path, tasks: Sequence[Task], stop: StopRequests | None = None, view: Overview | None = None
) -> tuple[list[str], list[Outcome]]:
    """Run tasks two at a time, and return the names that were entered, and how the others ended."""
    entered: list[str] = []
    shown = view or Overview(Console(file=io.StringIO()), "counting")
    others = run_all(tasks, Processes(root, 2), entered.extend, shown, StopRequests() if stop is None else stop)
    return entered, others


def test_results_are_entered_and_a_task_that_fails_stops_no_other(counting: Path, count: Count) -> None:
    entered, others = run(counting, [count(name, 0.0) for name in ("a", "bad", "b")])

    assert sorted(entered) == ["a", "b"]
    assert [(outcome.name, outcome.status, outcome.said) for outcome in others] == [("bad", 1, "this stage fails")]
    assert (counting / "data" / "count" / "a" / "sum").read_text() == "6"
    assert (counting / "data" / "count" / "a" / "threads").read_text() == "1"


def test_after_a_signal_tasks_end_and_the_next_time_go_on_from_their_checkpoints(counting: Path, count: Count) -> None:
    stop = StopRequests()

    class Stopping(Overview):
        def show(self, done: int, total: int, running: Mapping[str, str]) -> None:
            if (counting / "data" / ".scratch" / "a" / "at").exists() and not stop:
                stop.came.append("SIGINT")

    view = Stopping(Console(file=io.StringIO()), "counting")
    entered, others = run(counting, [count("a", 0.3), count("b", 0.3), count("c", 0.0)], stop, view)
    begun = int((counting / "data" / ".scratch" / "a" / "at").read_text())
    again, _ = run(counting, [count("a", 0.0), count("c", 0.0)])

    assert entered == []
    assert sorted(outcome.name for outcome in others) == ["a", "b"]
    assert begun < 10
    assert sorted(again) == ["a", "c"]
    assert (counting / "data" / "count" / "a" / "tries").read_text().split() == ["0", str(begun)]
    assert (counting / "data" / "count" / "c" / "tries").read_text().split() == ["0"]


def test_no_worker_waits_while_results_are_entered(counting: Path, count: Count) -> None:
    entered: list[tuple[str, bool]] = []

    def enter(names: Sequence[str]) -> None:
        last = counting / "data" / "count" / "c" / "threads"
        give_up_s = time.monotonic() + 30.0
        while not last.exists() and time.monotonic() < give_up_s:
            time.sleep(0.05)
        entered.extend((name, last.exists()) for name in names)

    view = Overview(Console(file=io.StringIO()), "counting")
    run_all([count(name, 0.0) for name in "abc"], Processes(counting, 1), enter, view, StopRequests())

    assert entered == [("a", True), ("b", True), ("c", True)]


def test_what_cannot_be_entered_ends_the_others(counting: Path, count: Count) -> None:
    def enter(names: Sequence[str]) -> None:
        raise StageError(f"{names[0]} was changed meanwhile")

    view = Overview(Console(file=io.StringIO()), "counting")
    with pytest.raises(StageError, match="a was changed meanwhile"):
        run_all([count("a", 0.0), count("b", 60.0)], Processes(counting, 2), enter, view, StopRequests())
    assert not (counting / "data" / "count" / "b").exists()


def test_what_is_left_running_is_killed(counting: Path, count: Count) -> None:
    processes = Processes(counting, 1)
    processes.start([count("a", 30.0)])
    while "counting 0/10" not in processes.running()["a"]:
        time.sleep(0.05)
    processes.close()

    assert [outcome.status for outcome in processes.ended()] == [-9]
