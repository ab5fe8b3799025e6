"""Exported networks behind the project's protocols, played by the same policies as in training and evaluation."""

from __future__ import annotations

from typing import Literal

import numpy as np

from soarm.errors import BundleError
from soarm.policies import ChunkedPolicy, ResidualPolicy
from soarm.policy import Array, BatchPolicy, Observation
from soarm.runtime.bundle import BASE, RESIDUAL, RESIDUAL_INPUT, Bundle
from soarm.tasks.residual_observation import N_LOOKAHEAD

Which = Literal["base", "residual"]


class OnnxBase:
    """The exported base as a `ChunkModel`; safe to call from any thread."""

    def __init__(self, bundle: Bundle) -> None:
        self._session = bundle.sessions[BASE]
        self._dtypes = {node.name: bundle.spec.features[node.name].dtype for node in self._session.get_inputs()}

    def predict_chunks(self, observation: Observation) -> Array:
        """Return the predicted actions, shape (B, chunk_size, 6) [deg x 5, percent]."""
        feed = {key: np.asarray(observation[key], dtype) for key, dtype in self._dtypes.items()}
        chunks: Array = self._session.run(None, feed)[0]
        return chunks


class OnnxResidual:
    """The exported residual actor as a `ResidualModel`; safe to call from any thread.

    Raises:
        BundleError: The bundle holds no residual.
    """

    def __init__(self, bundle: Bundle) -> None:
        if RESIDUAL not in bundle.sessions:
            raise BundleError(f"{bundle.folder} holds no residual; ask for the base policy, or export a run that trained one")
        self._session = bundle.sessions[RESIDUAL]

    def predict_residual(self, residual_observation: Array) -> Array:
        """Return residuals in [-1, 1], shape (B, 6), for residual observations of shape (B, D)."""
        residuals: Array = self._session.run(None, {RESIDUAL_INPUT: np.asarray(residual_observation, np.float32)})[0]
        return residuals


def load_policy(bundle: Bundle, n_rows: int, which: Which) -> BatchPolicy:
    """Return the policy of a bundle for `n_rows` arms: the base alone, or with the residual on top.

    Raises:
        BundleError: `which` is "residual" and the bundle holds none.
    """
    spec = bundle.spec
    if which == "base":
        return ChunkedPolicy(OnnxBase(bundle), spec, n_rows)
    residual = OnnxResidual(bundle)
    assert spec.residual_scale is not None, "Bundle.open admits a residual network only with its scale"
    return ResidualPolicy(ChunkedPolicy(OnnxBase(bundle), spec, n_rows, N_LOOKAHEAD), residual, spec.residual_scale)
