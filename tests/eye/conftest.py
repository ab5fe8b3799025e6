"""A simulator with two tiny cameras, and an eye that is trained for a moment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from soarm import params
from soarm.eye.moments import MomentParams
from soarm.eye.network import EyeConfig
from soarm.eye.trainer import LearnParams
from soarm.eye.training import TrainedEye, TrainEyeParams, train
from soarm.policy import BatchPolicy, VectorPolicy
from soarm.recording import RecordParams
from soarm.sim.params import CameraParams, SimParams

FILE = Path(__file__).parents[2] / "params.yaml"
TINY = TrainEyeParams(
    n_frames=24,
    n_held_out=10,
    moments=MomentParams(n_episodes=2, noise_deg=4.0, as_was=0.3, near=0.4),
    n_rows=2,
    n_workers=1,
    network=EyeConfig(4, 2, 2, 4, 8, "light"),
    learn=LearnParams(6, 8, 1e-3, 1, 1e-4, 1.0, 0.15, 3, 2),
)


@pytest.fixture(scope="session")
def seeing() -> SimParams:
    """Return a simulator whose policies are told what an eye says, of two tiny cameras."""
    told = params.load(FILE, "pick_place").section("sim", SimParams)
    cameras = {"front": CameraParams(24, 16), "wrist": CameraParams(16, 16)}
    short = dataclasses.replace(told.task, time_limit_s=1.0)
    return dataclasses.replace(told, cameras=cameras, objects_from="eye", task=short)


@pytest.fixture(scope="session")
def demonstrators(seeing: SimParams) -> BatchPolicy:
    """Return two demonstrators."""
    habits = params.load(FILE, "pick_place").section("record", RecordParams).expert
    return VectorPolicy([seeing.sim_task.expert(habits, seeing.control_hz) for _ in range(2)])


@pytest.fixture(scope="session")
def tiny() -> TrainEyeParams:
    """Return a training of a moment."""
    return TINY


@pytest.fixture(scope="session")
def tried(seeing: SimParams, demonstrators: BatchPolicy, tmp_path_factory: pytest.TempPathFactory) -> TrainedEye:
    """Return an eye after six steps."""

    def log(step: int, metrics: Any) -> None:
        """Forget it."""

    return train(seeing, demonstrators, TINY, seed=0, scratch=tmp_path_factory.mktemp("eye"), log=log)
