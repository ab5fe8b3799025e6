"""Exploration in units of the residual's bound: noise that is held for several control steps.

White noise of a fraction of the bound hardly moves an arm that is 30 times a second asked to be elsewhere: a servo averages it
away. Noise held for a quarter of a second pushes the gripper aside and teaches the critic what a residual does.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.policy import Array
from soarm.quantities import Count, NotNegative, Whole


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
            noise held for 24 steps the base does not recover (docs/residual-rl.md, row e).
        progressive_steps: Environment steps after the prefill over which episodes with the residual become the rule: one that
            starts t steps after it is the base's alone with probability 1 - t / progressive_steps (Yuan et al. 2024, arXiv
            2412.13630, who decide at every control step; an arm that switches 30 times a second shakes). 0 is never.
        gated: Whether the residual is executed only where the critics prefer it to none (Hu et al. 2023, arXiv 2311.02198).
            While exploring only: neither the validated nor the exported policy has critics, and so the targets of the
            critics stay those of the actor by itself, whose value is asked for.
    """

    prefill_steps: Count
    prefill_std: NotNegative
    start_std: NotNegative
    end_std: NotNegative
    hold_steps: Count
    progressive_steps: Whole
    gated: bool


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
    """What the arm tries: the residual with noise, or, before there is one and now and then, the base alone.

    Args:
        n_rows: Number of environments.
        params: How it explores.
        rng: Where all that is random is drawn from.
    """

    def __init__(self, n_rows: int, params: ExplorationParams, rng: np.random.Generator) -> None:
        self._params = params
        self._noise = HeldNoise(n_rows, params.hold_steps, rng)
        self._coins = rng.spawn(1)[0]
        self._alone = np.full(n_rows, params.progressive_steps > 0)

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
        residual = np.clip(greedy + std * self._noise.sample(), -1.0, 1.0).astype(np.float32)
        residual[self._alone] = 0.0
        return residual

    def end_episodes(self, done: NDArray[np.bool_], steps_learnt: int) -> None:
        """Start anew in the rows that are done, shape (n,), that many environment steps after the prefill."""
        self._noise.end_episodes(done)
        horizon = self._params.progressive_steps
        if horizon and done.any():
            self._alone[done] = self._coins.random(int(done.sum())) >= steps_learnt / horizon
