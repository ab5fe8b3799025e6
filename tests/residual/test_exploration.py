from __future__ import annotations

import dataclasses
from types import ModuleType

import numpy as np
import pytest
import torch

from soarm.policy import Array
from soarm.residual.controller import residual_policy
from soarm.residual.exploration import Explorer
from soarm.residual.gate import GatedResidual
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.td3bc import ResidualTD3BC
from soarm.rollout import rollout
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation


def explorer(task: ModuleType, n_rows: int = 4, **changed: object) -> Explorer:
    params = dataclasses.replace(task.EXPLORATION, **changed)
    return Explorer(n_rows, params, np.random.default_rng(0))


def share_alone(one: Explorer, steps_learnt: int) -> float:
    one.end_episodes(np.ones(one.n_rows, np.bool_), steps_learnt)
    return float((one.around(np.full((one.n_rows, 6), 0.5, np.float32), 0.0) == 0).all(axis=1).mean())


def test_episodes_of_the_base_alone_die_out(task: ModuleType) -> None:
    one = explorer(task, 4000, progressive_steps=1000)
    shares = [share_alone(one, steps) for steps in (-5, 0, 250, 800, 1000, 9999)]

    assert shares == pytest.approx([1.0, 1.0, 0.75, 0.2, 0.0, 0.0], abs=0.03)


def test_without_it_every_episode_has_the_residual(task: ModuleType) -> None:
    one = explorer(task, 50)

    assert share_alone(one, 0) == 0.0


def test_an_episode_is_the_base_s_or_the_residual_s_as_a_whole(task: ModuleType) -> None:
    one = explorer(task, 100, progressive_steps=1000)
    one.end_episodes(np.ones(100, np.bool_), 500)
    greedy = np.full((100, 6), 0.5, np.float32)
    alone = [(one.around(greedy, 0.0) == 0).all(axis=1) for _ in range(5)]
    one.end_episodes(np.arange(100) < 50, 500)
    after = (one.around(greedy, 0.0) == 0).all(axis=1)

    assert all((now == alone[0]).all() for now in alone)
    assert (after[50:] == alone[0][50:]).all()
    assert not (after[:50] == alone[0][:50]).all()


def test_noise_falls_linearly_while_learning(task: ModuleType) -> None:
    one = explorer(task, 4000, hold_steps=1)
    stds = [one.around(np.zeros((4000, 6), np.float32), progress).std() for progress in (0.0, 0.5, 1.0)]

    assert stds == pytest.approx([0.3, 0.2, 0.1], rel=0.03)


def test_noise_falls_with_the_progress_of_learning(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, float]] = []
    real = Explorer.around
    model = task.make_model()

    def around(self: Explorer, greedy: Array, progress: float) -> Array:
        asked.append((model.num_timesteps, progress))
        return real(self, greedy, progress)

    monkeypatch.setattr(Explorer, "around", around)
    model.learn(200, log_interval=None)

    assert asked == [(step, pytest.approx((step - 120) / 80)) for step in range(120, 200, 4)]


def test_coins_do_not_change_the_noise(task: ModuleType) -> None:
    greedy = np.full((4, 6), 0.1, np.float32)
    drawn = []
    for steps in (0, 10):
        one = explorer(task, progressive_steps=steps)
        one.end_episodes(np.ones(4, np.bool_), 9999)
        drawn.append(one.around(greedy, 0.5))

    np.testing.assert_array_equal(*drawn)


def prefer(policy: ResidualTD3Policy, slope: float) -> None:
    """Let the critics value a residual by its mean, times `slope`, where the first joint is above zero, else the other way."""

    def forward(obs: torch.Tensor, actions: torch.Tensor, heads: object = None) -> tuple[torch.Tensor, ...]:
        value = slope * torch.sign(obs[:, :1]) * actions.mean(dim=1, keepdim=True)
        return value + 0.2, value - 0.2

    policy.critic.forward = forward  # type: ignore[assignment]


def with_residual(task: ModuleType, **exploration: object) -> ResidualTD3BC:
    model = task.make_model(exploration=dataclasses.replace(task.EXPLORATION, **exploration))
    torch.nn.init.constant_(model.actor.mu.net[-2].bias, 0.5)
    assert isinstance(model, ResidualTD3BC)
    return model


def test_gate_lets_through_what_the_critics_prefer(task: ModuleType) -> None:
    model = with_residual(task)
    prefer(model.policy, 1.0)
    seen = np.zeros((2, LAYOUT.dim), np.float32)
    seen[:, 0] = 1.0, -1.0
    residual = GatedResidual(model.policy).predict_residual(seen)

    np.testing.assert_allclose(residual[0], np.tanh(0.5), rtol=1e-5)
    np.testing.assert_array_equal(residual[1], np.zeros(6))


def test_untrained_gate_is_the_base(task: ModuleType) -> None:
    gate = GatedResidual(task.make_model().policy)

    np.testing.assert_array_equal(gate.predict_residual(np.ones((3, LAYOUT.dim), np.float32)), np.zeros((3, 6)))


@pytest.mark.parametrize("gated", [False, True])
def test_exploration_executes_what_the_gate_lets_through(task: ModuleType, gated: bool) -> None:
    model = with_residual(task, gated=gated, start_std=0.0, end_std=0.0, prefill_steps=8)
    prefer(model.policy, 0.0)  # no residual is better than none
    model.learn(8, log_interval=None)
    residual, _ = model._sample_action(learning_starts=0)

    assert (residual == 0).all() == gated


def test_gated_policy_can_be_evaluated_in_torch(task: ModuleType) -> None:
    model = with_residual(task)
    prefer(model.policy, 0.0)
    gated = residual_policy(model.base_model, GatedResidual(model.policy), model.spec, 2)
    bare = residual_policy(model.base_model, task.make_model().actor.mu, model.spec, 2)
    actions = [[episode.actions for episode in rollout(task.AimEnv(2), policy, range(3))] for policy in (gated, bare)]

    for one, other in zip(*actions, strict=True):
        np.testing.assert_array_equal(one, other)
