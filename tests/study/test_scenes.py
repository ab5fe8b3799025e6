from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from soarm.policy import Array, Observation, Rows
from soarm.study.method import MethodInput
from soarm.study.scenes import BudgetedEnv, Validator, collect, training_env


class Still:
    def reset(self, rows: Rows, seeds: Any) -> None:
        pass

    def act(self, observation: Observation, rows: Rows) -> Array:
        return np.zeros((len(rows), 6), np.float32)


@pytest.mark.parametrize("limit", [8, 50, 51, 200])
def test_collecting_counts_every_step_and_keeps_to_the_limit(parity_env: Any, limit: int) -> None:
    env = BudgetedEnv(parity_env, parity_env.max_steps)

    episodes = list(collect(env, Still(), itertools.count(), limit))

    assert env.used == parity_env.stepped == sum(len(episode) for episode in episodes)
    assert limit - parity_env.max_steps < env.used <= limit


def test_collecting_goes_on_where_it_stopped(parity_env: Any) -> None:
    env, seeds = BudgetedEnv(parity_env, parity_env.max_steps), itertools.count()

    first = list(collect(env, Still(), seeds, 60))
    second = list(collect(env, Still(), seeds, 120))

    assert [episode.seed for episode in [*first, *second]] == list(range(len(first) + len(second)))
    assert 112 < env.used <= 120


def test_nothing_is_collected_where_no_episode_is_sure_to_fit(parity_env: Any) -> None:
    env = BudgetedEnv(parity_env, parity_env.max_steps)

    assert list(collect(env, Still(), itertools.count(), parity_env.max_steps - 1)) == []
    assert env.used == 0


@pytest.mark.parametrize(("limit_s", "steps"), [(0.5, 15), (5.0, 30)])  # the task's own limit is a second
def test_training_episodes_end_at_the_shorter_time_limit(inputs: MethodInput, limit_s: float, steps: int) -> None:
    env = training_env(replace(inputs, params=replace(inputs.params, time_limit_s=limit_s)))

    episodes = list(collect(env, Still(), itertools.count(), 4 * steps))

    assert [len(episode) for episode in episodes] == [steps] * 4


def test_a_judge_runs_the_validation_scenes_and_logs(inputs: MethodInput) -> None:
    logged: list[tuple[int, dict[str, float]]] = []
    validator = Validator(replace(inputs, log=lambda step, metrics: logged.append((step, dict(metrics)))))

    validator.evaluate(0, lambda n_rows: Still())
    validator.evaluate(7, lambda n_rows: Still())

    assert [(point.step, point.solved) for point in validator.curve] == [(0, (False, False)), (7, (False, False))]
    assert logged == [(0, {"validation_success": 0.0}), (7, {"validation_success": 0.0})]
