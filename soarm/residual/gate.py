"""Residual or base, whichever the critics prefer (IBRL: Hu et al. 2023, arXiv 2311.02198; EXPO: arXiv 2507.07986).

Used while exploring (`exploration.gated`). As a `soarm.policy.ResidualModel` it can also be evaluated in torch, by
`soarm.residual.controller.residual_policy`; an exported bundle has no critics, so nothing exported or compared uses it.
"""

from __future__ import annotations

import torch

from soarm.policy import Array
from soarm.residual.objective import mean_value
from soarm.residual.policies import ResidualTD3Policy


class GatedResidual:
    """The actor where the critics' mean values it above no residual, zero elsewhere.

    Args:
        policy: Actor and critics.
    """

    def __init__(self, policy: ResidualTD3Policy) -> None:
        self._policy = policy

    @torch.no_grad()
    def predict_residual(self, residual_observation: Array) -> Array:
        """Return residuals in [-1, 1], shape (B, 6), for raw residual observations of shape (B, D)."""
        seen = torch.as_tensor(residual_observation, dtype=torch.float32, device=self._policy.device)
        residual = self._policy.actor(seen)
        value, of_base = (mean_value(self._policy.critic(seen, one)) for one in (residual, torch.zeros_like(residual)))
        chosen: Array = torch.where(value > of_base, residual, 0.0).cpu().numpy()
        return chosen
