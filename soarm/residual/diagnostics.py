"""Diagnostics of residual learning: numbers that say early when it goes wrong.

q_start, mc_start          mean Q and mean return of first steps; they should agree within about 0.1
q_gap_mean, q_return_corr  Q minus return over whole episodes, and the correlation of the two
residual_abs, saturated    size of the residual (alarm at 0.3 saturated); each also per joint, <name>_<joint>
q_gain                     mean Q of the residual less that of the base; growing without success means over-estimation
acceleration_rms_deg_s2    roughness of commands, with exploration; the prefill's is that of the base, half of it with noise

A sparse reward makes values easy to read: a value is a probability of success, discounted by how long it takes.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soarm import arm
from soarm.policy import Array
from soarm.residual.encoder import EncodedObservation
from soarm.residual.objective import mean_value
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.replay import EpisodeReplayBuffer, Steps

SATURATED = 0.95
"""A residual beyond this share of its bound counts as saturated."""
N_STEPS = 512
"""Steps in `critic_calibration`."""
N_STARTS = 100
"""Episodes whose first step is in it."""
SPAN = 1000
"""How far back the steps reach, per row [control steps]."""


@torch.no_grad()
def residual_diagnostics(
    policy: ResidualTD3Policy, for_actor: Tensor | EncodedObservation, for_critics: Tensor | EncodedObservation
) -> Mapping[str, float]:
    """Return size and Q of the residual on B residual observations, raw or as actor and critics see them."""
    residual = policy.actor(for_actor)
    size = residual.abs()
    value = mean_value(policy.critic(for_critics, residual))
    base_value = mean_value(policy.critic(for_critics, torch.zeros_like(residual)))
    saturated = (size > SATURATED).float().mean(dim=0)
    return {
        "q_mean": float(value.mean()),
        "q_gain": float((value - base_value).mean()),
        "residual_abs": float(size.mean()),
        "saturated": float(saturated.mean()),
        **{f"residual_abs_{joint}": float(mean) for joint, mean in zip(arm.JOINT_NAMES, size.mean(dim=0), strict=True)},
        **{f"saturated_{joint}": float(share) for joint, share in zip(arm.JOINT_NAMES, saturated, strict=True)},
    }


@torch.no_grad()
def critic_calibration(policy: ResidualTD3Policy, buffer: EpisodeReplayBuffer) -> Mapping[str, float]:
    """Return mean Q beside the mean return of whole recent episodes; empty before the first episode ends.

    `q_start` and `mc_start` are mean Q and mean return of first steps. `q_gap_mean` is the mean of Q minus return over all of
    the episodes' steps; `q_return_corr` the correlation of the two, left out where either is constant.
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


def _values(policy: ResidualTD3Policy, steps: Steps) -> Tensor:
    return mean_value(policy.critic(steps.observations, steps.residuals))


class Smoothness:
    """Root mean square of the second difference of the joint targets, gripper apart, since it was last taken.

    Args:
        n_rows: Number of environments.
        control_hz: Control steps per second.
    """

    def __init__(self, n_rows: int, control_hz: int) -> None:
        self._per_s2 = float(control_hz) ** 2
        self._before = np.full((2, n_rows, arm.N_JOINTS), np.nan, np.float32)
        self._sum, self._n = 0.0, 0

    def add(self, executed: Array, dones: NDArray[np.bool_]) -> None:
        """Take one step of every row: joint targets (n, 6) [deg x 5, percent], and whether the episode ended, (n,)."""
        last, one_before = self._before
        difference = (executed - 2 * last + one_before)[:, : arm.GRIPPER]  # NaN in the first two steps of an episode
        known = difference[np.isfinite(difference[:, 0])].astype(np.float64)
        self._sum, self._n = self._sum + float(np.square(known).sum()), self._n + known.size
        self._before = np.stack([executed, last])
        self._before[:, dones] = np.nan

    def take(self) -> Mapping[str, float]:
        """Return `acceleration_rms_deg_s2` and start anew; empty where no episode had three steps."""
        if not self._n:
            return {}
        rms = self._per_s2 * float(np.sqrt(self._sum / self._n))
        self._sum, self._n = 0.0, 0
        return {"acceleration_rms_deg_s2": rms}
