"""The replay buffer, which also stores the discounted return of every step once its episode has ended.

The critics' values are compared with these returns (`soarm.residual.diagnostics`).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.buffers import NStepReplayBuffer
from torch import Tensor

from soarm.policy import Array


class Steps(NamedTuple):
    """Single steps and their returns.

    Attributes:
        observations: Residual observations, shape (B, D).
        residuals: What was executed on top of the base, shape (B, 6).
        returns: Discounted return to the end of the episode, shape (B, 1); NaN while it is unknown.
    """

    observations: Tensor
    residuals: Tensor
    returns: Tensor


class EpisodeReplayBuffer(NStepReplayBuffer):
    """Stable-Baselines3's n-step buffer with returns; its own samples stay the same, to the bit.

    The return of an episode that the time limit cuts counts what was seen of it, as if nothing followed: 99 % of the episodes
    that the arm can solve end well before the limit, and what might follow is discounted. Temporal differences, which carry
    the value of a state for all time, bootstrap through the limit instead.

    Args:
        *args: Of `NStepReplayBuffer`.
        **kwargs: Of `NStepReplayBuffer`.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.returns = np.full((self.buffer_size, self.n_envs), np.nan, np.float32)
        self.first = np.zeros((self.buffer_size, self.n_envs), np.bool_)
        self.ages = np.zeros(self.n_envs, np.int64)

    def add(
        self,
        obs: NDArray[Any],
        next_obs: NDArray[Any],
        action: NDArray[Any],
        reward: NDArray[Any],
        done: NDArray[Any],
        infos: list[dict[str, Any]],
    ) -> None:
        """Remember a step of every row; where an episode ends, note the returns of all its steps."""
        at = self.pos
        self.returns[at], self.first[at] = np.nan, self.ages == 0
        super().add(obs, next_obs, action, reward, done, infos)
        self.ages += 1
        for row in np.flatnonzero(done):
            self._note_returns(row, at)

    def _note_returns(self, row: np.intp, last: int) -> None:
        length = min(int(self.ages[row]), self.buffer_size)
        value = 0.0
        for at in ((last - back) % self.buffer_size for back in range(length)):
            value = float(self.rewards[at, row]) + self.gamma * value
            self.returns[at, row] = value
        self.ages[row] = 0

    def forget_running(self) -> None:
        """Let the running episodes end as if at their time limit, their returns unknown for good: the environments were reset.

        Without it, n-step returns would go on into the episodes that follow.
        """
        running = self.ages > 0
        self.dones[self.pos - 1, running] = self.timeouts[self.pos - 1, running] = 1.0
        self.ages[:] = 0

    def recent(self, n: int, span: int) -> Steps:
        """Return `n` steps or fewer, evenly spread over the last `span` steps of all rows in which every episode has ended.

        Running episodes are no older than the oldest of them; looking further back leaves out the short ones that ended
        since, which are the solved ones, and so does not flatter what was given.
        """
        newest = self.size() - int(self.ages.max())
        back = np.arange(max(newest - span, 0), max(newest, 0))
        flat = self._in_order(back)
        flat = flat[~np.isnan(self.returns.ravel()[flat])]
        return self._steps(flat[np.linspace(0, len(flat) - 1, min(n, len(flat))).astype(np.int64)])

    def recent_starts(self, n: int) -> Steps:
        """Return the first steps of the last `n` episodes, or fewer, whose return is known; by when they started."""
        flat = self._in_order(np.arange(self.size()))
        known = flat[self.first.ravel()[flat] & ~np.isnan(self.returns.ravel()[flat])]
        return self._steps(known[-n:])

    def _in_order(self, ages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the flat indices of all rows' steps, the oldest being number 0."""
        order = (self.pos + ages) % self.size() if self.full else ages
        flat: NDArray[np.int64] = (order[:, None] * self.n_envs + np.arange(self.n_envs)).ravel()
        return flat

    def _steps(self, flat: NDArray[np.intp] | NDArray[np.int64]) -> Steps:
        at, row = np.divmod(flat, self.n_envs)
        parts: tuple[Array, ...] = (self.observations[at, row], self.actions[at, row], self.returns[at, row][:, None])
        return Steps(*(torch.as_tensor(part, device=self.device) for part in parts))
