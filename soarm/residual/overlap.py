"""Learning while the simulator steps: updates in one thread; physics, the base's queries and the next batches in another.

MuJoCo's batch and torch's operations let go of Python's lock, so the two really run at the same time. Timing decides nothing:

- While step t runs, updates are made on batches drawn during step t - 1, and the second thread draws those for step t + 1.
  It draws from the replay buffer as it was before step t, and asks networks that stand still meanwhile: targets follow
  between two steps. So the newest transitions come two steps of all environments late, which is nothing in a large buffer.
- Random numbers are drawn in one order. NumPy's (replay indices) and torch's (target noise) global streams belong to the
  second thread while a step runs and to the main thread between two steps. Scenes come from their seeds.
- No step is pending at the start of a rollout, where logs, validation and checkpoints are made; batches may be, and are
  part of a checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Self

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import RolloutReturn
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from soarm.policy import Array
from soarm.residual.updates import Lesson


class BusyVecEnv(VecEnvWrapper):
    """Environments during whose steps other things are done.

    Args:
        venv: The environments.
        before: Called before a step, while none is pending.
        meanwhile: Called once per step, in the thread that steps.
        beside: Called once per step, with the step itself in the executor.
        executor: Takes the step; None steps in turn, after `meanwhile`, with the same result.
    """

    def __init__(
        self,
        venv: VecEnv,
        before: Callable[[], None],
        meanwhile: Callable[[], None],
        beside: Callable[[], None],
        executor: Executor | None,
    ) -> None:
        super().__init__(venv)
        self._before, self._meanwhile, self._beside, self._executor = before, meanwhile, beside, executor
        self._actions: Array | None = None
        self._pending: Future[VecEnvStepReturn] | None = None

    @property
    def idle(self) -> Executor | None:
        """The executor, unless a step is under way in it."""
        return self._executor if self._pending is None or self._pending.done() else None

    def reset(self) -> VecEnvObs:
        """Start an episode in every row."""
        return self.venv.reset()

    def step_async(self, actions: Array) -> None:
        """Begin a step."""
        self._actions = actions
        self._before()
        self._pending = None if self._executor is None else self._executor.submit(self._step)

    def step_wait(self) -> VecEnvStepReturn:
        """Do the other thing and return the step; what the step raises is raised here, as it is."""
        self._meanwhile()
        return self._step() if self._pending is None else self._pending.result()

    def _step(self) -> VecEnvStepReturn:
        assert self._actions is not None, "step_async comes first"
        result = self.venv.step(self._actions)
        self._beside()
        return result


class LearnsWhileStepping(OffPolicyAlgorithm):
    """Mixin for an off-policy algorithm that learns during each step of the environments instead of after it.

    Stable-Baselines3's own `gradient_steps` must be 0, or it would train a second time.
    """

    overlap: bool
    """Whether updates and steps run at the same time. If not they take turns, in the same order, with the same result."""
    updates_per_rollout: int
    """Updates for each `train_freq` steps of all environments, spread over them evenly."""
    next_lessons: list[Lesson] | None = None
    """Prepared for the next step; None before the first of them."""
    _lessons: list[Lesson] | None = None
    _n_updates_then: int = 0
    """Updates that will have been made when this step's are; the second thread must not read a number that moves."""
    _busy_env: BusyVecEnv | None = None

    def settle(self) -> None:
        """Do what must be done between two steps, before updates are made: the target networks follow."""
        raise NotImplementedError

    def prepare(self, n: int, first: int) -> list[Lesson]:
        """Return so many batches, drawn and prepared with networks that only `settle` changes.

        Args:
            n: How many.
            first: Updates that will have been made before the first of them.
        """
        raise NotImplementedError

    def practise(self, lessons: list[Lesson]) -> None:
        """Make one update with each of the batches."""
        raise NotImplementedError

    @property
    def helper(self) -> Executor | None:
        """The second thread, where there is one and it has nothing to do: its step is over, or has not begun."""
        return None if self._busy_env is None else self._busy_env.idle

    def train(self, gradient_steps: int, batch_size: int = 0) -> None:
        """Never called by Stable-Baselines3, whose `gradient_steps` is 0; updates are made during the steps."""
        raise AssertionError("updates are made during the steps, not after them")

    def learn(self, *args: Any, **kwargs: Any) -> Self:
        """As Stable-Baselines3's; the second thread lives as long as the call."""
        assert self.env is not None
        assert self.gradient_steps == 0, "updates are made during the steps, not after them"
        with _one_worker() if self.overlap else nullcontext() as executor:
            self._busy_env = BusyVecEnv(self.env, self._before_step, self._learn_meanwhile, self._prepare_next, executor)
            try:
                return super().learn(*args, **kwargs)
            finally:
                self._busy_env = None

    def collect_rollouts(self, env: VecEnv, *args: Any, **kwargs: Any) -> RolloutReturn:
        """As Stable-Baselines3's, with the updates in it."""
        assert self._busy_env is not None
        return super().collect_rollouts(self._busy_env, *args, **kwargs)

    def _due(self, step: int) -> int:
        """Return the updates due during a step of all environments, counted from 0."""
        every: int = self.train_freq.frequency  # type: ignore[union-attr]
        return (step + 1) * self.updates_per_rollout // every - step * self.updates_per_rollout // every

    def _before_step(self) -> None:
        assert self.replay_buffer is not None
        if self.num_timesteps < self.learning_starts or not self.replay_buffer.size():  # a loaded model brings no buffer
            self._lessons = self.next_lessons = None
            return
        self.settle()
        if self.next_lessons is None:
            self.next_lessons = self.prepare(self._due(self.num_timesteps // self.n_envs), self._n_updates)
        self._lessons = self.next_lessons
        self._n_updates_then = self._n_updates + len(self._lessons)

    def _learn_meanwhile(self) -> None:
        if self._lessons is not None:
            self.practise(self._lessons)

    def _prepare_next(self) -> None:
        if self._lessons is not None:
            self.next_lessons = self.prepare(self._due(self.num_timesteps // self.n_envs + 1), self._n_updates_then)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_busy_env", "_lessons", "next_lessons"]


def _one_worker() -> ThreadPoolExecutor:
    # In a new thread MKL takes all cores for its first product, whatever torch was told elsewhere (measured, torch 2.13).
    return ThreadPoolExecutor(1, "simulation", torch.set_num_threads, (torch.get_num_threads(),))
