"""A small input for methods: the real simulator with short episodes, tiny networks, made-up demonstrations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from soarm import params as params_file
from soarm.act.config import ACTConfig
from soarm.act.model import ACT, Blueprint
from soarm.act.normalisation import Statistics
from soarm.act.params import TrainActParams
from soarm.dataset.reader import Dataset
from soarm.policy import Array, Observation, Rows
from soarm.recording import RecordParams
from soarm.residual.training import TrainResidualParams
from soarm.rollout import StepResult
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.study.method import MethodInput
from soarm.tasks.pick_place import TASK

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"
NETWORK = {"chunk_size": 5, "n_action_steps": 3, "dim_model": 8, "n_heads": 2, "dim_feedforward": 16, "latent_dim": 4}


@pytest.fixture(scope="session")
def ci_params(tmp_path_factory: pytest.TempPathFactory) -> params_file.Params:
    """The parameters of the profile `ci`, whatever profile is chosen in the file."""
    data = yaml.safe_load(PARAMS_FILE.read_text())
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    path.write_text(yaml.safe_dump({**data, "profile": "ci"}))
    return params_file.load(path)


@pytest.fixture(scope="session")
def demonstrations(make_demonstrations: Callable[..., Dataset]) -> Dataset:
    """Smooth made-up demonstrations."""
    return make_demonstrations((20, 25, 18, 22))


@pytest.fixture
def base(demonstrations: Dataset, ci_params: params_file.Params) -> ACT:
    """A tiny untrained ACT."""
    train_act = ci_params.section("train_act", TrainActParams)
    config: ACTConfig = dataclasses.replace(train_act.network, **NETWORK)
    spec = dataclasses.replace(
        demonstrations.spec, chunk_size=config.chunk_size, n_action_steps=config.n_action_steps, dataset_hash="fake"
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Blueprint(config, spec).build()
    model.fit_normalisation(Statistics.of(demonstrations.columns, std_floor=0.01))
    return model.eval()


@pytest.fixture
def inputs(base: ACT, demonstrations: Dataset, ci_params: params_file.Params, tmp_path: Path) -> MethodInput:
    """Four environments, episodes of a second, 480 environment steps, two validation scenes; `log` and `track` do nothing."""
    sim = ci_params.section("sim", SimParams)
    params = ci_params.section("train_residual", TrainResidualParams)
    train_act = ci_params.section("train_act", TrainActParams)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return MethodInput(
        sim=dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=1.0)),
        base=base,
        demonstrations=demonstrations,
        params=dataclasses.replace(
            params,
            env_steps=480,
            n_envs=4,
            hidden=(16, 16),
            exploration=dataclasses.replace(params.exploration, prefill_steps=200),
            learner=dataclasses.replace(params.learner, batch_size=16, warmup_updates=5, gradient_steps=1),
            validation=dataclasses.replace(params.validation, n_scenes=2, n_rows=2, every=240),
        ),
        bound=(7.0, 6.0, 7.0, 6.0, 15.0, 20.0),
        record=ci_params.section("record", RecordParams),
        train_act=dataclasses.replace(train_act, steps=4, warmup_steps=1, batch_size=8, val_fraction=0.25, device="cpu"),
        seed=0,
        scratch=scratch,
        log=lambda step, metrics: None,
        track=lambda steps, total, description: steps,
        options={},
    )


class ParityEnv:
    """Scenes of even seeds are solved after 3 steps, those of odd seeds are cut off after 8; what is done matters nothing."""

    control_hz = 30
    max_steps = 8

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.task = n_rows, TASK
        self.seeds = np.zeros(n_rows, np.int64)
        self.age = np.zeros(n_rows, np.int64)
        self.stepped = 0

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        self.seeds[rows] = list(seeds)
        self.age[rows] = 0
        return self._observe(rows)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        self.stepped += len(rows)
        self.age[rows] += 1
        terminated = (self.seeds[rows] % 2 == 0) & (self.age[rows] == 3)
        truncated = self.age[rows] == self.max_steps
        info: Mapping[str, Any] = {"is_success": terminated}
        return StepResult(self._observe(rows), terminated.astype(float), terminated, truncated, info)

    def _observe(self, rows: Rows) -> Observation:
        objects = np.zeros((len(rows), 7), np.float32)
        objects[:, 0] = self.seeds[rows] % 2
        return {STATE: np.zeros((len(rows), 6), np.float32), ENVIRONMENT_STATE: objects}


@pytest.fixture
def parity_env() -> ParityEnv:
    """Three rows of `ParityEnv`."""
    return ParityEnv(3)
