"""`ResidualTD3BC` on the environments of `gymnasium.make`, with Stable-Baselines3's helpers."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import gymnasium
import numpy as np
import pytest
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

from soarm.errors import ObservationError, ParamsError
from soarm.residual.controller import ResidualController
from soarm.residual.td3bc import ResidualTD3BC


def plain(n: int = 2, **options: object) -> DummyVecEnv:
    return DummyVecEnv(
        [lambda: Monitor(gymnasium.make("soarm.envs:SoArm/PickPlace-v0", time_limit_s=0.5, **options)) for _ in range(n)]
    )


@pytest.fixture
def model(task: ModuleType, tmp_path: Path) -> ResidualTD3BC:
    """A saved residual, loaded with plain environments."""
    task.make_model().save(tmp_path / "residual.zip")
    return ResidualTD3BC.load(tmp_path / "residual.zip", env=plain(), device="cpu")


def test_it_loads_predicts_evaluates_and_learns_on_plain_environments(model: ResidualTD3BC) -> None:
    venv = model.get_env()
    assert venv is not None
    residual, _ = model.predict(venv.reset(), deterministic=True)
    returns, lengths = evaluate_policy(model, venv, n_eval_episodes=2, return_episode_rewards=True)
    model.learn(40, log_interval=None)

    assert residual.shape == (2, 6)
    assert (returns, lengths) == ([0.0, 0.0], [15, 15])
    assert model.replay_buffer is not None
    assert model.replay_buffer.timeouts.sum() > 0


def test_the_controller_evaluates_on_plain_environments_as_the_model_on_its_own(model: ResidualTD3BC) -> None:
    controller = ResidualController(model.base_model, model.policy.actor.mu, model.spec, n_rows=2)
    venv, own = plain(reward="shaped"), plain(reward="shaped")
    venv.seed(3)
    own.seed(3)
    model.set_env(own)
    with_controller = evaluate_policy(controller, venv, n_eval_episodes=4, return_episode_rewards=True)

    assert with_controller == evaluate_policy(model, model.get_env(), n_eval_episodes=4, return_episode_rewards=True)


def test_predict_on_the_environments_observation_says_what_to_use(model: ResidualTD3BC) -> None:
    with pytest.raises(ObservationError, match=r"\(agent_pos, environment_state\).*ResidualController.*model\.get_env\(\)"):
        evaluate_policy(model, plain(), n_eval_episodes=1)


def test_normalised_actions_are_refused(model: ResidualTD3BC) -> None:
    with pytest.raises(ParamsError, match=r"corrects joint targets.*normalize_actions=False"):
        model.set_env(plain(normalize_actions=True))
    assert np.isfinite(model.spec.residual_scale).all()


PAGE = Path(__file__).parents[2] / "docs" / "gymnasium.md"
SMALLER = [
    ("seed=0)\nmodel.learn(total_timesteps=200_000)", "seed=0, n_steps=8, batch_size=8, n_epochs=1)\nmodel.learn(8)"),
    ("n_envs=2, seed=0", 'n_envs=2, seed=0, env_kwargs={"time_limit_s": 0.2}'),
    ("n_eval_episodes=20", "n_eval_episodes=2"),
]
"""What the page says -> what takes less time."""


def test_the_page_runs_as_it_stands_in_an_empty_folder(
    task: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "data" / "train_residual" / "residual.zip"
    saved.parent.mkdir(parents=True)
    task.make_model().save(saved)
    monkeypatch.chdir(tmp_path)
    program = "\n".join(re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL))
    for said, smaller in SMALLER:
        assert said in program
        program = program.replace(said, smaller)
    told: dict[str, object] = {}
    exec(program, told)

    assert told["success_rate"] == 0.0
