"""What `residual.zip` files of earlier versions hold under other names; for reading them alone."""

from __future__ import annotations

from typing import Any

from soarm.residual.encoder import ObservationParams

POLICY_KWARGS = {"actor_sight": "actor_observation", "critic_sight": "critic_observation"}
"""Keyword argument of `ResidualTD3Policy` by its earlier name."""


class SightParams(ObservationParams):
    """`ObservationParams` by its earlier name; it takes the present one when it is saved again."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(masked_blocks=state["unseen"], tanh_features=state["magnified"])

    def __reduce__(self) -> tuple[Any, ...]:
        return ObservationParams, (self.masked_blocks, self.tanh_features)
