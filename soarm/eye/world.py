"""Environments as `sim.objects_from` says: policies are told of the objects what is, or what an eye sees."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

from soarm.errors import SpecMismatchError
from soarm.estimation import Estimator, SeeingEnv
from soarm.eye import checkpoint
from soarm.rollout import BatchEnv
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import Feature, cameras_of


class MakeEnv(Protocol):
    """Makes environments."""

    def __call__(self, n_rows: int, n_threads: int) -> BatchEnv: ...  # noqa: D102


def environments(sim: SimParams, eye: Path) -> MakeEnv:
    """Return what makes environments of a simulator, in which policies are told of the objects as `objects_from` says.

    Args:
        sim: The simulator.
        eye: Folder of the eye; read where the simulator asks for one.

    Raises:
        CheckpointError: The eye cannot be read.
        SpecMismatchError: It was trained on another task or on other cameras.
    """
    if sim.objects_from == "simulator":
        return functools.partial(BatchSim, sim)
    estimator = estimator_for(sim, eye)

    def make(n_rows: int, n_threads: int) -> BatchEnv:
        return SeeingEnv(BatchSim(sim, n_rows, n_threads), estimator)

    return make


def training_environments(sim: SimParams, eye: Path, cameras: Iterable[str]) -> MakeEnv:
    """Return what makes environments to train a residual in: as `environments`, or with errors like an eye's in its place.

    Args:
        sim: The simulator; without any `observation_error` the eye itself tells where the objects are.
        eye: Folder of the eye.
        cameras: Those that the base looks through.
    """
    erring = dataclasses.replace(sim.told(cameras), observation_error=sim.observation_error, disturbances=sim.disturbances)
    if sim.objects_from == "simulator" or not erring.tells_wrongly:
        return environments(sim, eye)
    return functools.partial(BatchSim, erring)


def estimator_for(sim: SimParams, eye: Path) -> Estimator:
    """Return the eye of a folder for the cameras of a simulator; raises as `environments`."""
    network, task = checkpoint.load(eye), sim.sim_task.task
    wanted = cameras_of(sim.picture_features)
    if network.cameras != wanted or network.questions.task.name != task.name:
        raise SpecMismatchError(
            f"{eye} is the eye of {_shown(network.questions.task.name, network.cameras)}; the simulator has "
            f"{_shown(task.name, wanted)} (task, sim.cameras). Train it again: `dvc repro train_eye`"
        )
    return Estimator(network, task, list(wanted))


def _shown(task: str, cameras: Mapping[str, Feature]) -> str:
    return f"{task} with {', '.join(f'{name} {one.shape[1]}x{one.shape[0]}' for name, one in cameras.items()) or 'no camera'}"


def eye_of(sim: SimParams, eye: Path) -> Estimator | None:
    """Return the eye of a folder, raising as `environments`; None where the simulator asks for none."""
    return None if sim.objects_from == "simulator" else estimator_for(sim, eye)
