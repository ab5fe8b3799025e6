"""The environments of `gymnasium.make_vec`: the batched simulator with the episodes of the single one."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv

from soarm.envs.vector import SoArmVectorEnv
from soarm.errors import ObservationError, ParamsError

ENV_ID = "soarm.envs:SoArm/PickPlace-v0"
VARIED = {"physics": {"latency_s": [0.0, 0.05], "cube_mass_kg": [0.01, 0.03]}}


def make(n: int = 3, **options: Any) -> SoArmVectorEnv:
    envs = gymnasium.make_vec(ENV_ID, num_envs=n, vectorization_mode="vector_entry_point", **options)
    assert isinstance(envs, SoArmVectorEnv)
    return envs


def play(envs: VectorEnv[Any, Any, Any], seeds: Any, n_steps: int) -> list[Any]:
    """Return what environments say of random actions, over the ends of episodes."""
    envs.action_space.seed(0)
    return [envs.reset(seed=seeds), *(envs.step(envs.action_space.sample()) for _ in range(n_steps))]


def require_same(one: Any, other: Any) -> None:
    """Compare steps of two vector environments to the bit, and their infos where both have a value."""
    *values, info = one
    *expected, expected_info = other
    np.testing.assert_equal(values, expected)
    for key in [key for key in info if not key.startswith("_") and info[f"_{key}"].any()]:
        has = info[f"_{key}"]
        np.testing.assert_array_equal(info[key][has], expected_info[key][has])
        assert info[key].dtype == expected_info[key].dtype


@pytest.mark.parametrize(
    "options",
    [{"time_limit_s": 0.3}, {"reward": "shaped", "params": VARIED, "max_episode_steps": 8, "normalize_actions": True}],
    ids=["default", "other keyword arguments"],
)
@pytest.mark.parametrize("seeds", [11, [5, 900, 5]], ids=["one seed", "a seed each"])
def test_episodes_are_those_of_single_environments_to_the_bit(options: dict[str, Any], seeds: Any) -> None:
    ours = play(make(n_threads=2, **options), seeds, 24)
    single = gymnasium.make_vec(ENV_ID, num_envs=3, vectorization_mode="sync", **options)
    assert isinstance(single, SyncVectorEnv)
    theirs = play(single, seeds, 24)

    for one, other in zip(ours, theirs, strict=True):
        require_same(one, other)
    assert sum(step[3].sum() for step in ours[1:]) >= 6


def test_it_is_what_make_vec_makes_and_says_how_it_resets() -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=8, time_limit_s=2.0)
    assert envs.spec is not None
    again = gymnasium.make_vec(envs.spec)

    assert isinstance(envs, SoArmVectorEnv)
    assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert envs.observation_space["agent_pos"].shape == (8, 6)
    assert envs.spec.max_episode_steps == 60
    assert again.num_envs == 8
    assert again.spec is not None
    assert again.spec.max_episode_steps == 60
    envs.close()
    envs.close()


def test_without_a_seed_scenes_go_on_where_they_stand() -> None:
    envs = make()
    play(envs, 3, 0)
    first, _ = envs.reset()
    play(envs, 3, 0)
    second, _ = envs.reset()
    fresh, _ = make().reset()

    np.testing.assert_equal(first, second)
    assert not np.array_equal(first["environment_state"], fresh["environment_state"])


def test_what_was_returned_is_not_written_to_again() -> None:
    envs = make()
    first, _ = envs.reset(seed=0)
    kept = {key: value.copy() for key, value in first.items()}
    envs.step(envs.action_space.sample())

    np.testing.assert_equal(first, kept)


@pytest.mark.usefixtures("rays")
def test_pictures_are_those_of_single_environments() -> None:
    options = {"cameras": ("front",), "observation_width": 40, "observation_height": 36}
    envs, env = make(2, **options), gymnasium.make(ENV_ID, **options)
    seen = play(envs, 5, 1)[-1][0]["pixels"]
    envs.action_space.seed(0)
    env.reset(seed=6)

    assert seen.shape == (2, 36, 40, 3)
    assert np.array_equal(seen[1], env.step(envs.action_space.sample()[1])[0]["pixels"])


def test_misuse_is_refused() -> None:
    envs = make(2)
    with pytest.raises(ObservationError, match="before reset"):
        envs.step(np.zeros((2, 6), np.float32))
    envs.reset(seed=0)
    with pytest.raises(ObservationError, match=r"action has shape \(6,\); it must be \(2, 6\)"):
        envs.step(np.zeros(6, np.float32))
    with pytest.raises(ParamsError, match="3 seeds; it takes one per environment, 2"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ParamsError, match=r"render_mode is 'human'; allowed are \['rgb_array'\]"):
        make(2, render_mode="human")
    with pytest.raises(ParamsError, match=r"max_episode_steps is 900; an episode has 1 to 300 steps.*time_limit_s"):
        make(2, max_episode_steps=900)
