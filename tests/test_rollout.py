"""The one loop, in an environment whose episodes can be worked out by hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pytest

from soarm.policy import Array, Observation, Rows
from soarm.rollout import Episode, StepResult, rollout
from soarm.tasks.pick_place import TASK
from soarm.tasks.pick_place.stages import Stage


class Counting:
    """Episode `seed` lasts `seed % 5 + 1` steps; its state is (seed, step). Odd seeds succeed, even ones time out."""

    control_hz = 30

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.task = n_rows, TASK
        self._seed, self._step = np.zeros(n_rows, int), np.zeros(n_rows, int)

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        self._seed[rows], self._step[rows] = list(seeds), 0
        return self._observe(rows)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        assert actions.shape == (len(rows), 6)
        self._step[rows] += 1
        over = self._step[rows] == self._seed[rows] % 5 + 1
        success = over & (self._seed[rows] % 2 == 1)
        info = {"is_success": success, "stage": np.where(success, Stage.PLACE, Stage.REACH)}
        return StepResult(self._observe(rows), self._step[rows] * 1.0, success, over & ~success, info)

    def _observe(self, rows: Rows) -> Observation:
        return {"x": np.stack([self._seed[rows], self._step[rows]], axis=1).astype(np.float32)}


class Following:
    """Acts out the observation it sees, and counts steps since its row was reset."""

    def __init__(self, n_rows: int) -> None:
        self._steps = np.zeros(n_rows, int)
        self.resets: list[tuple[int, int]] = []

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        self._steps[rows] = 0
        self.resets += list(zip(rows.tolist(), seeds, strict=True))

    def act(self, observation: Observation, rows: Rows) -> Array:
        action = np.zeros((len(rows), 6), np.float32)
        action[:, :2], action[:, 2] = observation["x"], self._steps[rows]
        self._steps[rows] += 1
        return action


class Seeing(Counting):
    """The same with a camera."""

    def _observe(self, rows: Rows) -> Observation:
        return {**super()._observe(rows), "observation.images.front": np.zeros((len(rows), 2, 2, 3), np.uint8)}


def run(n_rows: int, seeds: Iterable[int]) -> list[Episode]:
    return list(rollout(Counting(n_rows), Following(n_rows), seeds))


@pytest.mark.parametrize("n_rows", [1, 3, 20])
def test_one_episode_per_seed_in_the_order_of_the_seeds(n_rows: int) -> None:
    seeds = [4, 0, 3, 9, 1, 1, 7, 12]

    episodes = run(n_rows, seeds)

    assert [episode.seed for episode in episodes] == seeds
    assert [len(episode) for episode in episodes] == [seed % 5 + 1 for seed in seeds]


@pytest.mark.parametrize("n_rows", [2, 5])
def test_episodes_do_not_depend_on_the_number_of_rows(n_rows: int) -> None:
    seeds = range(12)

    for alone, among_others in zip(run(1, seeds), run(n_rows, seeds), strict=True):
        np.testing.assert_array_equal(alone.actions, among_others.actions)
        np.testing.assert_array_equal(alone.observations["x"], among_others.observations["x"])
        np.testing.assert_array_equal(alone.rewards, among_others.rewards)


def test_an_episode_holds_what_was_seen_before_each_action() -> None:
    (episode,) = run(1, [3])

    np.testing.assert_array_equal(episode.observations["x"], [[3, 0], [3, 1], [3, 2], [3, 3]])
    np.testing.assert_array_equal(episode.actions[:, 1], [0, 1, 2, 3])
    np.testing.assert_array_equal(episode.rewards, [1, 2, 3, 4])


def test_success_and_time_limit_are_told_apart() -> None:
    success, time_out = run(2, [3, 4])

    assert success.success
    assert success.terminated
    assert not time_out.success
    assert not time_out.terminated
    assert time_out.info["stage"][-1] == Stage.REACH


def test_a_policy_is_reset_with_the_seed_of_each_episode() -> None:
    policy = Following(2)

    episodes = list(rollout(Counting(2), policy, [0, 3, 7]))

    assert sorted(seed for _, seed in policy.resets) == [0, 3, 7]
    assert all(episode.actions[0, 2] == 0 for episode in episodes)


def test_endless_seeds_run_until_the_caller_stops_asking() -> None:
    episodes = list(itertools.islice(rollout(Counting(3), Following(3), itertools.count()), 7))

    assert [episode.seed for episode in episodes] == list(range(7))


def test_no_seeds_give_no_episodes() -> None:
    assert run(4, []) == []


def test_an_episode_is_free_of_the_arrays_it_was_taken_from() -> None:
    class Reusing(Counting):
        buffer = np.zeros((1, 2), np.float32)

        def _observe(self, rows: Rows) -> Observation:
            self.buffer[:] = super()._observe(rows)["x"]
            return {"x": self.buffer}

    (episode,) = rollout(Reusing(1), Following(1), [3])

    np.testing.assert_array_equal(episode.observations["x"], [[3, 0], [3, 1], [3, 2], [3, 3]])


@pytest.mark.parametrize("asked", [False, True])
def test_episodes_keep_pictures_only_where_they_are_asked_for(asked):
    (episode,) = rollout(Seeing(1), Following(1), [3], pictures=asked)

    assert ("observation.images.front" in episode.observations) is asked
    assert episode.observations["x"].shape == (4, 2)
