"""Running a policy in environments: recording, evaluation and comparison are all this loop.

Knows the protocol of a batched environment; knows neither task, simulator nor network.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from soarm.lazy import stack
from soarm.policy import Array, BatchPolicy, Observation, Rows
from soarm.spec import IMAGES
from soarm.tasks.task import Task


class StepResult(NamedTuple):
    """What a control step of k rows gave.

    Attributes:
        observation: After the step, each array (k, ...).
        reward: Shape (k,).
        terminated: The task is done (held success), shape (k,) bool.
        truncated: The time limit passed, shape (k,) bool.
        info: Name -> shape (k,). Always: `is_success` bool, `stage` int (furthest of `Task.stages` so far), `shaped_return`
            (sum of the shaped reward so far, whatever `reward` is); `reward/<term>`, the reward terms by name; and what else
            the task's outcomes and columns are read from.
    """

    observation: Observation
    reward: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    info: Mapping[str, NDArray[np.generic]]


class BatchEnv(Protocol):
    """Independent episodes, one per row. What happens in a row depends on its seed and its actions only."""

    @property
    def task(self) -> Task:
        """The task of every episode."""

    @property
    def n_rows(self) -> int:
        """Number of rows."""

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        """Start an episode in each of `rows` and return their observations, each array (len(rows), ...)."""

    def step(self, actions: Array, rows: Rows) -> StepResult:
        """Execute one action per row, shape (len(rows), 6), and return the result for those rows, in that order."""


class EnvWrapper:
    """Environments of which a subclass changes what is observed (`_told`) or the steps; the rest is theirs.

    Args:
        env: The environments.
    """

    def __init__(self, env: BatchEnv) -> None:
        self._env = env

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
        """See `BatchEnv`."""
        return self._told(self._env.reset(rows, seeds), rows)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        """See `BatchEnv`."""
        result = self._env.step(actions, rows)
        return result._replace(observation=self._told(result.observation, rows))

    def _told(self, observation: Observation, rows: Rows) -> Observation:
        """Return what policies are told of an observation of `rows`."""
        return observation


@dataclasses.dataclass(frozen=True)
class Episode:
    """One finished episode of T control steps.

    Attributes:
        seed: What the scene was drawn from.
        observations: Key -> (T, ...): what the policy saw *before* each action; what it did not look at may be lazy.
        actions: Shape (T, 6), what was executed.
        rewards: Shape (T,).
        info: Name -> (T,), after each action; see `StepResult.info`.
        terminated: Ended by success; otherwise the time limit passed.
    """

    seed: int
    observations: dict[str, Array]
    actions: Array
    rewards: NDArray[np.float64]
    info: dict[str, NDArray[np.generic]]
    terminated: bool

    @property
    def success(self) -> bool:
        """Whether the task was done when the episode ended."""
        return bool(self.info["is_success"][-1])

    def __len__(self) -> int:
        return len(self.actions)


def rollout(env: BatchEnv, policy: BatchPolicy, seeds: Iterable[int], *, pictures: bool = False) -> Iterator[Episode]:
    """Run one episode per seed and yield them in the order of the seeds.

    Rows that finish take the next seed at once; an endless iterable of seeds runs until the caller stops asking.

    Args:
        env: Where they run.
        policy: What acts; it sees pictures in any case.
        seeds: Of the scenes.
        pictures: Whether episodes keep what their cameras saw: an episode of two cameras is megabytes.
    """
    source = iter(seeds)
    buffers: dict[int, _EpisodeBuffer] = {}
    finished: dict[int, Episode] = {}
    started = yielded = 0
    free = list(range(env.n_rows))
    current: dict[int, dict[str, Array]] = {}  # row -> its observation
    while True:
        fresh = []
        while free and (seed := next(source, None)) is not None:
            row = free.pop(0)
            buffers[row] = _EpisodeBuffer(started, seed, pictures)
            fresh.append(row)
            started += 1
        if fresh:
            rows = np.array(fresh, dtype=np.intp)
            fresh_seeds = [buffers[row].seed for row in fresh]
            observation = env.reset(rows, fresh_seeds)
            policy.reset(rows, fresh_seeds)
            for i, row in enumerate(fresh):
                current[row] = {key: value[i] for key, value in observation.items()}
        if not buffers:
            return
        active = np.array(sorted(buffers), dtype=np.intp)
        seen = {key: stack([current[row][key] for row in active]) for key in current[int(active[0])]}
        actions = policy.act(seen, active)
        result = env.step(actions, active)
        for i, row in enumerate(int(r) for r in active):
            buffers[row].add(seen, actions, result, i)
            current[row] = {key: value[i] for key, value in result.observation.items()}
            if result.terminated[i] or result.truncated[i]:
                buffer = buffers.pop(row)
                finished[buffer.order] = buffer.episode(bool(result.terminated[i]))
                free.append(row)
        free.sort()
        while yielded in finished:
            yield finished.pop(yielded)
            yielded += 1


class _EpisodeBuffer:
    """The steps of one running episode."""

    def __init__(self, order: int, seed: int, pictures: bool) -> None:
        self.order, self.seed, self._pictures = order, seed, pictures
        self._steps: list[tuple[dict[str, Array], Array, float, dict[str, np.generic]]] = []

    def add(self, seen: Observation, actions: Array, result: StepResult, i: int) -> None:
        info = {key: value[i] for key, value in result.info.items()}
        kept = {key: value[i] for key, value in seen.items() if self._pictures or not key.startswith(IMAGES)}
        self._steps.append((kept, actions[i], float(result.reward[i]), info))

    def episode(self, terminated: bool) -> Episode:
        seen, actions, rewards, infos = zip(*self._steps, strict=True)
        return Episode(
            seed=self.seed,
            observations={key: stack([one[key] for one in seen]) for key in seen[0]},
            actions=np.stack(actions),
            rewards=np.array(rewards),
            info={key: np.stack([one[key] for one in infos]) for key in infos[0]},
            terminated=terminated,
        )
