"""Policies that play chunks, over any network: torch in training and evaluation, ONNX on the robot.

`ChunkedPolicy` is ACT as the arm sees it. `ResidualPolicy` is the same with a residual network on top: with a residual of zero
it does, to the bit, what `ChunkedPolicy` does. Around any policy, `PushedPolicy` adds noise to what it does, and
`NotingPolicy` notes what happens meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.chunking import ChunkPlayer, Query, Step
from soarm.errors import ObservationError
from soarm.policy import (
    Array,
    BatchPolicy,
    ChunkModel,
    Observation,
    ResidualModel,
    Rows,
    add_residual,
    clip_to_limits,
    require_finite,
)
from soarm.spec import PolicySpec
from soarm.tasks.registry import find
from soarm.tasks.residual_observation import ResidualObservation

BLOCK = 8
"""Rows in one query of a network, when there are so many; large enough to batch, small enough not to waste."""
HOLD_STEPS = 8
"""Control steps for which a `PushedPolicy` holds its noise; what is drawn anew at every step hardly moves an arm."""
_STREAM = 0xDA27
"""Sets the random numbers of an episode's noise apart from those of its scene."""
Note = TypeVar("Note")


def predict_in_batches(predict: Callable[[Observation], Array], observation: Observation, size: int | None) -> Array:
    """Ask a network in batches of `size` rows, the last one filled up with copies of its last row; None asks for all at once.

    This is where lazy values become arrays: the network gets nothing else.

    Matrix products round differently for different numbers of rows (5e-5 deg in ACT's actions), and contacts amplify that to
    other outcomes. With one shape for every query, what a row does depends on its own observations alone, to the bit.
    """
    if size is None:
        return predict({key: np.asarray(value) for key, value in observation.items()})
    n_rows = len(next(iter(observation.values())))
    answers = []
    for first in range(0, n_rows, size):
        rows = np.minimum(np.arange(first, first + size), n_rows - 1)
        answers.append(predict({key: np.asarray(value[rows]) for key, value in observation.items()}))
    return np.concatenate(answers)[:n_rows]


class ChunkedPolicy:
    """A `BatchPolicy` that plays the chunks of one network: the one place where a base is asked, on checked observations.

    Args:
        model: The network.
        spec: Its specification.
        n_rows: Number of arms.
        n_lookahead: How many following actions `advance` shows.
        block: Most rows in one query of the network; None asks for all at once, which is faster and rounds with their number.

    Attributes:
        model: The network.
        block: Rows in one query; see `predict_in_batches`.
        player: The queues of predicted actions.
    """

    def __init__(
        self, model: ChunkModel, spec: PolicySpec, n_rows: int, n_lookahead: int = 0, block: int | None = BLOCK
    ) -> None:
        assert spec.chunk_size is not None, "the specification of a chunk policy says how long its chunks are"
        assert spec.n_action_steps is not None, "the specification of a chunk policy says how much of a chunk is played"
        self.model, self._spec = model, spec
        self.block = None if block is None else min(block, n_rows)
        chunking = spec.chunk_size, spec.n_action_steps, spec.temporal_ensemble_coeff
        self.player = ChunkPlayer(n_rows, *chunking, n_lookahead)

    @property
    def residual_observation(self) -> ResidualObservation:
        """What a residual on top observes."""
        return find(self._spec.task).residual_observation

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Drop the queued actions of `rows`; the network itself has nothing random at inference."""
        self.player.reset(rows)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return the next queued action of each row, inside the joint limits."""
        return clip_to_limits(self.advance(observation, rows).action)

    def advance(self, observation: Observation, rows: Rows) -> Step:
        """Play one step and return action, phase and look-ahead, as the network predicted them."""
        return self.player.advance(rows, self._query(observation))

    def peek(self, observation: Observation, rows: Rows) -> Step:
        """As `advance`, without moving any queue."""
        return self.player.peek(rows, self._query(observation))

    def _query(self, observation: Observation) -> Query:
        inputs = {key: feature for key, feature in self._spec.features.items() if key.startswith("observation.")}
        for key, feature in inputs.items():
            _require(observation, key, feature.shape)
        return lambda at: predict_in_batches(
            self.model.predict_chunks, {key: observation[key][at] for key in inputs}, self.block
        )


