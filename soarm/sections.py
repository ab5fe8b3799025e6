"""Every section of params.yaml and the dataclass that its stage reads it as: for whoever checks them before a chain is run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from soarm import gauntlet
from soarm.act.params import TrainActParams
from soarm.cluster.pipeline import inputs
from soarm.deployment import DeployParams
from soarm.errors import ParamsError
from soarm.evaluation.evaluator import EvaluationParams
from soarm.evaluation.paired import CompareParams
from soarm.export.params import ExportParams
from soarm.eye.training import TrainEyeParams
from soarm.gauntlet import GauntletParams
from soarm.online.params import OnlineParams
from soarm.params import Params, together
from soarm.recording import RecordParams
from soarm.residual.reach import ReachParams
from soarm.residual.training import TrainResidualParams
from soarm.sim.params import SimParams

SECTIONS: dict[str, type[Any]] = {
    "sim": SimParams,
    "record": RecordParams,
    "train_act": TrainActParams,
    "train_eye": TrainEyeParams,
    "eval_base": EvaluationParams,
    "reach": ReachParams,
    "train_residual": TrainResidualParams,
    "gauntlet": GauntletParams,
    "online": OnlineParams,
    "compare": CompareParams,
    "export": ExportParams,
    "deploy_check": DeployParams,
}
"""By name. `study` is read by `soarm.study.variants`, variant by variant."""


def require_sound(params: Params, stages: Sequence[str]) -> None:
    """Refuse parameters that a stage would refuse, before others have run for an hour.

    Args:
        params: What is going to be run, of a repository with a dvc.yaml.
        stages: Names of the stages, which are run with those that they need; none for all.

    Raises:
        ParamsError: Lists every fault of the sections that they read.
    """
    errors = []
    for name in _read_by(params.path.with_name("dvc.yaml"), stages):
        try:
            section = params.section(name, SECTIONS[name])
            if isinstance(section, GauntletParams):
                plain = params.without_profile().section("sim", SimParams)
                gauntlet.rows_of(section, params.section("sim", SimParams), plain)
        except ParamsError as error:
            errors.append(error)
    if errors:
        raise together(errors)


def _read_by(file: Path, stages: Sequence[str]) -> list[str]:
    """Return the sections that stages and those that they need read, by what dvc.yaml says."""
    declared = yaml.safe_load(file.read_text(encoding="utf-8"))["stages"]
    needed, waiting = set[str](), set(stages or declared)
    while waiting:
        needed |= waiting
        waiting = {name for stage in waiting for name in inputs(declared, stage)} - needed
    read = {name for stage in needed for name in declared[stage].get("params", []) if isinstance(name, str)}
    return [name for name in SECTIONS if f"base.{name}" in read]
