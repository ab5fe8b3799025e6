"""Stable-Baselines3's own algorithms and helpers on the environments of `gymnasium.make`."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest
import torch
from stable_baselines3 import PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.env_checker import check_env
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

ENV_ID = "soarm.envs:SoArm/PickPlace-v0"


def test_their_checker_has_nothing_to_say() -> None:
    check_env(gymnasium.make(ENV_ID, normalize_actions=True))


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [
        (PPO, {"n_steps": 128, "batch_size": 64, "n_epochs": 1}),
        (SAC, {"learning_starts": 100, "batch_size": 16, "train_freq": 8}),
        (TD3, {"learning_starts": 100, "batch_size": 16, "train_freq": 8}),
    ],
    ids=["PPO", "SAC", "TD3"],
)
def test_algorithms_learn_as_they_do_on_any_environment(algorithm: type[BaseAlgorithm], settings: dict[str, Any]) -> None:
    env = gymnasium.make(ENV_ID, reward="shaped", time_limit_s=1.0, normalize_actions=algorithm is PPO)
    untrained = algorithm("MultiInputPolicy", env, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu", **settings)
    model = algorithm("MultiInputPolicy", env, policy_kwargs={"net_arch": [16]}, seed=0, device="cpu", **settings)
    model.learn(256)

    returns, lengths = evaluate_policy(model, model.get_env(), n_eval_episodes=1, return_episode_rewards=True)
    before, after = (torch.cat([p.flatten() for p in one.policy.parameters()]) for one in (untrained, model))

    assert not torch.equal(before, after)
    assert after.isfinite().all()
    assert lengths == [30]
    assert returns[0] != 0.0


def test_the_id_alone_is_enough_for_their_helpers() -> None:
    venv = make_vec_env(ENV_ID, n_envs=2, env_kwargs={"time_limit_s": 0.2}, seed=3)
    observation = venv.reset()

    assert {key: value.shape for key, value in observation.items()} == {"agent_pos": (2, 6), "environment_state": (2, 7)}
