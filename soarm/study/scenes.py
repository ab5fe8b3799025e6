"""Where methods train and where they are judged: the same environments, scenes and counting of steps for all of them.

Knows simulator and rollouts; knows no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import numpy as np

from soarm.policy import Array, BatchPolicy, Observation, Rows
from soarm.rollout import BatchEnv, Episode, StepResult, rollout
from soarm.sim.batch_env import BatchSim
from soarm.study.method import Point, Setting
from soarm.tasks.task import Task


class Judge:
    """Runs policies on the validation scenes of a setting and keeps the curve.

    Args:
        setting: What the method works with.
    """

    def __init__(self, setting: Setting) -> None:
        validation = setting.params.validation
        self._env = BatchSim(setting.sim, validation.n_rows, setting.params.n_threads)
        self._seeds = validation.seeds
        self._log = setting.log
        self._points: list[Point] = []

    @property
    def curve(self) -> tuple[Point, ...]:
        """The points so far."""
        return tuple(self._points)

    def look(self, step: int, policy: Callable[[int], BatchPolicy]) -> Point:
        """Run the greedy policy that `policy` makes for a number of rows, after `step` environment steps of learning."""
        episodes = rollout(self._env, policy(self._env.n_rows), self._seeds)
        point = Point(step, tuple(episode.success for episode in episodes))
        self._points.append(point)
        self._log(step, {"validation_success": point.success_rate})
        return point


class Metered:
    """A `BatchEnv` that counts what is spent on it, so that a budget of environment steps can be kept to.

    Args:
        env: The environments.
        max_steps: Control steps after which an episode of theirs is truncated.
    """

    def __init__(self, env: BatchEnv, max_steps: int) -> None:
        self._env, self._max_steps = env, max_steps
        self._age = np.zeros(env.n_rows, np.int64)
        self._promised = 0  # steps the running episodes may still take
        self.used = 0

    @property
    def task(self) -> Task:
        """The task of every episode."""
        return self._env.task

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self._env.n_rows

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""
        return self._env.control_hz

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        """Start an episode in each of `rows`."""
        self._age[rows] = 0
        return self._env.reset(rows, seeds)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        """Execute one action per row and count them."""
        result = self._env.step(actions, rows)
        self._age[rows] += 1
        self.used += len(rows)
        self._promised -= len(rows)
        ended = rows[result.terminated | result.truncated]
        self._promised -= int((self._max_steps - self._age[ended]).sum())
        return result

    def affordable(self, seeds: Iterator[int], limit: int) -> Iterator[int]:
        """Yield scenes as long as their episodes are sure to end before `limit` steps are used."""
        while self.used + self._promised + self._max_steps <= limit:
            self._promised += self._max_steps
            yield next(seeds)


def training_env(setting: Setting) -> Metered:
    """Return the environments a method trains in, with the time limit of the residual's training episodes."""
    task = setting.sim.task
    limit_s = min(task.time_limit_s, setting.params.time_limit_s)
    sim = replace(setting.sim, task=replace(task, time_limit_s=limit_s))
    return Metered(BatchSim(sim, setting.params.n_envs, setting.params.n_threads), sim.max_steps)


def collect(env: Metered, policy: BatchPolicy, seeds: Iterator[int], limit: int) -> Iterator[Episode]:
    """Yield episodes until `env` has used `limit` steps, or so nearly that no further episode is sure to fit.

    Every episode that is started is finished, and all of them are counted, successful or not.
    """
    while True:
        before = env.used
        yield from rollout(env, policy, env.affordable(seeds, limit))
        if env.used == before:  # episodes that ended early may have left room for more
            return
