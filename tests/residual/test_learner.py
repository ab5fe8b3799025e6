"""What the parameters of the learner say is what its updates do."""

from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import pytest
import torch

from soarm import arm
from soarm.residual import objective
from soarm.residual.objective import Ramp
from soarm.residual.replay import EpisodeReplayBuffer
from soarm.residual.td3bc import ResidualTD3BC
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation


def trained(task: ModuleType, n_steps: int = 180, **changes: Any) -> ResidualTD3BC:
    model = task.make_model(learner=dataclasses.replace(task.LEARNER, **changes))
    assert isinstance(model, ResidualTD3BC)
    return model.learn(n_steps, log_interval=None)


def flat(network: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


@pytest.mark.parametrize(("critic_lr", "actor_lr"), [(0.0, 1e-3), (1e-3, 0.0)])
def test_actor_and_critics_learn_at_rates_of_their_own(task: ModuleType, critic_lr: float, actor_lr: float) -> None:
    before, after = task.make_model(), trained(task, critic_lr=critic_lr, actor_lr=actor_lr)

    assert torch.equal(flat(after.critic), flat(before.critic)) == (critic_lr == 0.0)
    assert torch.equal(flat(after.actor), flat(before.actor)) == (actor_lr == 0.0)


@pytest.mark.parametrize("delay", [1, 3])
def test_the_actor_learns_from_every_so_many_th_update(task: ModuleType, delay: int, monkeypatch: pytest.MonkeyPatch) -> None:
    at: list[int] = []
    real = objective.actor_loss
    model = task.make_model(learner=dataclasses.replace(task.LEARNER, policy_delay=delay))

    def actor_loss(*args: Any, **kwargs: Any) -> torch.Tensor:
        at.append(model._n_updates)
        return real(*args, **kwargs)

    monkeypatch.setattr(objective, "actor_loss", actor_loss)
    model.learn(180, log_interval=None)  # 20 updates of the critics alone, then one for each of 15 steps of four rows

    assert at == [number for number in range(21, 36) if number % delay == 0]


def test_targets_are_smoothed_by_the_noise_that_is_asked_for(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: set[tuple[float, float]] = set()
    real = objective.td_target

    def td_target(*args: Any, **kwargs: Any) -> torch.Tensor:
        asked.add(kwargs["noise"])
        return real(*args, **kwargs)

    monkeypatch.setattr(objective, "td_target", td_target)
    trained(task, target_policy_noise=0.25, target_noise_clip=0.4)

    assert asked == {(0.25, 0.4)}


@pytest.mark.parametrize(("action", "correction"), [("executed", 0.0), ("requested", 0.5)])
def test_critics_learn_of_the_executed_or_of_the_requested_action(task: ModuleType, action: str, correction: float) -> None:
    model = trained(task, critic_action=action)
    assert isinstance(model.replay_buffer, EpisodeReplayBuffer)
    model.replay_buffer.observations[..., LAYOUT.base_action] = arm.UPPER  # nothing can be added to it
    model.replay_buffer.actions[:] = 0.5
    (batch,) = model.sample(1)

    assert batch.critic_inputs[:, -6:].numpy() == pytest.approx(correction, abs=1e-4)


@pytest.mark.parametrize("beyond", [True, False])
def test_a_value_ends_at_the_time_limit_or_goes_on(task: ModuleType, beyond: bool) -> None:
    model = trained(task, n_steps=120, bootstrap_on_timeout=beyond)  # the prefill
    assert isinstance(model.replay_buffer, EpisodeReplayBuffer)
    batch = model.replay_buffer.sample(400)
    lost = (batch.dones == 1) & (batch.rewards == 0)

    assert bool(lost.any()) == (not beyond)


def test_both_pulls_follow_their_ramps_from_the_prefill_to_the_last_step(
    task: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    penalty, imitation = Ramp(0.5, 0.1, 0.8), Ramp(1.0, 0.0, 0.4)
    pulls: list[tuple[float, float]] = []
    due: list[float] = []
    real = objective.actor_loss
    model = task.make_model(learner=dataclasses.replace(task.LEARNER, penalty=penalty, imitation=imitation, policy_delay=1))

    def actor_loss(*args: Any, **kwargs: Any) -> torch.Tensor:
        pulls.append((kwargs["penalty"], kwargs["imitation"]))
        due.append((model.num_timesteps - 120) / (320 - 120))  # the prefill is 120 steps
        return real(*args, **kwargs)

    monkeypatch.setattr(objective, "actor_loss", actor_loss)
    model.learn(320, log_interval=None)

    assert due[0] == 0.0
    assert due[-1] == 0.98
    assert pulls == [pytest.approx((0.5 - 0.4 * min(one / 0.8, 1.0), 1.0 - min(one / 0.4, 1.0))) for one in due]


def test_progress_starts_behind_the_prefill_and_ends_with_the_budget(task: ModuleType) -> None:
    model = task.make_model()
    seen: list[tuple[int, float]] = []
    model.learn(280, lambda local, _: bool(seen.append((model.num_timesteps, model.progress))) or True, log_interval=None)

    assert dict(seen)[60] == dict(seen)[120] == 0.0
    assert dict(seen)[160] == pytest.approx(0.25)
    assert dict(seen)[280] == 1.0
