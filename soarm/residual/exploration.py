"""Exploration in units of the residual's bound: noise that is held for several control steps.

White noise of a fraction of the bound, drawn 30 times a second, hardly moves an arm: a servo averages it away. Noise held for
a quarter of a second pushes the gripper aside and teaches the critic what a residual does.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.policy import Array
from soarm.quantities import Count, NotNegative


@dataclasses.dataclass(frozen=True)
class ExplorationParams:
    """How the residual explores.

    Attributes:
        prefill_steps: Environment steps of the base alone before anything is learned; every other episode carries noise, the
            rest are the base as it is (arXiv 2602.10539: base transitions end the critic's cold start).
        prefill_std: Standard deviation of the noise in those episodes, in units of the bound: enough to miss and to mend, not
            so much that noisy episodes never succeed. A wider bound makes it more degrees.
        start_std: The same when learning starts; less, because it comes on top of a residual.
        end_std: And when it ends; in between it falls linearly, so that the last steps are near what will be shipped.
        hold_steps: Control steps each draw is held; 8 are a quarter of a second. White noise hardly moves the arm, and from
            noise held for 24 steps the base does not recover (docs/notebook.md, row e).
    """

    prefill_steps: Count
    prefill_std: NotNegative
    start_std: NotNegative
    end_std: NotNegative
    hold_steps: Count


class HeldNoise:
    """Gaussian noise per row and joint, redrawn every `hold_steps` steps and at the start of an episode.

    Args:
        n_rows: Number of environments.
        hold_steps: Control steps each draw is held.
        rng: Where it is drawn from.
    """

    def __init__(self, n_rows: int, hold_steps: int, rng: np.random.Generator) -> None:
        self.n_rows = n_rows
        self._rng = rng
        self._hold_steps = hold_steps
        self._left = np.zeros(n_rows, np.int64)
        self._episode = np.arange(n_rows)  # neighbours start in different halves
        self._noise = np.zeros((n_rows, arm.N_JOINTS))

    @property
    def quiet(self) -> NDArray[np.bool_]:
        """Rows in a quiet episode, shape (n,); episodes of a row are quiet and noisy in turn."""
        quiet: NDArray[np.bool_] = self._episode % 2 == 0
        return quiet

    def sample(self) -> Array:
        """Return this step's noise of standard deviation 1, shape (n, 6)."""
        due = np.flatnonzero(self._left == 0)
        if len(due):
            self._noise[due] = self._rng.standard_normal((len(due), arm.N_JOINTS))
            self._left[due] = self._hold_steps
        self._left -= 1
        return self._noise.astype(np.float32)

    def end_episodes(self, done: NDArray[np.bool_]) -> None:
        """Start anew in the rows that are done, shape (n,)."""
        self._left[done] = 0
        self._episode[done] += 1


class Explorer:
    """Draw the residuals to execute: the base with noise in every other episode at first, then the actor's with noise.

    Args:
        n_rows: Number of environments.
        params: How it explores.
        rng: Where the noise is drawn from.
    """

    def __init__(self, n_rows: int, params: ExplorationParams, rng: np.random.Generator) -> None:
        self._params = params
        self._noise = HeldNoise(n_rows, params.hold_steps, rng)

    @property
    def n_rows(self) -> int:
        """Number of environments."""
        return self._noise.n_rows

    def prefill(self) -> Array:
        """Return residuals of the base alone, with noise in every other episode, shape (n, 6)."""
        residual = np.where(self._noise.quiet[:, None], 0.0, self._params.prefill_std * self._noise.sample())
        return np.clip(residual, -1.0, 1.0).astype(np.float32)

    def around(self, greedy: Array, progress: float) -> Array:
        """Return residuals to try, shape (n, 6).

        Args:
            greedy: What the actor would do, shape (n, 6).
            progress: How far learning is, 0 to 1.
        """
        std = self._params.start_std + (self._params.end_std - self._params.start_std) * progress
        return np.clip(greedy + std * self._noise.sample(), -1.0, 1.0).astype(np.float32)

    def end_episodes(self, done: NDArray[np.bool_]) -> None:
        """Start anew in the rows that are done, shape (n,)."""
        self._noise.end_episodes(done)
