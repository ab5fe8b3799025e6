"""What demonstrations say to a residual: which corrections the demonstrator would have made.

Knows demonstrations as arrays (columns of a dataset and where its episodes start), not as files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.buffers import NStepReplayBuffer

from soarm import arm
from soarm.base import Pictures
from soarm.errors import DatasetError
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, ChunkModel
from soarm.spec import ACTION, ENVIRONMENT_STATE, PolicySpec
from soarm.tasks.registry import find
from soarm.tasks.residual_observation import N_LOOKAHEAD


def label(
    columns: Mapping[str, Array],
    episode_starts: NDArray[np.int64],
    base: ChunkModel,
    spec: PolicySpec,
    device: torch.device,
    gamma: float,
    n_steps: int,
    pictures: Mapping[str, Pictures] = MappingProxyType({}),
) -> NStepReplayBuffer:
    """Return demonstrations as transitions of the residual's environment.

    The base plays along every demonstration, asked when it would be asked and reset at each start, so that base action, phase
    and look-ahead are distributed as in training. The stored action is (demonstrated - base) / scale, *not* clipped: with the
    base it adds up to what was executed. Every demonstration ends with reward 1: only successful ones are in the dataset.

    Args:
        columns: Feature key -> (N, ...).
        episode_starts: Offsets of E episodes, shape (E + 1,).
        base: The frozen base.
        spec: Its specification, with `residual_scale`.
        device: Where batches go.
        gamma: Discount per step.
        n_steps: Of the n-step return.
        pictures: Feature key -> pictures of all rows, of a base that looks at them.

    Raises:
        DatasetError: They do not tell where the objects are.
    """
    if ENVIRONMENT_STATE not in columns:
        raise DatasetError(
            f"the demonstrations hold {sorted(columns)}, and not {ENVIRONMENT_STATE}, which a residual observes. Set "
            "train_residual.learner.demonstration_share to 0 to learn without them"
        )
    assert spec.residual_scale is not None
    scale = np.asarray(spec.residual_scale, np.float32)
    features = find(spec.task).residual_observation
    observations = _along(columns, episode_starts, base, spec, pictures)
    corrections = (columns[ACTION] - observations[:, features.base_action]) / scale
    buffer = NStepReplayBuffer(
        len(corrections),
        spaces.Box(-np.inf, np.inf, (features.dim,), np.float32),
        spaces.Box(-1.0, 1.0, (arm.N_JOINTS,), np.float32),
        device=device,
        n_steps=n_steps,
        gamma=gamma,
    )
    last = set((episode_starts[1:] - 1).tolist())
    for i, correction in enumerate(corrections):
        done = i in last
        following = observations[i if done else i + 1]  # nothing follows success, and nothing looks at it
        buffer.add(observations[i], following, correction, np.array(float(done)), np.array(done), [{}])
    return buffer


def _along(
    columns: Mapping[str, Array],
    starts: NDArray[np.int64],
    base: ChunkModel,
    spec: PolicySpec,
    pictures: Mapping[str, Pictures],
) -> Array:
    """Return the residual observations along all episodes, played side by side, shape (N, D)."""
    keys = [key for key in spec.features if key != ACTION]
    lengths = np.diff(starts)
    policy = ChunkedPolicy(base, spec, len(lengths), N_LOOKAHEAD, block=None)
    features = find(spec.task).residual_observation
    augmented = np.zeros((int(starts[-1]), features.dim), np.float32)
    for t in range(int(lengths.max())):
        rows = np.flatnonzero(lengths > t)
        at = starts[rows] + t
        observation = {key: pictures[key].gather(at) if key in pictures else columns[key][at] for key in keys}
        augmented[at] = features.compute(observation, policy.advance(observation, rows))
    return augmented
