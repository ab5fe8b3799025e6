"""Tasks on a Ray cluster of which this machine is a node.

Code and inputs are put into Ray's object store once; a machine unpacks them once per content (`soarm.cluster.package`). Ray
runs the task of a lost node again, on another one, and the board (`soarm.cluster.remote`) has its last checkpoint.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soarm import process
from soarm.cluster import archive, remote
from soarm.cluster.archive import put
from soarm.cluster.package import Package
from soarm.cluster.task import Outcome, Task
from soarm.entry import loading
from soarm.errors import StageError
from soarm.tracking.store import CLONE, clone_name

logger = logging.getLogger(__name__)
KEEP_EVERY_S = 60.0
_ANSWER_S = 5.0
_MOST_RETRIES = 20
_PASSED_ON = ("MLFLOW_", "SOARM_", "WANDB_", "TRACKIO_")


class RayCluster:
    """Runs tasks on a Ray cluster, each on one processor: a `soarm.cluster.task.Runner`.

    Args:
        root: Of the repository, on this machine.
        address: Of the cluster: `auto`, HOST:PORT, or `local` for one that is begun here and ends with this.
        package: What the tasks need.
        keep_every_s: How often a checkpoint that has changed is sent here, at most [s].

    Raises:
        MissingPackageError: Ray is not installed.
        StageError: There is no cluster at that address, this machine is none of its nodes, or an input lies outside of the
            repository.
    """

    def __init__(self, root: Path, address: str, package: Package, keep_every_s: float = KEEP_EVERY_S) -> None:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        with loading("cluster"):
            import ray
        self._ray, self._root, self._keep_every_s = ray, root, keep_every_s
        self._key, data = package.key, package.data(root)
        self._refs: dict[Any, Task] = {}
        _connect(ray, address)
        for module in (archive, process, remote):
            ray.cloudpickle.register_pickle_by_value(module)
        self._home = ray.util.get_node_ip_address()
        self._environment, self._here = _environments(root)
        self._warn_of_untracked()
        self._package = ray.put(data)
        place = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
            ray.get_runtime_context().get_node_id(), soft=False
        )
        board = ray.remote(num_cpus=0, scheduling_strategy=place)(remote.Board)
        self._board = board.remote(str(root))
        self._run = ray.remote(num_cpus=1, max_retries=_MOST_RETRIES, scheduling_strategy="SPREAD")(remote.run)

    def start(self, tasks: Sequence[Task]) -> None:
        """See `Runner`."""
        for task in tasks:
            order = remote.Order(
                name=task.name,
                words=task.words,
                scratch=str(task.scratch),
                results=tuple(map(str, task.results)),
                key=self._key,
                package=[self._package],
                environment=self._environment,
                here=self._here,
                home=self._home,
                keep_every_s=self._keep_every_s,
            )
            self._refs[self._run.options(name=task.name).remote(order, self._board)] = task

    def running(self) -> Mapping[str, str]:
        """See `Runner`."""
        waiting = {task.name for task in self._refs.values()}
        return {name: line for name, line in self._ray.get(self._board.lines.remote()).items() if name in waiting}

    def ended(self) -> list[Outcome]:
        """See `Runner`."""
        if not self._refs:
            return []
        done, _ = self._ray.wait(list(self._refs), num_returns=len(self._refs), timeout=0)
        return [self._outcome(ref, self._refs.pop(ref)) for ref in done]

    def stop(self) -> None:
        """See `Runner`."""
        self._ray.get(self._board.stop.remote())
        running = self.running()
        for ref, task in self._refs.items():
            if task.name not in running:
                self._ray.cancel(ref)

    def close(self) -> None:
        """See `Runner`."""
        self._ray.shutdown()

    def _outcome(self, ref: Any, task: Task) -> Outcome:
        try:
            status, said, data = self._ray.get(ref)
        except self._ray.exceptions.TaskCancelledError:
            return Outcome(task.name, remote.STOPPED, "")
        except self._ray.exceptions.RayError as error:
            return Outcome(task.name, 1, str(error).strip())
        if not status:
            put(data, self._root, task.results)
            shutil.rmtree(self._root / task.scratch, ignore_errors=True)
        return Outcome(task.name, status, said)

    def _warn_of_untracked(self) -> None:
        others = {node["NodeManagerAddress"] for node in self._ray.nodes() if node["Alive"]} - {self._home}
        if others and self._environment.get("SOARM_TRACKING") == "off" and "SOARM_TRACKING" not in os.environ:
            logger.warning(
                "%d other machines cannot reach the runs in mlflow/ of this one: what they run is not tracked. Start a server "
                "that they reach, and set MLFLOW_TRACKING_URI",
                len(others),
            )


def require_reachable(address: str) -> None:
    """Refuse an address at which nothing answers: Ray itself would try for minutes.

    Args:
        address: As for `RayCluster`.

    Raises:
        StageError: Nothing answers at HOST:PORT, or it is an address of Ray's client.
    """
    if address.startswith("ray://"):
        raise StageError(
            f"the address is {address}, of Ray's client; results come to this machine, so it has to be a node of the cluster: "
            "`ray start --address=HOST:6379 --num-cpus=0`, then --ray auto"
        )
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ANSWER_S).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _nobody(address, error) from None


def _nobody(address: str, error: Exception) -> StageError:
    reason = str(error).strip().partition("\n")[0]
    return StageError(
        f"there is no Ray cluster at {address!r} ({reason}); `ray start --head` begins one here, --ray local one that "
        "ends with the command, and without --ray the tasks run in processes"
    )


def _connect(ray: Any, address: str) -> None:
    require_reachable(address)
    try:
        ray.init(
            address, log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False if address == "local" else None
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise _nobody(address, error) from error


def _environments(root: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Return the variables of a task on another machine, and on this one, which has the local store of runs."""
    passed = {name: value for name, value in os.environ.items() if name.startswith(_PASSED_ON)}
    if "MLFLOW_TRACKING_URI" in passed:
        passed[CLONE] = clone_name(root)
        return passed, passed
    return {"SOARM_TRACKING": "off", **passed}, {**passed, "DVC_ROOT": str(root)}
