"""What the critics promise, held against what episodes gave.

A sparse reward makes this simple: a value is a probability of success, discounted by how long it takes.
"""

from __future__ import annotations

from collections.abc import Mapping

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
