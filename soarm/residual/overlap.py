"""The schedule of learning: updates in one thread while the simulator steps in another.

MuJoCo's batch and torch's operations release Python's lock, so the two really run at the same time. Timing decides nothing:

- While step t runs, updates are made on batches drawn during step t - 1, and the second thread draws those for step t + 1 and
  computes their targets. It draws from the replay buffer as it was before step t, and the target networks change between two
  steps only. So the newest transitions come two steps of all environments late, which is nothing in a large buffer.
- Random numbers are drawn in one order. NumPy's (replay indices) and torch's (target noise) global streams belong to the
  second thread while a step runs and to the main thread between two steps. Scenes come from their seeds.
- No step is pending at the start of a rollout, where logs, validation and checkpoints are made; batches may be, and are
  part of a checkpoint.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any, Self

import torch
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.type_aliases import RolloutReturn
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from soarm.policy import Array
from soarm.residual.batches import PreparedBatch

Step = Callable[[], VecEnvStepReturn]


class _OverlappedVecEnv(VecEnvWrapper):
    """Environments whose steps are made by a function that learns at the same time."""

    def __init__(self, venv: VecEnv, run: Callable[[Step], VecEnvStepReturn]) -> None:
        super().__init__(venv)
        self._run = run
        self._actions: Array | None = None

    def reset(self) -> VecEnvObs:
        return self.venv.reset()

    def step_async(self, actions: Array) -> None:
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        actions = self._actions
        assert actions is not None, "step_async comes first"
        return self._run(lambda: self.venv.step(actions))


@dataclasses.dataclass
class Update:
    """The updates of one step of the environments: their batches, and what is left of `LearnsWhileStepping.train`."""

    batches: Sequence[PreparedBatch]
    parts: Iterator[None]


class LearnsWhileStepping(OffPolicyAlgorithm):
    """Mixin for an off-policy algorithm that learns during each step of the environments instead of after it.

    Stable-Baselines3's own `gradient_steps` must be 0, or it would train a second time.
    """

    overlap: bool
    """Whether updates and steps run at the same time. If not they take turns, in the same order, with the same result."""
    updates_per_rollout: int
    """Updates for each `train_freq` steps of all environments, spread over them evenly."""
    next_update: Update | None = None
    """Updates of the next step, whose batches have their targets; None before the first step that learns."""
    _update: Update | None = None  # of the step that runs or ran last; the target networks have not moved after it
    _executor: Executor | None = None
    _pending: Future[VecEnvStepReturn] | None = None

    def warm_up(self) -> None:
        """Prepare the first update, once the prefill is over."""
        raise NotImplementedError

    def sample(self, n: int) -> list[PreparedBatch]:
        """Return `n` batches."""
        raise NotImplementedError

    def train(self, batches: Sequence[PreparedBatch], first: int) -> Iterator[None]:  # type: ignore[override]
        """Make one update per batch, in three parts; each ends where the iterator stops.

        The first part computes targets, in any thread; the second moves actor and critics, in the main thread; the third moves
        the target networks, while no step runs.

        Args:
            batches: What to learn from.
            first: Updates made before the first of these; others may be under way while the first part runs.
        """
        raise NotImplementedError

    def sync_targets(self) -> None:
        """Move the target networks after the updates of the last step, once."""
        if self._update is not None:
            for _ in self._update.parts:
                pass
            self._update = None

    def schedule(self, batches: Sequence[PreparedBatch], first: int) -> None:
        """Schedule updates with `batches` for the next step and compute the targets they lack."""
        self.next_update = Update(batches, self.train(batches, first))
        next(self.next_update.parts)

    def idle_thread(self) -> Executor | None:
        """Return the second thread while no step runs in it; None while one does, or without `overlap`."""
        return self._executor if self._pending is None or self._pending.done() else None

    def learn(self, *args: Any, **kwargs: Any) -> Self:
        """As Stable-Baselines3's; the second thread lives as long as the call."""
        assert self.gradient_steps == 0, "updates are made during the steps, not after them"
        with _one_worker() if self.overlap else nullcontext() as self._executor:
            try:
                return super().learn(*args, **kwargs)
            finally:
                self._executor = self._pending = None

    def collect_rollouts(self, env: VecEnv, *args: Any, **kwargs: Any) -> RolloutReturn:
        """As Stable-Baselines3's, with the updates in it."""
        return super().collect_rollouts(_OverlappedVecEnv(env, self._step_and_learn), *args, **kwargs)

    def _step_and_learn(self, step: Step) -> VecEnvStepReturn:
        """Return a step of the environments; make the updates due meanwhile, and prepare those of the next step after it."""
        update = self._begin_update()
        n_updates = 0 if update is None else self._n_updates + len(update.batches)  # once these are made

        def step_and_prepare() -> VecEnvStepReturn:
            result = step()
            if update is not None:
                self.schedule(self.sample(self._due(self.num_timesteps // self.n_envs + 1)), n_updates)
            return result

        self._pending = None if self._executor is None else self._executor.submit(step_and_prepare)
        if update is not None:
            next(update.parts)
        return step_and_prepare() if self._pending is None else self._pending.result()

    def _begin_update(self) -> Update | None:
        """Return the updates to make during this step, None while there are none."""
        assert self.replay_buffer is not None
        if self.num_timesteps < self.learning_starts or not self.replay_buffer.size():  # a loaded model brings no buffer
            self.next_update = None
            return None
        self.sync_targets()
        if self._n_updates == 0:
            self.warm_up()
        if self.next_update is None:
            self.schedule(self.sample(self._due(self.num_timesteps // self.n_envs)), self._n_updates)
        self._update, self.next_update = self.next_update, None
        return self._update

    def _due(self, step: int) -> int:
        """Return the updates due during a step of all environments, counted from 0."""
        every: int = self.train_freq.frequency  # type: ignore[union-attr]
        return (step + 1) * self.updates_per_rollout // every - step * self.updates_per_rollout // every

    def _excluded_save_params(self) -> list[str]:
        return [*super()._excluded_save_params(), "next_update", "_update", "_executor", "_pending"]


def _one_worker() -> ThreadPoolExecutor:
    # In a new thread MKL takes all cores for its first product, whatever torch was told elsewhere (measured, torch 2.13).
    return ThreadPoolExecutor(1, "simulation", torch.set_num_threads, (torch.get_num_threads(),))
