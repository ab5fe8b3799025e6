"""Environments as `sim.objects_from` says: policies are told of the objects what is, or what an eye sees."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from mujoco import MjData

from soarm.errors import SpecMismatchError
from soarm.estimation import Estimator, SeeingEnv, told_by
from soarm.eye import checkpoint
from soarm.observation_error import ErringEnv, ObservationError
from soarm.policy import Observation
from soarm.rollout import BatchEnv
from soarm.sim.batch_env import BatchSim
from soarm.sim.episode_cameras import EpisodeCameras
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


def training_environments(sim: SimParams, eye: Path, error: ObservationError, cameras: Iterable[str]) -> MakeEnv:
    """Return what makes environments to train a residual in: as `environments`, or on true poses with errors like an eye's.

    Args:
        sim: The simulator.
        eye: Folder of the eye.
        error: Of the poses; none of it leaves the environments as they are.
        cameras: Those that the base looks through.
    """
    if error.is_none:
        return environments(sim, eye)
    told = sim.told(cameras)

    def make(n_rows: int, n_threads: int) -> BatchEnv:
        return ErringEnv(BatchSim(told, n_rows, n_threads), error)

    return make


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


def lone_eye(sim: SimParams, eye: Path) -> LoneEye | None:
    """Return the eye of a folder for one episode at a time; None where the simulator asks for none."""
    return None if sim.objects_from == "simulator" else LoneEye(sim, estimator_for(sim, eye))


class LoneEye:
    """An eye on one episode at a time, for films and windows.

    Args:
        sim: The simulator: its cameras and looks.
        eye: What looks.
    """

    def __init__(self, sim: SimParams, eye: Estimator) -> None:
        self._cameras, self._eye = EpisodeCameras(sim, 1), eye

    def __call__(self, observation: Observation, data: MjData, seed: int | None = None) -> Observation:
        """Return what a policy is told of a state, each array with a row in front.

        Args:
            observation: Joints and true objects.
            data: MuJoCo's state.
            seed: Of the scene, where it has just begun.
        """
        rows, qpos, mocap_pos = np.zeros(1, np.intp), data.qpos[None], data.mocap_pos[None]
        if seed is None:
            pictures = self._cameras.follow(rows, qpos, mocap_pos)
        else:
            pictures = self._cameras.start(rows, [seed], qpos, mocap_pos)
        return told_by(self._eye, {key: value[None] for key, value in observation.items()} | pictures)
