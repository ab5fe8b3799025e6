"""Evaluations shared out: parts of a stage (`soarm.parts`) made by many processes or machines before it puts them together."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import yaml

from soarm import params as params_file
from soarm.cluster import pipeline
from soarm.cluster.attended import alone, run_attended, runner
from soarm.cluster.package import package
from soarm.cluster.task import Task
from soarm.evaluation.evaluator import EvaluationParams, blocks_of
from soarm.gauntlet import GauntletParams, rows_of
from soarm.params import Params
from soarm.parts import folder_of
from soarm.sim.params import SimParams

logger = logging.getLogger(__name__)


class Spread(NamedTuple):
    """A stage whose parts can be shared out.

    Attributes:
        command: What `soarm` calls it.
        parts: Returns the names of its parts by some parameters.
    """

    command: str
    parts: Callable[[Params], Iterable[str]]


def _blocks(params: Params) -> Iterable[str]:
    how = params.section("eval_base", EvaluationParams)
    return blocks_of(range(how.n_scenes), how.blocks)


def _rows(params: Params) -> Iterable[str]:
    sim, plain = (one.section("sim", SimParams) for one in (params, params.without_profile()))
    return rows_of(params.section("gauntlet", GauntletParams), sim, plain)


STAGES = {
    "eval_base": Spread("eval", _blocks),
    "gauntlet": Spread("gauntlet", _rows),
}


def inputs_of(root: Path, stage: str) -> list[str]:
    """Return the names of the stages whose results a stage reads."""
    return pipeline.inputs(yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))["stages"], stage)


def make_parts(root: Path, stage: str, workers: int, address: str | None) -> int:
    """Make the parts of a stage that is not up to date, for its next run, and return the exit status of `run_attended`.

    Args:
        root: Of the repository; the stage's inputs are there.
        stage: One of `STAGES`.
        workers: How many processes run at once, where there is no cluster.
        address: Of a Ray cluster; None for processes of this machine.

    Raises:
        StageError: There is no such cluster, or the same command runs here already.
        ParamsError: params.yaml is not usable.
    """
    if not pipeline.is_pending(root, stage):
        return 0
    names = list(STAGES[stage].parts(params_file.load(root / "params.yaml")))
    if len(names) == 1:
        logger.warning("%s has one part by these parameters, so one worker does it all; see docs/cluster.md", stage)
    tasks = [
        Task(
            name=f"{stage}.{name}",
            words=("-m", f"stages.{stage}", "--part", name),
            scratch=Path("data", ".scratch", f"{stage}.{name}"),
            results=(folder_of(stage, name),),
        )
        for name in names
    ]
    packed = package(root, [Path("data", one) for one in inputs_of(root, stage)])
    with alone(root, STAGES[stage].command):
        start = functools.partial(runner, root, workers, address, packed)
        status = run_attended(STAGES[stage].command, "parts", tasks, start, lambda names: None)
    for task in tasks if not status else ():
        (root / "data" / ".scratch" / f"{task.name}.log").unlink(missing_ok=True)
    return status
