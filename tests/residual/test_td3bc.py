from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import TD3
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.vec_env import DummyVecEnv

from soarm import arm
from soarm.errors import CheckpointError
from soarm.residual import actor, objective
from soarm.residual.controller import ResidualController, residual_policy
from soarm.residual.td3bc import ResidualTD3BC
from soarm.residual.vec_env import ResidualVecEnvWrapper
from soarm.rollout import rollout
from soarm.spec import ENVIRONMENT_STATE, STATE


def weights(model: ResidualTD3BC) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.policy.parameters()])


def success_rate(task: ModuleType, model: ResidualTD3BC) -> float:
    policy = residual_policy(model.base_model, model.policy.actor.mu, model.spec, 8)
    return float(np.mean([episode.success for episode in rollout(task.AimEnv(8), policy, range(60))]))


def test_untrained_model_adds_nothing(task: ModuleType) -> None:
    model = task.make_model()
    assert model.env is not None
    residual, _ = model.predict(model.env.reset())

    np.testing.assert_array_equal(residual, np.zeros((4, 6), np.float32))


@pytest.mark.parametrize("n_rows", [1, 3])
@pytest.mark.parametrize("n_steps", [1, 5])
def test_runs_with_any_number_of_environments_and_steps(task: ModuleType, n_rows: int, n_steps: int) -> None:
    before = weights(model := task.make_model(n_rows, learner=dataclasses.replace(task.LEARNER, n_steps=n_steps)))
    model.learn(180, log_interval=None)

    assert model.num_timesteps == 180
    assert not torch.equal(weights(model), before)
    assert torch.isfinite(weights(model)).all()


def test_learns_to_correct_a_base_that_misses_by_a_constant(task: ModuleType) -> None:
    learner = dataclasses.replace(
        task.LEARNER, critic_lr=3e-3, gradient_steps=2, warmup_updates=100, penalty=task.Ramp(0.2, 0.05, 0.3)
    )
    exploration = dataclasses.replace(task.EXPLORATION, prefill_steps=800, prefill_std=0.6)
    model = task.make_model(8, learner=learner, exploration=exploration)
    before = success_rate(task, model)
    model.learn(2800, log_interval=None)

    assert before == 0.0
    assert success_rate(task, model) > 0.8


def test_same_seed_gives_the_same_bits_and_another_seed_others(task: ModuleType) -> None:
    one, two, other = (weights(task.make_model(seed=seed).learn(180, log_interval=None)) for seed in (1, 1, 2))

    assert torch.equal(one, two)
    assert not torch.equal(one, other)


def test_saved_model_brings_its_base_along(task: ModuleType, tmp_path: Path) -> None:
    model = task.make_model().learn(160, log_interval=None)
    model.save(tmp_path / "residual.zip")
    loaded = ResidualTD3BC.load(tmp_path / "residual.zip")
    seen = np.random.default_rng(0).normal(0, 30, (5, *model.observation_space.shape)).astype(np.float32)

    # The blueprint builds a base that aims well; the 2 degrees it misses by can only come out of the zip.
    assert loaded.base_model.miss.item() == task.MISS_DEG
    assert not loaded.base_model.miss.requires_grad
    assert loaded.spec == model.spec
    np.testing.assert_array_equal(loaded.predict(seen)[0], model.predict(seen)[0])


