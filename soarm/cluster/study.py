"""The runs of the study that are not up to date, as tasks; their results entered into DVC as they come."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from soarm import ownership
from soarm import params as params_file
from soarm.cluster import pipeline
from soarm.cluster.local import Processes
from soarm.cluster.on_ray import RayCluster, require_reachable
from soarm.cluster.package import Package, listing, package
from soarm.cluster.task import Outcome, Runner, run_all
from soarm.entry import loading
from soarm.errors import StageError
from soarm.progress import Overview
from soarm.signals import recorded_signals

logger = logging.getLogger(__name__)


def require_possible(root: Path, wanted: Sequence[str], address: str | None) -> None:
    """Refuse what cannot be run.

    Args:
        root: Of the repository.
        wanted: Groups, variants and runs; none for all.
        address: Of a Ray cluster; None for processes of this machine.

    Raises:
        StageError: A name is unknown, the command runs here already, or there is no such cluster.
        MissingPackageError: Ray is not installed.
    """
    pipeline.require_known(root, wanted)
    with _alone(root):
        pass
    if address is not None:
        require_reachable(address)
        with loading("cluster"):
            import ray  # noqa: F401


def run_study(root: Path, wanted: Sequence[str], workers: int, address: str | None) -> int:
    """Run what of the study is not up to date, and return the exit status.

    Args:
        root: Of the repository.
        wanted: Groups, variants and runs; none for all.
        workers: How many processes run at once, where there is no cluster.
        address: Of a Ray cluster; None for processes of this machine.

    Returns:
        0, 1 where runs failed, 128 and the signal's number where one came.

    Raises:
        StageError: The command runs here already, files of somebody lie where results go, there is no such cluster, or what
            runs follow from was changed while they ran.
        ParamsError: params.yaml is not usable.
    """
    with _alone(root):
        runs = {run.task.name: run for run in pipeline.pending(root, wanted)}
        if not runs:
            logger.info("every run of the study that was asked for is up to date")
            return 0
        _refuse_strangers(root, runs)
        inputs = [Path("data", "train_act"), Path("data", "reach"), Path(params_file.load(root / "params.yaml").dataset)]
        packed = package(root, inputs)

        def enter(names: Sequence[str]) -> None:
            if listing(root, inputs) != packed.content:
                raise StageError(
                    f"code, parameters or data were changed while {', '.join(names)} ran: the results lie in data/study and "
                    "are not entered. Type the command again once the files are as they should be"
                )
            pipeline.enter(root, [runs[name].target for name in names])

        with recorded_signals() as stop, Overview(Console(stderr=True), "study") as view:
            logger.info("not up to date, of the study: %s", ", ".join(runs))
            others = run_all([run.task for run in runs.values()], _runner(root, workers, address, packed), enter, view, stop)
    if stop:
        sys.stderr.write("stopped. Type the same command again: finished runs are kept, others go on from their checkpoints\n")
        return 128 + signal.Signals[stop.came[0]]
    _tell_failed(others)
    return int(bool(others))


def _runner(root: Path, workers: int, address: str | None, packed: Package) -> Runner:
    return Processes(root, workers) if address is None else RayCluster(root, address, packed)


def _refuse_strangers(root: Path, runs: Mapping[str, pipeline.Run]) -> None:
    """Refuse to begin while the folder of a run holds files that would be lost with it, rather than after it has run."""
    told = [ownership.in_danger(root, run.task.scratch.name, root / run.folder) for run in runs.values()]
    faults = [text for text in told if text is not None]
    if faults:
        raise StageError("\n  ".join(faults))


def _tell_failed(others: Sequence[Outcome]) -> None:
    for outcome in others:
        sys.stderr.write(f"{outcome.name} ended with status {outcome.status}, and the last it wrote is\n{outcome.said}\n\n")
    if others:
        names = ", ".join(outcome.name for outcome in others)
        sys.stderr.write(f"{len(others)} runs failed: {names}. Type the same command again to run them alone\n")


@contextlib.contextmanager
def _alone(root: Path) -> Iterator[None]:
    """Let no other process run the study in this repository meanwhile: both would run the same task in one folder."""
    path = root / "data" / ".scratch" / "study.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StageError(
                f"`soarm study` runs in {root} already, in another terminal; wait for it or stop it there"
            ) from None
        yield
