"""The runs of the study that are not up to date, as tasks; their results entered into DVC as they come."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from soarm import ownership
from soarm import params as params_file
from soarm.cluster import pipeline
from soarm.cluster.attended import alone, require_there, run_attended, runner
from soarm.cluster.package import listing, package
from soarm.errors import StageError

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
    with alone(root, "study"):
        pass
    require_there(address)


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
    with alone(root, "study"):
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

        logger.info("not up to date, of the study: %s", ", ".join(runs))
        start = functools.partial(runner, root, workers, address, packed)
        return run_attended("study", "runs", [run.task for run in runs.values()], start, enter)


def _refuse_strangers(root: Path, runs: Mapping[str, pipeline.Run]) -> None:
    """Refuse to begin while the folder of a run holds files that would be lost with it, rather than after it has run."""
    told = [ownership.in_danger(root, run.task.scratch.name, root / run.folder) for run in runs.values()]
    faults = [text for text in told if text is not None]
    if faults:
        raise StageError("\n  ".join(faults))
