"""The protocols of a policy, the checks on its observations, and the one formula that adds a residual.

Knows no network, no simulator and no robot. Observations and actions are in LeRobot units, keyed by LeRobot's feature names
(`soarm.spec`); vectors are float32, images uint8.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.errors import ObservationError
from soarm.lazy import LazyRows

Array = NDArray[np.float32]
Rows = NDArray[np.intp]
Observation = Mapping[str, NDArray[Any]]
"""Feature key -> array of the feature's dtype; one observation has its shape, a batch of B of them has (B, *shape).

A batch that `soarm.rollout.BatchEnv` observes may hold `soarm.lazy.LazyRows` in the place of arrays.
"""


class Policy(Protocol):
    """One arm's policy: scripted expert, teleoperator, ACT, ACT + residual, ONNX on the robot."""

    def reset(self, seed: int) -> None:
        """Start an episode; everything random in it follows from `seed`."""

    def act(self, observation: Observation) -> Array:
        """Return the joint targets for the next control step, shape (6,) [deg x 5, percent]."""


class BatchPolicy(Protocol):
    """A policy for B arms at once. Rows are independent: what row i does depends on row i's observations alone."""

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Start a new episode in each of `rows`, with one seed per row."""

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return joint targets for `rows`, shape (len(rows), 6); `observation` holds those rows only, in that order."""


class ChunkModel(Protocol):
    """A network that predicts chunks of actions, in torch or in ONNX.

    Equal observations give equal chunks, to the bit: comparison, parity and replay rest on it. A network that samples, as
    diffusion does, draws its noise once, when it is built, from a generator of a constant seed, and keeps it in its buffers.
    """

    def predict_chunks(self, observation: Observation) -> Array:
        """Return the predicted actions, shape (B, chunk_size, 6) [deg x 5, percent]; `observation` is key -> (B, *shape)."""


class ResidualModel(Protocol):
    """A network that predicts residuals, in torch or in ONNX."""

    def predict_residual(self, residual_observation: Array) -> Array:
        """Return residuals in [-1, 1], shape (B, 6), for residual observations of shape (B, D)."""


class VectorPolicy:
    """A batch policy made of one single-arm policy per row."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._policies = tuple(policies)

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Reset the policies of `rows`."""
        for row, seed in zip(rows, seeds, strict=True):
            self._policies[row].reset(seed)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Ask each row's policy in turn."""
        singles = [{key: value[i] for key, value in observation.items()} for i in range(len(rows))]
        actions = [self._policies[row].act(single) for row, single in zip(rows, singles, strict=True)]
        return np.stack(actions).astype(np.float32)


def add_residual(base: ArrayLike, residual: ArrayLike, scale: ArrayLike) -> Array:
    """Return what the arm executes: the base action plus the scaled residual, inside the joint limits.

    executed = clip(base + scale * residual, LOWER, UPPER), in float32. A zero residual changes nothing, to the bit, when
    the base action is inside the limits.

    Args:
        base: Base action, shape (..., 6) [deg x 5, percent].
        residual: Residual in [-1, 1], shape (..., 6).
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].
    """
    executed = np.asarray(base, np.float32) + np.asarray(scale, np.float32) * np.asarray(residual, np.float32)
    return clip_to_limits(executed)


def residual_correction(base: ArrayLike, residual: ArrayLike, scale: ArrayLike) -> Array:
    """Return what a residual changes of the base action inside the limits, shape (..., 6) [deg x 5, percent].

    The two-rate form of `add_residual`, for an arm that is commanded more often than the residual is asked: the correction,
    executed - clip(base), is added to the base action of a later moment by `add_residual(later, correction, 1.0)`.
    """
    return add_residual(base, residual, scale) - clip_to_limits(base)


def clip_to_limits(action: ArrayLike) -> Array:
    """Return `action` inside the joint limits, float32, shape (..., 6) [deg x 5, percent]."""
    clipped: Array = np.clip(np.asarray(action, np.float32), _LOWER, _UPPER)
    return clipped


def require_finite(key: str, values: NDArray[np.floating] | LazyRows) -> None:
    """Refuse NaN and infinity; what is not computed yet is left to whoever computes it.

    Raises:
        ObservationError: Names the key and the elements at fault.
    """
    if isinstance(values, LazyRows) or np.isfinite(values).all():
        return
    where = [tuple(int(i) for i in index) for index in np.argwhere(~np.isfinite(values))[:5]]
    raise ObservationError(
        f"{key} holds values that are not finite at {where} (shape {values.shape}); a policy, an environment and a dataset "
        "take finite numbers only. Look at what produced it: a sensor that did not answer, or a network that diverged."
    )


_LOWER = arm.LOWER.astype(np.float32)
_UPPER = arm.UPPER.astype(np.float32)
