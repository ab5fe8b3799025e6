"""Base and residual as one thing that acts on raw observations, with Stable-Baselines3's `predict`.

`ResidualTD3BC.predict` answers in the residual's own observations, which hold what the base is about to do. Outside training
somebody has to play the base's chunks and to forget them when an episode starts; here it is the controller, with the calling
convention of recurrent policies (`episode_start`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.policies import ChunkedPolicy, ResidualPolicy
from soarm.policy import Array, ChunkModel, Observation, ResidualModel
from soarm.spec import STATE, PolicySpec, as_features
from soarm.tasks.residual_observation import N_LOOKAHEAD


class ResidualController:
    """Joint targets for raw observations, keeping the chunks' queues.

    Args:
        base: The frozen base.
        actor: The residual's network.
        spec: Specification of both; `residual_scale` must be in it.
        n_rows: Number of arms.
    """

    def __init__(self, base: ChunkModel, actor: ResidualModel, spec: PolicySpec, n_rows: int = 1) -> None:
        self.n_rows = n_rows
        self.policy = residual_policy(base, actor, spec, n_rows)
        self._rows = np.arange(n_rows, dtype=np.intp)
        self._fresh = np.ones(n_rows, np.bool_)

    def predict(
        self,
        observation: Observation,
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = True,
    ) -> tuple[Array, None]:
        """Return the action to execute.

        Args:
            observation: One observation, or a batch with one per row; under feature keys, or those of `gymnasium.make`.
            state: Ignored; the controller keeps its queues itself.
            episode_start: Rows that start an episode, shape (n_rows,); None means no row does, but for the first call.
            deterministic: Ignored; there is nothing random here.

        Returns:
            Joint targets, shape (6,) or (n_rows, 6) [deg x 5, percent], and None.
        """
        observation = as_features(observation)
        single = np.ndim(observation[STATE]) == 1
        batch = {key: value[None] for key, value in observation.items()} if single else observation
        starting = np.flatnonzero(self._fresh if episode_start is None else self._fresh | np.asarray(episode_start, np.bool_))
        self._fresh[:] = False
        self.policy.reset(starting, [0] * len(starting))
        action = self.policy.act(batch, self._rows)
        return (action[0] if single else action), None


def residual_policy(base: ChunkModel, actor: ResidualModel, spec: PolicySpec, n_rows: int) -> ResidualPolicy:
    """Return base and residual as a `BatchPolicy` for `n_rows` arms."""
    assert spec.residual_scale is not None, "a residual's specification holds its scale"
    return ResidualPolicy(ChunkedPolicy(base, spec, n_rows, N_LOOKAHEAD), actor, spec.residual_scale)
