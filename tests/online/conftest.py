"""A residual on a tiny, untrained ACT, saved as `train_residual` saves it, and an arm of the twin in lockstep."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from soarm import params as params_file
from soarm.act.model import Blueprint
from soarm.online.params import OnlineParams
from soarm.residual.exploration import ExplorationParams
from soarm.residual.td3bc import ResidualTD3BC
from soarm.residual.training import TrainResidualParams
from soarm.residual.vec_env import BatchVecEnv
from soarm.sim.batch_env import BatchSim
from soarm.spec import PolicySpec
from soarm.tasks.pick_place import TASK

PARAMS = OnlineParams(
    exploration=ExplorationParams(prefill_steps=20, prefill_std=0.2, start_std=0.1, end_std=0.1, hold_steps=4),
    updates_per_step=0.5,
    warmup_updates=2,
    batch_size=16,
    buffer_size=500,
    actor_lr=1e-3,
    critic_lr=1e-3,
    n_steps=3,
    penalty=0.1,
    imitation=0.1,
    demonstration_share=0.5,
    publish_every=3,
    checkpoint_s=1000.0,
)
LOADED = params_file.load(Path(__file__).parents[2] / "params.yaml", "pick_place")


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def params():
    return PARAMS


@pytest.fixture(scope="session")
def residual_zip(tmp_path_factory, sim, tiny_config):
    """A file of a residual of zero on an untrained base."""
    torch.manual_seed(0)
    spec = PolicySpec(TASK.features, 30, chunk_size=5, n_action_steps=3)
    base = Blueprint(tiny_config, spec).build().eval()
    learning = LOADED.section("train_residual", TrainResidualParams)
    model = ResidualTD3BC(
        "ResidualPolicy",
        BatchVecEnv(BatchSim(sim, 1), spec, range(100)),
        base_model=base,
        residual_scale=(5.0,) * 6,
        learner=dataclasses.replace(learning.learner, batch_size=16),
        exploration=learning.exploration,
        policy_kwargs={"net_arch": [16], "n_critics": 3},
        seed=0,
        device="cpu",
    )
    n = model.observation_space.shape[0]
    model.policy.set_statistics(np.zeros(n), np.ones(n))
    path = tmp_path_factory.mktemp("residual") / "residual.zip"
    model.save(path)
    return path