def test_a_file_of_another_version_is_named_as_one(task: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = ModuleType("soarm.residual.gone")
    monkeypatch.setitem(sys.modules, gone.__name__, gone)
    exec("class Alarms: pass", gone.__dict__)
    model = task.make_model()
    model.alarms = gone.Alarms()
    model.save(tmp_path / "residual.zip")
    monkeypatch.delitem(sys.modules, gone.__name__)

    with pytest.raises(CheckpointError, match=r"saved by another version of soarm \(No module named 'soarm.residual.gone'\)"):
        ResidualTD3BC.load(tmp_path / "residual.zip")


def test_loaded_model_learns_on_in_another_number_of_environments(task: ModuleType, tmp_path: Path) -> None:
    model = task.make_model().learn(200, log_interval=None)
    model.save(tmp_path / "residual.zip")
    loaded = ResidualTD3BC.load(tmp_path / "residual.zip", env=task.make_env(2))
    loaded.learn(100, log_interval=None, reset_num_timesteps=False)

    assert isinstance(loaded.env, ResidualVecEnvWrapper)
    assert loaded.env._base.model is loaded.base_model
    assert loaded.num_timesteps == 300
    assert not torch.equal(weights(loaded), weights(model))


def test_other_environments_are_wrapped_too(task: ModuleType) -> None:
    model = task.make_model()
    model.set_env(task.make_env())

    assert isinstance(model.env, ResidualVecEnvWrapper)
    model.learn(200, log_interval=None)


def test_gymnasium_environments_are_wrapped_too(task: ModuleType) -> None:
    model = ResidualTD3BC(
        "ResidualPolicy",
        DummyVecEnv([lambda: _Gym(task), lambda: _Gym(task)]),
        base_model=task.Aimer(task.SPEC, 0.0),
        residual_scale=task.SCALE,
        learner=task.LEARNER,
        exploration=task.EXPLORATION,
        device="cpu",
    )
    model.learn(160, log_interval=None)

    buffer = model.replay_buffer

    assert buffer.dones.sum() > 0
    np.testing.assert_array_equal(buffer.timeouts, buffer.dones * (buffer.rewards == 0))


def test_evaluate_policy_of_stable_baselines_runs_it(task: ModuleType) -> None:
    model = task.make_model()
    model.base_model.miss.data.fill_(0.0)
    mean, _ = evaluate_policy(model, model.env, n_eval_episodes=8)

    assert mean == 1.0


class Poison:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_a_foreign_file_is_refused_before_it_is_unpickled(tmp_path: Path) -> None:
    foreign = TD3("MlpPolicy", gymnasium.make("Pendulum-v1"), buffer_size=1, device="cpu")
    foreign.poison = Poison(tmp_path / "ran")  # type: ignore[attr-defined]
    foreign.save(tmp_path / "foreign.zip")

    with pytest.raises(CheckpointError, match="holds no blueprint of a base"):
        ResidualTD3BC.load(tmp_path / "foreign.zip")
    assert not (tmp_path / "ran").exists()


def test_evaluation_and_export_run_nothing_that_a_residual_holds(task: ModuleType, tmp_path: Path) -> None:
    model = task.make_model()
    model.poison = Poison(tmp_path / "ran")
    model.save(tmp_path / "residual.zip")
    actor.save(model.policy.actor.mu, model.spec, tmp_path)

    network, spec = actor.load(tmp_path)
    before = (tmp_path / "ran").exists()
    ResidualTD3BC.load(tmp_path / "residual.zip")

    assert not before
    assert (tmp_path / "ran").exists()  # the documents say so
    assert spec == model.spec
    for key, value in network.state_dict().items():
        assert torch.equal(value, model.policy.actor.mu.state_dict()[key])


def test_file_that_is_missing_or_something_else_is_named(task: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "text.zip").write_text("hello")
    TD3("MlpPolicy", gymnasium.make("Pendulum-v1"), buffer_size=1, device="cpu").save(tmp_path / "td3.zip")

    with pytest.raises(CheckpointError, match=r"gone\.zip cannot be read as a saved residual"):
        ResidualTD3BC.load(tmp_path / "gone.zip")
    with pytest.raises(CheckpointError, match=r"text\.zip cannot be read as a saved residual"):
        ResidualTD3BC.load(tmp_path / "text.zip")
    with pytest.raises(CheckpointError, match="holds no blueprint of a base"):
        ResidualTD3BC.load(tmp_path / "td3.zip")


def test_prefill_is_half_the_base_and_half_held_noise(task: ModuleType) -> None:
    model = task.make_model(2).learn(100, log_interval=None)
    residuals = model.replay_buffer.actions[:50]  # (T, n, 6)
    quiet = (residuals == 0).all(axis=2)
    changes = (np.diff(residuals, axis=0) != 0).any(axis=2)
    steps = model.replay_buffer.dones[:49].astype(bool)

    assert quiet.any(axis=0).all()
    assert (~quiet).any(axis=0).all()
    # An episode is quiet as a whole; inside a noisy one the noise changes every 4 steps.
    assert (quiet[1:] == quiet[:-1])[~steps].all()
    assert changes[~steps & ~quiet[1:]].mean() < 0.3


def test_observations_are_standardised_by_what_the_prefill_saw(task: ModuleType) -> None:
    model = task.make_model().learn(130, log_interval=None)
    seen = model.replay_buffer.observations[:30].reshape(-1, *model.observation_space.shape)  # 4 x 30 = 120

    np.testing.assert_allclose(model.actor.mu.sight.mean.numpy(), seen.mean(axis=0), rtol=1e-3, atol=1e-3)
    assert torch.equal(model.critic_target.sight.std, model.actor_target.mu.sight.std)


def test_first_updates_are_the_critics_alone(task: ModuleType) -> None:
    model = task.make_model(learner=dataclasses.replace(task.LEARNER, warmup_updates=50, gradient_steps=0))
    model.learn(120, log_interval=None)
    critic = weights(model).clone()
    model.warm_up()

    assert model._n_updates == 50
    assert not torch.equal(weights(model), critic)
    assert all((parameter == 0).all() for parameter in model.actor.mu.net[-2].parameters())


@pytest.mark.parametrize(
    ("climbs", "heads"),
    [("in_turn", [(0,), (1,), (2,), (0,), (1,)]), ("first", [(0,)] * 5), ("mean", [(0, 1, 2)] * 5)],
)
def test_actor_climbs_every_head_in_turn_or_as_it_is_told(
    task: ModuleType, climbs: str, heads: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    climbed: list[tuple[int, ...]] = []
    real = objective.actor_loss
    monkeypatch.setattr(
        objective, "actor_loss", lambda *args, heads, **kwargs: (climbed.append(heads), real(*args, heads=heads, **kwargs))[1]
    )
    learner = dataclasses.replace(task.LEARNER, actor_q_reduction=climbs)
    task.make_model(learner=learner, policy_kwargs={"n_critics": 3}).learn(160, log_interval=None)

    assert climbed[:5] == heads


def test_ensemble_learns_with_targets_from_a_pair_of_heads(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...] | None] = []
    real = objective.td_target
    monkeypatch.setattr(
        objective, "td_target", lambda *args, heads, **kwargs: (asked.append(heads), real(*args, heads=heads, **kwargs))[1]
    )
    model = task.make_model(policy_kwargs={"n_critics": 4}).learn(200, log_interval=None)
    seen, still = torch.zeros(2, *model.observation_space.shape), torch.zeros(2, 6)

    assert len(model.critic(seen, still)) == 4
    assert {len(set(pair or ())) for pair in asked} == {2}
    assert {head for pair in asked for head in pair or ()} == {0, 1, 2, 3}
    assert torch.isfinite(weights(model)).all()


def test_diagnostics_reach_the_log(task: ModuleType) -> None:
    model = task.make_model(learner=dataclasses.replace(task.LEARNER, actor_lr=0.0))
    torch.nn.init.constant_(model.actor.mu.net[-2].bias[arm.GRIPPER :], 3.0)  # where nothing depends on it
    model.learn(500, log_interval=None)
    kept: dict[str, Any] = dict(model.logger.name_to_value)
    model.logger.dump = lambda step: kept.update(model.logger.name_to_value)  # type: ignore[method-assign]
    model.dump_logs()
    values = ("critic_loss", "q_mean", "q_gain", "q_start", "mc_start", "q_gap_mean", "q_return_corr")
    sizes = ("residual_abs", "saturated", "residual_abs_elbow_flex", "saturated_gripper", "acceleration_rms_deg_s2")
    names = {f"train/{name}" for name in (*values, *sizes)}

    assert names | {"rollout/success_rate"} <= set(kept)
    assert (kept["train/saturated"], kept["train/saturated_gripper"]) == (pytest.approx(1 / 6), 1.0)
    assert kept["train/residual_abs"] == pytest.approx(np.tanh(3.0) / 6)
    assert kept["train/residual_abs_elbow_flex"] == 0.0


class _Gym(gymnasium.Env[dict[str, np.ndarray], np.ndarray]):
    """The same task as a single environment of Gymnasium."""

    def __init__(self, task: ModuleType) -> None:
        self._env = task.AimEnv(1)
        self.observation_space = gymnasium.spaces.Dict(
            {
                STATE: gymnasium.spaces.Box(-np.inf, np.inf, (6,), np.float32),
                ENVIRONMENT_STATE: gymnasium.spaces.Box(-np.inf, np.inf, (7,), np.float32),
            }
        )
        self.action_space = gymnasium.spaces.Box(arm.LOWER.astype(np.float32), arm.UPPER.astype(np.float32))
        self._rows = np.zeros(1, np.intp)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        observation = self._env.reset(self._rows, [int(self.np_random.integers(10_000))])
        return {key: value[0] for key, value in observation.items()}, {}

    def step(self, action: np.ndarray) -> Any:
        result = self._env.step(action[None], self._rows)
        observation = {key: value[0] for key, value in result.observation.items()}
        return observation, float(result.reward[0]), bool(result.terminated[0]), bool(result.truncated[0]), {}


def test_controller_from_a_model_corrects_raw_observations(task: ModuleType) -> None:
    model = task.make_model()
    torch.nn.init.constant_(model.actor.mu.net[-2].bias, 0.5)
    controller = ResidualController(model.base_model, model.actor.mu, model.spec)
    action, _ = controller.predict({STATE: np.zeros(6, np.float32), ENVIRONMENT_STATE: np.full(7, 0.1, np.float32)})

    assert action[0] == pytest.approx(10.0 + task.MISS_DEG + task.SCALE[0] * np.tanh(0.5), abs=1e-4)
