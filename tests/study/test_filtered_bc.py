from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from soarm.act.model import ACT
from soarm.dataset.reader import Dataset
from soarm.errors import ParamsError
from soarm.policies import ChunkedPolicy
from soarm.residual.exploration import HeldNoise
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.study import filtered_bc as module
from soarm.study.filtered_bc import NoisyPolicy, filtered_bc, fine_tune
from soarm.study.method import MethodInput
from soarm.study.scenes import BudgetedEnv

OPTIONS = {"rounds": 2, "noise_std": 0.1, "steps": 3, "warmup_steps": 1, "learning_rate": 1e-3}
ROWS = np.arange(3)


@pytest.fixture
def observation(demonstrations: Dataset) -> dict[str, np.ndarray]:
    return {key: demonstrations.columns[key][:3] for key in (STATE, ENVIRONMENT_STATE)}


def test_only_successes_are_learnt_from(inputs: MethodInput, parity_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    data: list[Any] = []
    monkeypatch.setattr(module, "training_env", lambda inputs: BudgetedEnv(parity_env, parity_env.max_steps))
    monkeypatch.setattr(module, "fine_tune", lambda model, gathered, recipe, seed: data.append(gathered) or model)

    result = filtered_bc(dataclasses.replace(inputs, options=OPTIONS))

    n = inputs.demonstrations.n_frames
    more = data[-1].columns[ENVIRONMENT_STATE][n:]
    assert len(more) == 3 * result.metrics["successes"] > 0
    assert (more[:, 0] == 0.0).all()  # the parity of its seed, which an episode of `ParityEnv` shows
    assert result.metrics["episodes"] > 1.5 * result.metrics["successes"]
    assert len(data[0].columns[ACTION]) < len(data[1].columns[ACTION])
    assert result.metrics["env_steps"] == parity_env.stepped <= inputs.params.env_steps
    assert [point.step for point in result.curve][::2] == [0, parity_env.stepped]


def test_the_same_seed_gives_the_same_outcome(inputs: MethodInput) -> None:
    first, second = (filtered_bc(dataclasses.replace(inputs, options={**OPTIONS, "rounds": 1})) for _ in range(2))

    found, again = (result.policy(3) for result in (first, second))
    columns = inputs.demonstrations.columns
    seen = {key: columns[key][:3] for key in (STATE, ENVIRONMENT_STATE)}
    assert first.curve == second.curve
    assert [point.step for point in first.curve] == [0, 480]
    assert (found.act(seen, ROWS) == again.act(seen, ROWS)).all()
    assert not (found.act(seen, ROWS) == ChunkedPolicy(inputs.base, inputs.base.spec, 3).act(seen, ROWS)).all()


def test_without_noise_the_policy_is_rolled_as_it_is(base: ACT, observation: dict[str, np.ndarray]) -> None:
    noise = HeldNoise(3, 2, np.random.default_rng(0))
    quiet, plain = NoisyPolicy(base, noise, 0.0, (7.0,) * 6), ChunkedPolicy(base, base.spec, 3)

    quiet.reset(ROWS, [0, 0, 0])
    plain.reset(ROWS, [0, 0, 0])

    assert (quiet.act(observation, ROWS) == plain.act(observation, ROWS)).all()


def test_noise_stays_within_the_bound(base: ACT, observation: dict[str, np.ndarray]) -> None:
    noisy = NoisyPolicy(base, HeldNoise(3, 2, np.random.default_rng(0)), 10.0, (0.5,) * 6)
    plain = ChunkedPolicy(base, base.spec, 3)

    moved = np.abs(noisy.act(observation, ROWS) - plain.act(observation, ROWS))

    assert moved.max() == pytest.approx(0.5, abs=1e-4)


def test_training_further_starts_at_the_model_and_keeps_what_makes_it_playable(inputs: MethodInput) -> None:
    played = dataclasses.replace(inputs.base.config, n_action_steps=2)
    model = ACT(played, dataclasses.replace(inputs.base.spec, n_action_steps=2))
    model.load_state_dict(inputs.base.state_dict())
    recipe = dataclasses.replace(inputs.train_act, network=played, steps=1, warmup_steps=0, learning_rate=1e-6)

    tuned = fine_tune(model, inputs.demonstrations, recipe, seed=0)

    moved = [(a - b).abs().max().item() for a, b in zip(tuned.parameters(), model.parameters(), strict=True)]
    assert 0.0 < max(moved) < 1e-5
    assert all(torch.equal(a, b) for a, b in zip(tuned.buffers(), model.buffers(), strict=True))
    assert tuned.spec.n_action_steps == 2
    assert tuned.spec.dataset_hash == inputs.demonstrations.hash


def test_training_further_learns_the_data(inputs: MethodInput) -> None:
    recipe = dataclasses.replace(inputs.train_act, network=inputs.base.config, steps=40, batch_size=32, learning_rate=3e-3)
    columns = inputs.demonstrations.columns

    tuned = fine_tune(inputs.base, inputs.demonstrations, recipe, seed=0)

    errors = [np.abs(model.predict_chunks(columns)[:, 0] - columns[ACTION]).mean() for model in (inputs.base, tuned)]
    assert errors[1] < 0.9 * errors[0]


def test_no_round_is_refused(inputs: MethodInput) -> None:
    with pytest.raises(ParamsError, match="rounds is 0; it must be at least 1"):
        filtered_bc(dataclasses.replace(inputs, options={**OPTIONS, "rounds": 0}))
