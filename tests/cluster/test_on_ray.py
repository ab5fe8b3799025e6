"""A Ray cluster of two nodes in this machine, one of which is killed in the middle. Needs the extra `cluster`."""

from __future__ import annotations

import io
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from soarm.cluster.package import package
from soarm.cluster.remote import STOPPED, Board
from soarm.cluster.task import Task, run_all
from soarm.progress import Overview
from soarm.signals import StopRequests

ray = pytest.importorskip("ray")
# Ray leaves sockets to the garbage collector.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Return two nodes with a processor each; this process is on the first one."""
    from ray.cluster_utils import Cluster

    # Names of sockets must be short.
    with (
        pytest.MonkeyPatch.context() as patched,
        tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder,
    ):
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patched.setenv("TMPDIR", folder)
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
        made.add_node(num_cpus=1)
        yield made
        made.shutdown()


def step_kept(root: Path, name: str) -> int:
    """Return the step of the checkpoint that has come from a worker; 0 where none has, or one is just taking its place."""
    try:
        return int((root / "data" / ".scratch" / name / "at").read_text())
    except FileNotFoundError:
        return 0


def test_after_a_signal_tasks_end_and_go_on_from_the_checkpoints_that_came(
    cluster: Any, counting: Path, count: Callable[[str, float], Task], monkeypatch: pytest.MonkeyPatch
) -> None:
    from soarm.cluster.on_ray import RayCluster

    def tell_slowly(self: Board, name: str, line: str, tell: Any = Board.tell) -> bool:
        time.sleep(0.5)
        return bool(tell(self, name, line))

    # Who waits for an answer of Ray's may lose the processor meanwhile; a task must not.
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(Board, "tell", tell_slowly)
    stop, entered, at_once = StopRequests(), list[str](), 0

    class Stopping(Overview):
        def show(self, done: int, total: int, running: Any) -> None:
            nonlocal at_once
            at_once = max(at_once, len(running))
            if not stop and len(running) == 2 and min(step_kept(counting, name) for name in running) > 1:
                stop.came.append("SIGINT")

    packed = package(counting, [Path("data", "numbers")])
    view = Stopping(Console(file=io.StringIO()), "counting")
    tasks = [count(name, 1.5) for name in "abc"]  # longer than the board takes to pass a signal on
    others = run_all(tasks, RayCluster(counting, cluster.address, packed, 0.3), entered.extend, view, stop)
    begun = {outcome.name: step_kept(counting, outcome.name) for outcome in others if step_kept(counting, outcome.name)}
    rest = run_all(
        [count(name, 0.0) for name in begun],
        RayCluster(counting, cluster.address, packed),
        entered.extend,
        Overview(Console(file=io.StringIO()), "counting"),
        StopRequests(),
    )

    assert {outcome.status for outcome in others} == {STOPPED}
    assert at_once == len(begun) == 2, "the third one waited"
    assert rest == []
    assert sorted(entered) == sorted(begun)
    for name, step in begun.items():
        assert (counting / "data" / "count" / name / "tries").read_text().split() == ["0", str(step)]


def test_a_lost_node_s_task_runs_again_on_another_and_goes_on_from_its_checkpoint(
    cluster: Any, counting: Path, count: Callable[[str, float], Task]
) -> None:
    from soarm.cluster.on_ray import RayCluster

    lost, killed_s, at_once = next(iter(cluster.worker_nodes)), 0.0, 0
    entered: list[str] = []

    class Killing(Overview):
        def show(self, done: int, total: int, running: Any) -> None:
            nonlocal killed_s, at_once
            at_once = max(at_once, len(running) if not killed_s else 0)
            if not killed_s and sum(step_kept(counting, name) >= 2 for name in "abc") == 2:
                cluster.remove_node(lost, allow_graceful=False)
                killed_s = time.monotonic()

    def enter(names: Sequence[str]) -> None:
        entered.extend(names)

    packed = package(counting, [Path("data", "numbers")])
    runner = RayCluster(counting, cluster.address, packed, keep_every_s=0.3)
    view = Killing(Console(file=io.StringIO()), "counting")
    others = run_all([count(name, 0.5) for name in "abc"], runner, enter, view, StopRequests())

    assert killed_s
    assert at_once == 2, "a task waits until a processor is free"
    assert others == []
    assert sorted(entered) == ["a", "b", "c"]
    for name in "abc":
        assert (counting / "data" / "count" / name / "sum").read_text() == "6"
        assert (counting / "data" / "count" / name / "threads").read_text() == "1"
    tries = sorted((counting / "data" / "count" / name / "tries").read_text().split() for name in "abc")
    assert tries[:2] == [["0"], ["0"]]
    assert tries[2][0] == "0"
    assert [2 <= int(step) < 10 for step in tries[2][1:]] == [True]
