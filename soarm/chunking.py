"""The one chunk player: it turns chunks of actions into one action per control step.

Demonstration labelling, RL and evaluation play chunks through `ChunkPlayer`, so none of them can disagree on when a policy is
asked again. The robot's chunks come late and are asked between control steps: `soarm.runtime.schedule` keeps their times and
takes weights, phase and look-ahead from here. Two ways of playing, as in LeRobot: open loop (`n_action_steps` of each chunk,
then a new query) and ACT's temporal ensemble (a query every step, predictions for the same instant averaged; Zhao et al. 2023,
arXiv 2304.13705, section 4.2, with LeRobot's convention that a positive coefficient favours older predictions).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.policy import Array, Rows

Query = Callable[[Rows], Array]
"""Asks the network for chunks: positions in the current batch, shape (k,) -> actions, shape (k, chunk_size, 6)."""


class Step(NamedTuple):
    """What a player hands out for B rows at one control step.

    Attributes:
        action: The action to execute, shape (B, 6) [deg x 5, percent].
        phase: How far into the executed part of its chunk each row is, shape (B,), in [0, 1).
        lookahead: The next actions of the same chunk, shape (B, K, 6); the chunk's last action repeats past its end.
    """

    action: Array
    phase: Array
    lookahead: Array


def ensemble_weights(coeff: float, n: int) -> NDArray[np.float64]:
    """Return the weights of n predictions of one instant, the oldest first, not normalised, shape (n,): exp(-coeff * i)."""
    weights: NDArray[np.float64] = np.exp(-coeff * np.arange(n))
    return weights


def phase_of(at: NDArray[np.int64], n_action_steps: int) -> Array:
    """Return how far into the executed part of a chunk elements `at` are, shape (B,), in [0, 1); past it, as at its end."""
    return (np.minimum(at, n_action_steps - 1) / n_action_steps).astype(np.float32)


def elements_ahead(at: NDArray[np.int64], n_lookahead: int, chunk_size: int) -> NDArray[np.int64]:
    """Return which elements of a chunk follow its elements `at`, shape (B, K); the last one repeats past its end."""
    ahead: NDArray[np.int64] = np.minimum(at[:, None] + np.arange(1, n_lookahead + 1), chunk_size - 1)
    return ahead


class ChunkPlayer:
    """Per-row queues of predicted actions.

    Args:
        n_rows: Number of arms played for.
        chunk_size: T, actions in one predicted chunk.
        n_action_steps: Actions executed of each chunk, 1..chunk_size.
        temporal_ensemble_coeff: None for open loop; else ACT's coefficient, which needs `n_action_steps` 1.
        n_lookahead: K, how many following actions `Step.lookahead` shows.
        action_dim: A.
    """

    def __init__(
        self,
        n_rows: int,
        chunk_size: int,
        n_action_steps: int,
        temporal_ensemble_coeff: float | None = None,
        n_lookahead: int = 0,
        action_dim: int = 6,
    ) -> None:
        if not 1 <= n_action_steps <= chunk_size:
            raise ValueError(f"n_action_steps is {n_action_steps}; it must be in 1..chunk_size ({chunk_size})")
        if temporal_ensemble_coeff is not None and n_action_steps != 1:
            raise ValueError(
                f"temporal_ensemble_coeff {temporal_ensemble_coeff} needs n_action_steps 1 (a query every step), "
                f"found {n_action_steps}; set n_action_steps to 1 or temporal_ensemble_coeff to null"
            )
        self.n_action_steps = n_action_steps
        self._coeff = temporal_ensemble_coeff
        self._chunk = np.zeros((n_rows, chunk_size, action_dim), np.float32)  # (B, T, A)
        self._count = np.zeros((n_rows, chunk_size), np.int64)  # predictions averaged into each element, ensemble only
        self._next = np.full(n_rows, n_action_steps, np.int64)  # next element to play; n_action_steps = ask first
        self._n_lookahead = n_lookahead

    def reset(self, rows: Rows) -> None:
        """Forget the chunks of `rows`: their next step asks the network."""
        self._next[rows] = self.n_action_steps
        self._count[rows] = 0

    def advance(self, rows: Rows, query: Query) -> Step:
        """Play one control step for `rows`, asking the network where a chunk has run out.

        Args:
            rows: The rows that step, shape (k,).
            query: Called at most once, with the positions within `rows` that need a chunk.
        """
        due = np.flatnonzero(self._next[rows] >= self.n_action_steps)
        if len(due):
            self._store(rows[due], np.asarray(query(due), np.float32))
        step = self._read(rows, self._chunk[rows], self._next[rows])
        self._next[rows] += 1
        return step

    def peek(self, rows: Rows, query: Query) -> Step:
        """Return what `advance` would, leaving every queue as it is: for the last observation of an episode."""
        saved = self._chunk[rows].copy(), self._count[rows].copy(), self._next[rows].copy()
        step = self.advance(rows, query)
        self._chunk[rows], self._count[rows], self._next[rows] = saved
        return step

    def _store(self, rows: Rows, chunks: Array) -> None:
        self._next[rows] = 0
        if self._coeff is None:
            self._chunk[rows] = chunks
            return
        # One control step has passed: element t of the old average is element t - 1 of the new chunk.
        old, count = np.roll(self._chunk[rows], -1, axis=1), np.roll(self._count[rows], -1, axis=1)
        count[:, -1] = 0  # the chunk's last element is predicted for the first time
        weights = ensemble_weights(self._coeff, chunks.shape[1])
        total = np.concatenate([[0.0], np.cumsum(weights)])
        share = (weights[np.minimum(count, chunks.shape[1] - 1)] / total[count + 1])[:, :, None]  # (k, T, 1)
        self._chunk[rows] = (old * (1.0 - share) + chunks * share).astype(np.float32)
        self._count[rows] = count + 1

    def _read(self, rows: Rows, chunk: Array, at: NDArray[np.int64]) -> Step:
        ahead = elements_ahead(at, self._n_lookahead, chunk.shape[1])  # (k, K)
        local = np.arange(len(rows))
        return Step(chunk[local, at], phase_of(at, self.n_action_steps), chunk[local[:, None], ahead])
