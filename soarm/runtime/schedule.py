"""The chunk player on the robot's clock: what the base wants at a moment, whenever its chunks arrived.

Weights of the temporal ensemble, phase and look-ahead are those of `soarm.chunking`: chunks that come at once and are asked at
control steps play as in the simulator. The robot's own is here:

- time: a chunk is indexed by the time of the observation it was predicted from, to which its first action belongs;
- delay: one that comes late begins in its middle, and what has passed is never played; one that has passed as a whole is lost;
- the bus: between two actions of a chunk the schedule goes in a straight line, so it can be asked at any rate;
- the fade from one chunk into the next (a step from one to the other is a jerk of the arm: axol pull request 191);
- actions that are not finite, which stay so for the safety chain to refuse;
- running out: `Schedule.at` returns None where no chunk covers a moment, and the arm holds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.chunking import Step, elements_ahead, ensemble_weights, phase_of
from soarm.policy import Array

_EPSILON = 1e-6
"""Of a control period: rounding must not put a moment into the period before."""


class Chunk(NamedTuple):
    """Actions from a moment on: when [s], shape (T, 6) [deg x 5, percent], and when it arrived [s]."""

    t_s: float
    actions: Array
    arrived_s: float


class Schedule:
    """What the base wants, as a function of time.

    Args:
        control_hz: Actions of a chunk per second [Hz].
        n_action_steps: Actions after which a new chunk is due.
        fade_s: How long one chunk fades into the next [s]; 0 changes at once.
        temporal_ensemble_coeff: ACT's: then all chunks that cover a moment are averaged, and a chunk is due every period.

    Attributes:
        late: Chunks that came when their first action had passed.
        lost: Chunks that came when all their actions had passed.
    """

    def __init__(
        self, control_hz: int, n_action_steps: int, fade_s: float = 0.0, temporal_ensemble_coeff: float | None = None
    ) -> None:
        self._dt_s, self._n_action_steps = 1.0 / control_hz, n_action_steps
        self._fade_s, self._coeff = fade_s, temporal_ensemble_coeff
        self._chunks: deque[Chunk] = deque()
        self.late = self.lost = 0

    def clear(self) -> None:
        """Forget every chunk."""
        self._chunks.clear()

    def add(self, t_s: float, actions: Array, now_s: float) -> bool:
        """Take a chunk predicted from the observation of `t_s`; False for one that has passed as a whole."""
        if now_s >= t_s + len(actions) * self._dt_s:
            self.lost += 1
            return False
        self.late += now_s > t_s + self._dt_s
        self._chunks.append(Chunk(t_s, np.asarray(actions, np.float32), now_s))
        self._forget(now_s)
        return True

    def due(self, t_s: float) -> bool:
        """Return whether the executed part of the newest chunk is over."""
        if not self._chunks:
            return True
        return self._index(self._chunks[-1], t_s) >= self._n_action_steps

    def at(self, t_s: float) -> NDArray[np.float32] | None:
        """Return the base action of a moment, shape (6,) [deg x 5, percent]; None if no chunk covers it."""
        covering = self._covering(t_s)
        if not covering:
            return None
        if self._coeff is not None:
            return self._average(covering, t_s)
        action = self._read(covering[-1], t_s)
        share = 1.0 if self._fade_s <= 0 else (t_s - covering[-1].arrived_s) / self._fade_s
        if len(covering) > 1 and share < 1.0:
            share = max(0.0, share)
            before = self._read(covering[-2], t_s)
            if np.isfinite(before).all():  # what the chunk before has wrong is over
                with np.errstate(invalid="ignore"):
                    action = np.asarray(share * action + (1 - share) * before, np.float32)
        return action

    def step(self, t_s: float, n_lookahead: int) -> Step | None:
        """Return what a residual is shown at a moment, for one row: action, phase and look-ahead; None if no chunk covers it.

        Of an action ahead that is not finite it is shown the one before: it counts when its moment has come.
        """
        action = self.at(t_s)
        if action is None:
            return None
        newest = self._covering(t_s)[-1]
        at = np.array([int(self._index(newest, t_s) + _EPSILON)])
        rows = [action]
        for i in elements_ahead(at, n_lookahead, len(newest.actions))[0]:
            row, then_s = newest.actions[i], newest.t_s + float(i) * self._dt_s
            if self._coeff is not None:
                row = self._average(self._covering(then_s), then_s)
            rows.append(row if np.isfinite(row).all() else rows[-1])
        return Step(action[None], phase_of(at, self._n_action_steps), np.stack(rows[1:])[None])

    def _covering(self, t_s: float) -> list[Chunk]:
        """Return the chunks that cover a moment, the oldest first."""
        return [chunk for chunk in self._chunks if 0 <= self._index(chunk, t_s) < len(chunk.actions)]

    def _average(self, covering: Sequence[Chunk], t_s: float) -> NDArray[np.float32]:
        """Return the weighted mean of what chunks hold for a moment, shape (6,)."""
        assert self._coeff is not None, "without a coefficient one chunk is played at a time"
        weights = ensemble_weights(self._coeff, len(covering))
        with np.errstate(invalid="ignore"):
            mixed = np.tensordot(weights / weights.sum(), np.stack([self._read(one, t_s) for one in covering]), 1)
        return np.asarray(mixed, np.float32)

    def _index(self, chunk: Chunk, t_s: float) -> float:
        return (t_s - chunk.t_s) / self._dt_s + _EPSILON

    def _read(self, chunk: Chunk, t_s: float) -> NDArray[np.float32]:
        """Return the chunk's action at a moment, in a straight line from one to the next; its last one stays.

        An action that is not finite counts in its own period alone: the one before stays until then.
        """
        index = self._index(chunk, t_s) - _EPSILON
        low = max(0, min(int(index + _EPSILON), len(chunk.actions) - 1))
        high = min(low + 1, len(chunk.actions) - 1)
        share = np.float32(min(max(index - low, 0.0), 1.0))
        # What is not finite stays so, for the safety chain to refuse.
        if share < _EPSILON or not np.isfinite(chunk.actions[low : high + 1]).all():
            return np.asarray(chunk.actions[low], np.float32)
        return np.asarray((1 - share) * chunk.actions[low] + share * chunk.actions[high], np.float32)

    def _forget(self, now_s: float) -> None:
        """Drop chunks that can no longer be asked for: those that have passed, and all but two where none are averaged."""
        while self._chunks and not now_s < self._chunks[0].t_s + len(self._chunks[0].actions) * self._dt_s:
            self._chunks.popleft()
        while self._coeff is None and len(self._chunks) > 2:
            self._chunks.popleft()
