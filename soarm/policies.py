"""Policies that play chunks, over any network: torch in training and evaluation, ONNX on the robot.

`ChunkedPolicy` is ACT as the arm sees it. `ResidualPolicy` is the same with a residual network on top: with a residual of zero
it does, to the bit, what `ChunkedPolicy` does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from soarm import kinematics
from soarm.chunking import ChunkPlayer, Query, Step
from soarm.errors import ObservationError
from soarm.policy import Array, ChunkModel, Observation, ResidualModel, Rows, add_residual, clip_to_limits, require_finite
from soarm.spec import ENVIRONMENT_STATE, STATE, PolicySpec

N_LOOKAHEAD = 3
"""Queued base actions a residual sees beyond the current one; with the phase they make the queue's future nearly Markov."""


BLOCK = 8
"""Rows in one query of a network, when there are so many; large enough to batch, small enough not to waste."""


def in_blocks(predict: Callable[[Observation], Array], observation: Observation, size: int | None) -> Array:
    """Ask a network in blocks of `size` rows, the last one filled up with copies of its last row; None asks for all at once.

    Matrix products round differently for different numbers of rows (5e-5 deg in ACT's actions), and contacts amplify that to
    other outcomes. With one shape for every query, what a row does depends on its own observations alone, to the bit.
    """
    if size is None:
        return predict(observation)
    n_rows = len(next(iter(observation.values())))
    answers = []
    for first in range(0, n_rows, size):
        rows = np.minimum(np.arange(first, first + size), n_rows - 1)
        answers.append(predict({key: value[rows] for key, value in observation.items()}))
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
        block: Rows in one query; see `in_blocks`.
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
        for key, feature in self._spec.features.items():
            if key.startswith("observation."):
                _require(observation, key, feature.shape)
        return lambda at: in_blocks(
            self.model.predict_chunks, {key: value[at] for key, value in observation.items()}, self.block
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
        self._block = base.block

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Reset the base."""
        self._base.reset(rows, seeds)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return clip(base + scale * residual)."""
        step = self._base.advance(observation, rows)
        seen = {"residual": residual_observation(observation, step)}
        residual = in_blocks(lambda one: self._model.predict_residual(one["residual"]), seen, self._block)
        return add_residual(step.action, residual, self._scale)


def residual_observation(observation: Observation, step: Step) -> Array:
    """Return what the residual's actor and critics see, shape (B, D), raw units.

    Layout: `RESIDUAL_BLOCKS`, D = `RESIDUAL_OBSERVATION_DIM`.
    """
    state, objects = observation[STATE], observation[ENVIRONMENT_STATE]
    tcp, jaw = (part.astype(np.float32) for part in kinematics.forward(state))  # (B, 3), (B, 3, 3)
    phase = 2.0 * np.pi * step.phase[:, None]
    cube, bin_xy = objects[:, 0:3], objects[:, 5:7]
    offset = cube - tcp
    parts = [state, objects, tcp, offset, bin_xy - cube[:, :2], *_seen_from_the_gripper(tcp, jaw, offset, objects)]
    parts += [step.action, np.sin(phase), np.cos(phase), step.lookahead.reshape(len(state), -1)]
    return np.concatenate(parts, axis=1, dtype=np.float32)


def _seen_from_the_gripper(tcp: Array, jaw: Array, offset: Array, objects: Array) -> list[Array]:
    """Return cube and bin as the arm has to reach for them: `cube_in_plane`, `cube_in_jaw`, `bin_in_plane`, `cube_turn`.

    A correction of a joint moves the gripper outwards, sideways or up, whichever way the arm points; told in the frame of the
    table, a network has to learn the same grasp again for every angle of shoulder_pan.
    """
    outwards = tcp[:, :2] - np.array(kinematics.CHAIN[0][0][:2], np.float32)
    outwards /= np.linalg.norm(outwards, axis=1, keepdims=True)
    to_bin = objects[:, 5:7] - tcp[:, :2]

    def turned(vector: Array) -> Array:
        sideways = outwards[:, 0] * vector[:, 1] - outwards[:, 1] * vector[:, 0]
        return np.stack([(outwards * vector).sum(axis=1), sideways], axis=1)

    in_jaw: Array = np.einsum("bij,bi->bj", jaw, offset)
    turn = (objects[:, 3] + 1j * objects[:, 4]) * np.conj((jaw[:, 0, 0] + 1j * jaw[:, 1, 0]) ** 4)
    in_plane = np.concatenate([turned(offset[:, :2]), offset[:, 2:]], axis=1)
    return [in_plane, in_jaw, turned(to_bin), np.stack([turn.real, turn.imag], axis=1)]


RESIDUAL_OBSERVATION_DIM = 39 + 6 * N_LOOKAHEAD
RESIDUAL_BLOCKS: dict[str, slice] = {
    "state": slice(0, 6),  # joint positions [deg x 5, percent]
    "objects": slice(6, 13),  # cube pose and bin position, as the environment gives them
    "gripper_point": slice(13, 16),  # [m]
    "cube_offset": slice(16, 19),  # gripper point to cube [m]
    "bin_offset": slice(19, 21),  # cube to bin, seen from above [m]
    "cube_in_plane": slice(21, 24),  # gripper point to cube: outwards from the shoulder, to the side, up [m]
    "cube_in_jaw": slice(24, 27),  # the same in the fixed jaw's frame [m]
    "bin_in_plane": slice(27, 29),  # gripper point to bin: outwards, to the side [m]
    "cube_turn": slice(29, 31),  # cos and sin of four times the angle from the jaw to the cube, smaller when the jaw is tilted
    "base_action": slice(31, 37),  # what the base does now [deg x 5, percent]
    "phase": slice(37, 39),  # of its chunk, sine and cosine
    "lookahead": slice(39, RESIDUAL_OBSERVATION_DIM),  # its N_LOOKAHEAD following actions [deg x 5, percent]
}
"""Where `residual_observation` holds what."""
BASE_ACTION = RESIDUAL_BLOCKS["base_action"]


def _require(observation: Observation, key: str, shape: tuple[int, ...]) -> None:
    if key not in observation:
        raise ObservationError(
            f"the observation has no {key}, which the policy was trained on; it holds {sorted(observation)}"
        )
    value: NDArray[np.float32] = observation[key]
    if value.shape[1:] != shape:
        raise ObservationError(f"{key} has shape {value.shape}, allowed is (B, {', '.join(map(str, shape))})")
    require_finite(key, value)
