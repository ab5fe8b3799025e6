"""Environments in which methods train and are validated: the same scenes and the same counting of steps for all of them.

Knows simulator and rollouts; knows no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from soarm.policy import Array, BatchPolicy, Observation, Rows
from soarm.rollout import BatchEnv, EnvWrapper, Episode, StepResult, rollout
from soarm.sim.batch_env import BatchSim
from soarm.study.method import MethodInput, Point


class Validator:
    """Runs policies on the validation scenes and keeps the curve.

    Args:
        inputs: Of the method.
    """

    def __init__(self, inputs: MethodInput) -> None:
        validation = inputs.params.validation
        self._env = BatchSim(inputs.sim, validation.n_rows, inputs.params.n_threads)
        self._seeds = validation.seeds
        self._log = inputs.log
        self._points: list[Point] = []

    @property
    def curve(self) -> tuple[Point, ...]:
        """The points so far."""
        return tuple(self._points)

    def evaluate(self, step: int, policy: Callable[[int], BatchPolicy]) -> Point:
        """Run the greedy policy that `policy` makes for a number of rows, after `step` environment steps of learning."""
        episodes = rollout(self._env, policy(self._env.n_rows), self._seeds)
        point = Point(step, tuple(episode.success for episode in episodes))
        self._points.append(point)
        self._log(step, {"validation_success": point.success_rate})
        return point


class BudgetedEnv(EnvWrapper):
    """A `BatchEnv` that counts what is spent on it, so that a budget of environment steps can be kept to.

    Args:
        env: The environments.
        max_steps: Control steps after which an episode of theirs is truncated.
    """

    def __init__(self, env: BatchEnv, max_steps: int) -> None:
        super().__init__(env)
        self._max_steps = max_steps
        self._age = np.zeros(env.n_rows, np.int64)
        self._reserved = 0  # steps the running episodes may still take
        self.used = 0

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        """Start an episode in each of `rows`."""
        self._age[rows] = 0
        return super().reset(rows, seeds)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        """Execute one action per row and count them."""
        result = super().step(actions, rows)
        self._age[rows] += 1
        self.used += len(rows)
        self._reserved -= len(rows)
        ended = rows[result.terminated | result.truncated]
        self._reserved -= int((self._max_steps - self._age[ended]).sum())
        return result

    def seeds_within_budget(self, seeds: Iterator[int], limit: int) -> Iterator[int]:
        """Yield scenes as long as their episodes are sure to end before `limit` steps are used."""
        while self.used + self._reserved + self._max_steps <= limit:
            self._reserved += self._max_steps
            yield next(seeds)


def training_env(inputs: MethodInput) -> BudgetedEnv:
    """Return the environments a method trains in, with the time limit of the residual's training episodes."""
    task = inputs.sim.task
    limit_s = min(task.time_limit_s, inputs.params.time_limit_s)
    sim = replace(inputs.sim, task=replace(task, time_limit_s=limit_s))
    return BudgetedEnv(BatchSim(sim, inputs.params.n_envs, inputs.params.n_threads), sim.max_steps)


def collect(env: BudgetedEnv, policy: BatchPolicy, seeds: Iterator[int], limit: int) -> Iterator[Episode]:
    """Yield episodes until `env` has used `limit` steps, or so nearly that no further episode is sure to fit.

    Every episode that is started is finished, and all of them are counted, successful or not.
    """
    while True:
        before = env.used
        yield from rollout(env, policy, env.seeds_within_budget(seeds, limit))
        if env.used == before:  # episodes that ended early may have left room for more
            return