class ResidualPolicy:
    """A frozen chunk policy plus a bounded residual at every control step.

    Args:
        base: The frozen base; it must look `N_LOOKAHEAD` actions ahead.
        model: The residual network.
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].
    """

    def __init__(self, base: ChunkedPolicy, model: ResidualModel, scale: Sequence[float]) -> None:
        self._base = base
        self._model = model
        self._scale = np.asarray(scale, np.float32)
        self._block, self._features = base.block, base.residual_observation

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Reset the base."""
        self._base.reset(rows, seeds)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return clip(base + scale * residual)."""
        step = self._base.advance(observation, rows)
        seen = {"residual": self._features.compute(observation, step)}
        residual = predict_in_batches(lambda one: self._model.predict_residual(one["residual"]), seen, self._block)
        return add_residual(step.action, residual, self._scale)


class Noise(Protocol):
    """Noise is what a `PushedPolicy` adds to actions."""

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Start an episode in each of `rows`."""

    def draw(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """Return the noise of the next `HOLD_STEPS` control steps of `rows`, shape (len(rows), 6) [deg x 5, percent]."""


class SceneNoise:
    """Gaussian `Noise` that follows from the seed of each episode alone.

    Args:
        std_deg: Standard deviation per joint [deg, percent].
        n_rows: Number of arms.
    """

    def __init__(self, std_deg: float, n_rows: int) -> None:
        self._std_deg = std_deg
        self._rngs = [np.random.default_rng() for _ in range(n_rows)]

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """See `Noise`."""
        for row, seed in zip(rows, seeds, strict=True):
            self._rngs[row] = np.random.default_rng([seed, _STREAM])

    def draw(self, rows: Rows) -> NDArray[np.floating[Any]]:
        """See `Noise`."""
        drawn = [self._rngs[row].normal(0.0, self._std_deg, arm.N_JOINTS) for row in rows]
        return np.array(drawn).reshape(len(rows), arm.N_JOINTS)


class PushedPolicy:
    """A `BatchPolicy` that adds noise to the actions of another, which is held for `HOLD_STEPS` control steps.

    Args:
        policy: The other.
        noise: Where the noise comes from.
        n_rows: Number of arms.
    """

    def __init__(self, policy: BatchPolicy, noise: Noise, n_rows: int) -> None:
        self._policy, self._noise = policy, noise
        self._held = np.zeros((n_rows, arm.N_JOINTS))
        self._age = np.zeros(n_rows, np.int64)

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Start episodes."""
        self._policy.reset(rows, seeds)
        self._noise.reset(rows, seeds)
        self._age[rows] = 0

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return the other's actions with noise; they may be outside the joint limits."""
        due = rows[self._age[rows] % HOLD_STEPS == 0]
        self._held[due] = self._noise.draw(due)
        self._age[rows] += 1
        return (self._policy.act(observation, rows) + self._held[rows]).astype(np.float32)


class NotingPolicy(Generic[Note]):
    """A `BatchPolicy` that does what another does, and notes something at every control step.

    Args:
        policy: The other.
        note: Takes the other's actions and the rows, and returns a note for each row.
        n_rows: Number of arms.
    """

    def __init__(self, policy: BatchPolicy, note: Callable[[Array, Rows], Iterable[Note]], n_rows: int) -> None:
        self._policy, self._note = policy, note
        self._running: list[list[Note]] = [[] for _ in range(n_rows)]
        self._by_seed: dict[int, list[Note]] = {}

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Start episodes, whose seeds differ."""
        self._policy.reset(rows, seeds)
        for row, seed in zip(rows, seeds, strict=True):
            self._running[row] = self._by_seed[seed] = []

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return the other's actions."""
        actions = self._policy.act(observation, rows)
        for row, one in zip(rows, self._note(actions, rows), strict=True):
            self._running[row].append(one)
        return actions

    def take(self, seed: int) -> list[Note]:
        """Return what was noted in the episode of a seed, one per control step, and forget it."""
        return self._by_seed.pop(seed)


def _require(observation: Observation, key: str, shape: tuple[int, ...]) -> None:
    if key not in observation:
        raise ObservationError(
            f"the observation has no {key}, which the policy was trained on; it holds {sorted(observation)}"
        )
    value: NDArray[np.float32] = observation[key]
    if value.shape[1:] != shape:
        raise ObservationError(f"{key} has shape {value.shape}, allowed is (B, {', '.join(map(str, shape))})")
    require_finite(key, value)
