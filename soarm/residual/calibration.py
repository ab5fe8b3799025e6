"""What the critics promise, held against what episodes gave.

A sparse reward makes this simple: a value is a probability of success, discounted by how long it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch

from soarm.residual.objective import mean_value
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.replay import EpisodeReplayBuffer, Steps

N_STEPS = 512
"""Steps that `alarms` looks at."""
N_STARTS = 100
"""Episodes whose start it looks at."""
SPAN = 1000
"""How far back they reach, per row [control steps]."""


class Promise(NamedTuple):
    """Means over the first steps of the base's own episodes.

    Attributes:
        promised: Value that the critics give them.
        given: Discounted return that followed.
        n_episodes: How many they are; with none the means are NaN.
    """

    promised: float
    given: float
    n_episodes: int

    @property
    def gap(self) -> float:
        """How far the two are apart, at least 0."""
        return abs(self.promised - self.given)

    def __str__(self) -> str:
        return f"they promise {self.promised:.3f} where {self.n_episodes} episodes of the base gave {self.given:.3f}"


@torch.no_grad()
def promise(policy: ResidualTD3Policy, buffer: EpisodeReplayBuffer) -> Promise:
    """Hold the value of the base's first steps against what came of them.

    Only episodes that start without noise count: the target of the critics acts without noise too.
    """
    starts = buffer.quiet_starts()
    n = len(starts.returns)
    if n == 0:
        return Promise(float("nan"), float("nan"), 0)
    return Promise(float(_values(policy, starts).mean()), float(starts.returns.mean()), n)


@torch.no_grad()
def alarms(policy: ResidualTD3Policy, buffer: EpisodeReplayBuffer) -> Mapping[str, float]:
    """Return how the critics' values differ from the returns of whole recent episodes; empty before the first one ends.

    `q_start` and `mc_start` are value and return of their first steps, on average. `q_gap_mean` is value minus return over all
    of their steps, on average; `q_return_corr` the correlation of the two, left out where either is constant.
    """
    steps = buffer.recent(N_STEPS, SPAN)
    if not len(steps.returns):
        return {}
    starts = buffer.recent_starts(N_STARTS)
    values, returns = (part.cpu().numpy().ravel().astype(np.float64) for part in (_values(policy, steps), steps.returns))
    found = {
        "q_start": float(_values(policy, starts).mean()),
        "mc_start": float(starts.returns.mean()),
        "q_gap_mean": float(np.mean(values - returns)),
    }
    if values.std() > 0 and returns.std() > 0:
        found["q_return_corr"] = float(np.corrcoef(values, returns)[0, 1])
    return found


def _values(policy: ResidualTD3Policy, steps: Steps) -> torch.Tensor:
    return mean_value(policy.critic(steps.observations, steps.residuals))
