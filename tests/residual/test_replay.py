from __future__ import annotations

import numpy as np
import pytest
from gymnasium import spaces
from stable_baselines3.common.buffers import NStepReplayBuffer

from soarm.residual.replay import EpisodeReplayBuffer

GAMMA = 0.5


def make(size: int = 16, n_envs: int = 2, kind: type[NStepReplayBuffer] = EpisodeReplayBuffer) -> NStepReplayBuffer:
    seen, acted = spaces.Box(-np.inf, np.inf, (1,), np.float32), spaces.Box(-1, 1, (1,), np.float32)
    return kind(size * n_envs, seen, acted, device="cpu", n_envs=n_envs, n_steps=3, gamma=GAMMA)


def play(buffer: NStepReplayBuffer, rewards: list[list[float]], dones: list[list[bool]], cut: bool = False) -> None:
    """Add steps, whose observation is their number."""
    rows = buffer.n_envs
    for reward, done in zip(rewards, dones, strict=True):
        seen = np.full((rows, 1), float(buffer.pos), np.float32)
        infos = [{"TimeLimit.truncated": cut and ended} for ended in done]
        buffer.add(seen, seen + 1, np.zeros((rows, 1)), np.array(reward), np.array(done), infos)


def test_returns_are_known_when_the_episode_ends() -> None:
    buffer = make()
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0, 0], [0, 1], [1, 0]], [[False, False], [False, True], [True, False]])

    np.testing.assert_array_equal(buffer.returns[:3, 0], [0.25, 0.5, 1.0])
    np.testing.assert_array_equal(buffer.returns[:3, 1], [0.5, 1.0, np.nan])
    np.testing.assert_array_equal(buffer.first[:3], [[True, True], [False, False], [False, True]])


def test_recent_starts_are_those_of_the_last_episodes_that_ended() -> None:
    buffer = make(size=5, n_envs=2)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(
        buffer,
        [[1, 0], [0, 1], [1, 0], [0.5, 0], [0.25, 0]],
        [[True, False], [False, True], [True, False], [True, False], [True, False]],
    )
    play(buffer, [[0, 0]], [[False, False]])  # over the oldest step

    assert buffer.recent_starts(10).returns.ravel().tolist() == [0.5, 0.5, 0.25]
    assert buffer.recent_starts(2).returns.ravel().tolist() == [0.5, 0.25]
    assert len(make().recent_starts(3).returns) == 0  # type: ignore[attr-defined]


def test_return_of_a_cut_episode_is_what_was_seen_of_it() -> None:
    buffer = make(n_envs=1)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0.5], [0.0]], [[False], [True]], cut=True)

    np.testing.assert_array_equal(buffer.returns[:2, 0], [0.5, 0.0])
    assert buffer.timeouts[1, 0] == 1


def test_episode_around_the_end_of_the_buffer_is_credited_whole() -> None:
    buffer = make(size=4, n_envs=1)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0]] * 3 + [[0], [0], [1]], [[False], [False], [True], [False], [False], [True]])

    np.testing.assert_array_equal(buffer.returns[:, 0], [0.5, 1.0, 0.0, 0.25])


def test_episode_longer_than_the_buffer_is_credited_as_far_as_it_goes() -> None:
    buffer = make(size=3, n_envs=1)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0]] * 4 + [[1]], [[False]] * 4 + [[True]])

    np.testing.assert_array_equal(buffer.returns[:, 0], [0.5, 1.0, 0.25])


def test_returns_stay_unknown_where_the_environments_were_reset() -> None:
    buffer = make(n_envs=1)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0]] * 2, [[False]] * 2)
    buffer.forget_running()
    play(buffer, [[1]], [[True]])

    np.testing.assert_array_equal(buffer.returns[:3, 0], [np.nan, np.nan, 1.0])
    assert buffer.first[2, 0]


def test_returns_over_several_steps_end_where_the_environments_were_reset() -> None:
    buffer = make(n_envs=1)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0]] * 2, [[False]] * 2)
    buffer.forget_running()
    play(buffer, [[1]], [[True]])
    samples = buffer._get_samples(np.arange(3))

    assert samples.rewards.ravel().tolist() == [0.0, 0.0, 1.0]  # the reward is the next episode's
    assert samples.discounts.ravel().tolist() == [GAMMA**2, GAMMA, GAMMA]
    assert samples.next_observations.ravel().tolist() == [2.0, 2.0, 3.0]
    assert samples.dones.ravel().tolist() == [0.0, 0.0, 1.0]  # cut, not ended: the value goes on


def test_only_rows_with_a_running_episode_are_cut_at_their_last_step() -> None:
    buffer = make(n_envs=3)
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0, 0, 0]] * 2, [[False, False, True], [False, True, False]])
    buffer.forget_running()

    np.testing.assert_array_equal(buffer.dones[:2], [[0, 0, 1], [1, 1, 1]])
    np.testing.assert_array_equal(buffer.timeouts[:2], [[0, 0, 0], [1, 0, 1]])
    np.testing.assert_array_equal(buffer.ages, [0, 0, 0])


def test_recent_steps_leave_out_the_time_in_which_an_episode_runs() -> None:
    buffer = make()
    assert isinstance(buffer, EpisodeReplayBuffer)
    play(buffer, [[0, 0]] * 6, [[False, False], [False, True], [True, False], [False, False], [False, True], [False, False]])

    # Row 0 runs since step 3, so nothing from there on counts, though row 1 has ended at step 4.
    assert sorted(buffer.recent(10, 2).observations.ravel().tolist()) == [1, 1, 2, 2]
    assert len(buffer.recent(4, 100).returns) == 4


@pytest.mark.parametrize("full", [False, True])
def test_its_own_samples_are_those_of_stable_baselines_to_the_bit(full: bool) -> None:
    samples = []
    for kind in (EpisodeReplayBuffer, NStepReplayBuffer):
        buffer = make(kind=kind)
        rng = np.random.default_rng(0)
        for _ in range(40 if full else 12):
            play(buffer, [rng.random(2).tolist()], [(rng.random(2) < 0.3).tolist()])
        np.random.seed(1)  # noqa: NPY002
        samples.append(buffer.sample(32))

    for mine, theirs in zip(*samples, strict=True):
        np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
