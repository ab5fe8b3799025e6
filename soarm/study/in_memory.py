"""Demonstrations with episodes added to them, in memory: what ACT is trained on when a method makes data of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from soarm.base import Demonstrations, Pictures
from soarm.policy import Array
from soarm.rollout import Episode
from soarm.spec import ACTION, Feature, content_hash


@dataclasses.dataclass(frozen=True, eq=False)
class InMemoryDataset:
    """Columns of episodes, as `soarm.base.Demonstrations` wants them.

    Attributes:
        columns: Feature key -> rows of all episodes, shape (N, n).
        episode_starts: Offsets of E episodes, shape (E + 1,).
        fps: Rows per second.
        features: Feature key -> names, units and shape.
        hash: Hash of the content.
        pictures: Feature key of a camera -> its N pictures.
    """

    columns: Mapping[str, Array]
    episode_starts: NDArray[np.int64]
    fps: int
    features: Mapping[str, Feature]
    hash: str
    pictures: Mapping[str, Pictures] = dataclasses.field(default_factory=dict)


def columns_of(episode: Episode) -> dict[str, Array]:
    """Return what training needs of an episode: what was seen before each action, and the action that was executed."""
    return {**episode.observations, ACTION: episode.actions}


def concatenate(demonstrations: Demonstrations, more: Sequence[Mapping[str, Array]]) -> InMemoryDataset:
    """Return `demonstrations` with episodes, as `columns_of` gives them, after them."""
    parts = {key: [rows, *(one[key] for one in more)] for key, rows in demonstrations.columns.items()}
    columns = {key: np.concatenate(rows, dtype=np.float32) for key, rows in parts.items()}
    lengths = [len(one[ACTION]) for one in more]
    ends = int(demonstrations.episode_starts[-1]) + np.cumsum(lengths, dtype=np.int64)
    bytes_hashes = [content_hash(rows.tobytes()) for _, rows in sorted(columns.items())]
    return InMemoryDataset(
        columns,
        np.concatenate([demonstrations.episode_starts, ends]).astype(np.int64),
        demonstrations.fps,
        demonstrations.features,
        content_hash(" ".join([demonstrations.hash, *bytes_hashes, content_hash(ends.tobytes())])),
    )
