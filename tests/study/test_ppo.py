from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from soarm.errors import ParamsError
from soarm.policies import ChunkedPolicy, ResidualPolicy
from soarm.residual.controller import residual_policy
from soarm.residual.vec_env import BatchVecEnv, ResidualVecEnvWrapper
from soarm.seeds import scene_seeds
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.study.method import MethodInput
from soarm.study.ppo import MeanAction, PPOOptions, fit_standardisation, new_model, ppo
from soarm.study.scenes import training_env
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation

OPTIONS = {
    "statistics_steps": 40,
    "n_steps": 12,
    "batch_size": 24,
    "n_epochs": 2,
    "learning_rate": 3.0e-3,
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "clip_range": 0.2,
    "ent_coef": 0.0,
    "max_grad_norm": 0.5,
    "log_std_init": -1.0,
    "sde_sample_freq": 0,
}
ROWS = np.arange(3)


def seen(inputs: MethodInput) -> dict[str, np.ndarray]:
    return {key: inputs.demonstrations.columns[key][:3] for key in (STATE, ENVIRONMENT_STATE)}


def wrapped(inputs: MethodInput) -> ResidualVecEnvWrapper:
    venv = BatchVecEnv(training_env(inputs), inputs.base.spec, scene_seeds("residual"))
    return ResidualVecEnvWrapper(venv, inputs.base, inputs.base.spec, inputs.bound)


@pytest.mark.parametrize("sde_sample_freq", [0, 4])
def test_untrained_ppo_is_the_base_to_the_bit(inputs: MethodInput, sde_sample_freq: int) -> None:
    env = wrapped(inputs)
    model = new_model(env, PPOOptions(**{**OPTIONS, "sde_sample_freq": sde_sample_freq}), (16,), seed=0)
    fit_standardisation(model, env, 40)
    spec = dataclasses.replace(inputs.base.spec, residual_scale=inputs.bound)
    untrained = residual_policy(inputs.base, MeanAction(model.policy), spec, 3)
    base = ChunkedPolicy(inputs.base, inputs.base.spec, 3)

    assert all((untrained.act(seen(inputs), ROWS) == base.act(seen(inputs), ROWS)).all() for _ in range(5))


def test_mean_actions_stay_within_the_bound(inputs: MethodInput) -> None:
    model = new_model(wrapped(inputs), PPOOptions(**OPTIONS), (16,), seed=0)
    torch.nn.init.constant_(model.policy.action_net.bias, 7.0)

    assert (MeanAction(model.policy).predict_residual(np.zeros((2, LAYOUT.dim), np.float32)) == 1.0).all()


def test_the_standardisation_is_that_of_the_base_s_own_steps(inputs: MethodInput) -> None:
    env = wrapped(inputs)
    model = new_model(env, PPOOptions(**OPTIONS), (16,), seed=0)

    fit_standardisation(model, env, 40)

    again = wrapped(inputs)
    rows = [again.reset(), *(again.step(np.zeros((4, 6), np.float32))[0] for _ in range(10))]
    found = model.policy.features_extractor.encoder
    np.testing.assert_allclose(found.mean.numpy(), np.concatenate(rows).mean(axis=0), rtol=1e-4, atol=1e-5)


def test_the_budget_is_spent_and_the_same_seed_gives_the_same_outcome(inputs: MethodInput) -> None:
    logged: dict[int, dict[str, float]] = {}
    inputs = dataclasses.replace(inputs, options=OPTIONS, log=lambda step, metrics: logged.setdefault(step, dict(metrics)))

    first, second = ppo(inputs), ppo(inputs)

    policies = first.policy(3), second.policy(3)
    assert all(isinstance(policy, ResidualPolicy) for policy in policies)
    actions = [policy.act(seen(inputs), ROWS) for policy in policies]
    assert (actions[0] == actions[1]).all()
    assert not (actions[0] == ChunkedPolicy(inputs.base, inputs.base.spec, 3).act(seen(inputs), ROWS)).all()
    assert [point.step for point in first.curve] == [0, 240, 480]  # 48 of the base, then rollouts of 4 x 12
    assert first.curve == second.curve
    assert first.metrics["env_steps"] == 480
    assert first.metrics["updates"] == 9 * 2 * 2
    assert any("approx_kl" in metrics for metrics in logged.values())


def test_a_budget_without_a_rollout_is_refused(inputs: MethodInput) -> None:
    with pytest.raises(ParamsError, match=r"env_steps is 480; PPO needs 40 for statistics and 800 a rollout"):
        ppo(dataclasses.replace(inputs, options={**OPTIONS, "n_steps": 200}))
