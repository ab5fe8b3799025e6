from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
import torch

from soarm import arm
from soarm.residual.diagnostics import Smoothness, critic_calibration, residual_diagnostics
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.replay import EpisodeReplayBuffer
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation


def test_a_joint_that_leans_on_its_bound_is_named(task: ModuleType) -> None:
    policy = task.make_model().policy
    with torch.no_grad():
        policy.actor.mu.net[-2].bias[arm.GRIPPER] = 5.0
        policy.actor.mu.net[-2].bias[0] = -0.5
    seen = torch.zeros(4, LAYOUT.dim)
    found = residual_diagnostics(policy, seen, seen)

    assert found["saturated_gripper"] == 1.0
    assert found["residual_abs_shoulder_pan"] == pytest.approx(np.tanh(0.5))
    assert found["saturated_shoulder_pan"] == found["residual_abs_elbow_flex"] == 0.0
    assert found["saturated"] == pytest.approx(1 / 6)


def test_smoothness_is_the_second_difference_inside_episodes() -> None:
    smoothness = Smoothness(2, control_hz=10)
    shaking, steady = np.array([0.0, 1.0, 0.0, 1.0]), np.array([0.0, 2.0, 4.0, 6.0])
    for t in range(4):
        executed = np.tile(np.array([[shaking[t]], [steady[t]]], np.float32), (1, 6))
        smoothness.add(executed, np.array([False, t == 1]))  # the second row starts anew after its second step
    found = smoothness.take()

    assert found == {"acceleration_rms_deg_s2": pytest.approx(100 * 2.0)}  # row 0: -2 and 2; row 1 had no three steps
    assert smoothness.take() == {}


def test_gripper_does_not_count_as_shaking() -> None:
    smoothness = Smoothness(1, control_hz=1)
    for t in range(4):
        smoothness.add(np.array([[0.0, 0.0, 0.0, 0.0, 0.0, 50.0 * (t % 2)]], np.float32), np.array([False]))

    assert smoothness.take() == {"acceleration_rms_deg_s2": 0.0}


def filled(task: ModuleType) -> tuple[ResidualTD3Policy, EpisodeReplayBuffer]:
    model = task.make_model().learn(110, log_interval=None)  # the prefill alone
    assert isinstance(model.replay_buffer, EpisodeReplayBuffer)
    return model.policy, model.replay_buffer


def constant(policy: ResidualTD3Policy, value: float) -> None:
    with torch.no_grad():
        for head in policy.critic.q_networks:
            head[-1].weight.zero_()
            head[-1].bias.fill_(value)


def test_gap_and_correlation_are_over_whole_episodes(task: ModuleType) -> None:
    policy, buffer = filled(task)
    buffer.returns[:] = buffer.observations[:, :, 6]
    constant(policy, 0.1)
    flat = critic_calibration(policy, buffer)
    policy.critic.forward = lambda obs, actions, heads=None: (0.3 + obs[:, 6:7],)  # type: ignore[method-assign]
    found = critic_calibration(policy, buffer)

    assert set(flat) == {"q_start", "mc_start", "q_gap_mean"}
    assert found["q_return_corr"] == pytest.approx(1.0)
    assert found["q_gap_mean"] == pytest.approx(0.3)


def test_nothing_is_said_before_an_episode_has_ended(task: ModuleType) -> None:
    model = task.make_model()
    assert isinstance(model.replay_buffer, EpisodeReplayBuffer)

    assert critic_calibration(model.policy, model.replay_buffer) == {}


def test_diagnostics_draw_no_random_numbers(task: ModuleType) -> None:
    policy, buffer = filled(task)
    states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    critic_calibration(policy, buffer)

    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
