"""Numbers that say early when residual learning goes wrong.

q_start against mc_start   critics that promise more than episodes give (they should agree within about 0.1)
residual_abs, saturated    an actor that leans on its bound (alarm at 0.3 saturated); each also per joint, <alarm>_<joint>
q_gain                     what the critics believe the residual adds; growing without success means they are fooled
acceleration_rms_deg_s2    an arm that shakes, exploration included; the prefill's is that of the base, half of it with noise

More in `soarm.residual.calibration`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from soarm import arm
from soarm.policy import Array
from soarm.residual.objective import mean_value
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.sight import Seen

SATURATED = 0.95
"""A residual beyond this share of its bound counts as saturated."""


@torch.no_grad()
def residual_alarms(policy: ResidualTD3Policy, for_actor: Tensor | Seen, for_critics: Tensor | Seen) -> dict[str, float]:
    """Return size and believed worth of the residual on B residual observations, raw or as actor and critics see them."""
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


class Smoothness:
    """Root mean square of the second difference of what the arm's joints are told, gripper apart, since it was last asked.

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
        """Return the alarm and start anew; empty where no episode had three steps."""
        if not self._n:
            return {}
        rms = self._per_s2 * float(np.sqrt(self._sum / self._n))
        self._sum, self._n = 0.0, 0
        return {"acceleration_rms_deg_s2": rms}
