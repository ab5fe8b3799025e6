"""Environments as `sim.objects_from` says: policies are told of the objects what is, or what an eye sees."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Protocol

from soarm.errors import SpecMismatchError
from soarm.estimation import Estimator, SeeingEnv
from soarm.eye import checkpoint
from soarm.rollout import BatchEnv
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import Feature


class MakeEnv(Protocol):
    """Makes environments."""

    def __call__(self, n_rows: int, n_threads: int) -> BatchEnv: ...  # noqa: D102


def environments(sim: SimParams, eye: Path) -> MakeEnv:
    """Return what makes environments of a simulator.

    Args:
        sim: The simulator.
        eye: Folder of the eye; read where `sim.objects_from` asks for one.

    Raises:
        CheckpointError: The eye cannot be read.
        SpecMismatchError: It was trained on another task or on other cameras.
    """
    if sim.objects_from == "simulator":
        return functools.partial(BatchSim, sim)
    network = checkpoint.load(eye)
    wanted = {name: Feature.image(camera.height_px, camera.width_px) for name, camera in sim.cameras.items()}
    task = sim.sim_task.task
    if network.cameras != wanted or network.questions.task.name != task.name:
        shown = [
            f"{name}: {', '.join(f'{camera} {one.shape[1]}x{one.shape[0]}' for camera, one in cameras.items())}"
            for name, cameras in ((network.questions.task.name, network.cameras), (task.name, wanted))
        ]
        raise SpecMismatchError(
            f"{eye} is the eye of {shown[0]}; sim.cameras asks for {shown[1]}. Train it again: `dvc repro train_eye`"
        )
    estimator = Estimator(network, task, list(wanted))

    def make(n_rows: int, n_threads: int) -> BatchEnv:
        return SeeingEnv(BatchSim(sim, n_rows, n_threads), estimator)

    return make
