"""Learning while the simulator steps: updates in the main thread, physics and the base's queries in a second one.

MuJoCo's batch and torch's operations let go of Python's lock, so the two really run at the same time. Timing decides nothing:

- While step t runs, updates draw from the replay buffer as it was before step t, and step t is stored after they are done. So
  the newest transitions are one step of all environments late, which is nothing in a buffer of thousands of them.
- The second thread draws from no shared random stream (scenes come from their seeds) and writes nothing that an update reads.
  torch's stream (target noise) and NumPy's (replay indices) are drawn from in the main thread alone.
- No step is pending at the start of a rollout, where logs, validation and checkpoints are made.
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


class BusyVecEnv(VecEnvWrapper):
    """Environments during whose steps something else is done.

    Args:
        venv: The environments.
        meanwhile: Called once per step, in the thread that steps.
        executor: Takes the step itself; None steps in turn, after `meanwhile`, with the same result.
    """

    def __init__(self, venv: VecEnv, meanwhile: Callable[[], None], executor: Executor | None) -> None:
        super().__init__(venv)
        self._meanwhile, self._executor = meanwhile, executor
        self._actions: Array | None = None
        self._pending: Future[VecEnvStepReturn] | None = None

    def reset(self) -> VecEnvObs:
        """Start an episode in every row."""
        return self.venv.reset()

    def step_async(self, actions: Array) -> None:
        """Begin a step."""
        self._actions = actions
        self._pending = None if self._executor is None else self._executor.submit(self.venv.step, actions)

    def step_wait(self) -> VecEnvStepReturn:
        """Do the other thing and return the step; what the step raises is raised here, as it is."""
        assert self._actions is not None, "step_async comes first"
        self._meanwhile()
        return self.venv.step(self._actions) if self._pending is None else self._pending.result()


class LearnsWhileStepping(OffPolicyAlgorithm):
    """Mixin for an off-policy algorithm: calls `train` during each step of the environments instead of after it.

    Stable-Baselines3's own `gradient_steps` must be 0, or it would train a second time.
    """

    overlap: bool
    """Whether updates and steps run at the same time. If not they take turns, in the same order, with the same result."""
    updates_per_rollout: int
    """Updates for each `train_freq` steps of all environments, spread over them evenly."""
    _busy_env: BusyVecEnv | None = None

    def learn(self, *args: Any, **kwargs: Any) -> Self:
        """As Stable-Baselines3's; the second thread lives as long as the call."""
        assert self.env is not None
        assert self.gradient_steps == 0, "updates are made during the steps, not after them"
        with _one_worker() if self.overlap else nullcontext() as executor:
            self._busy_env = BusyVecEnv(self.env, self._learn_meanwhile, executor)
            try:
                return super().learn(*args, **kwargs)
            finally:
                self._busy_env = None

    def collect_rollouts(self, env: VecEnv, *args: Any, **kwargs: Any) -> RolloutReturn:
        """As Stable-Baselines3's, with the updates in it."""
        assert self._busy_env is not None
        return super().collect_rollouts(self._busy_env, *args, **kwargs)

    def _learn_meanwhile(self) -> None:
        assert self.replay_buffer is not None
        if self.num_timesteps < self.learning_starts or not self.replay_buffer.size():  # a loaded model brings no buffer
            return
        step, every = self.num_timesteps // self.n_envs, self.train_freq.frequency  # type: ignore[union-attr]
        due = (step + 1) * self.updates_per_rollout // every - step * self.updates_per_rollout // every
        if due:
            self.train(gradient_steps=due, batch_size=self.batch_size)

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "_busy_env"]


def _one_worker() -> ThreadPoolExecutor:
    # In a new thread MKL takes all cores for its first product, whatever torch was told elsewhere (measured, torch 2.13).
    return ThreadPoolExecutor(1, "simulation", torch.set_num_threads, (torch.get_num_threads(),))
