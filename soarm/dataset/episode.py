"""One episode as it is stored: rows of features, the task of each row, and where the pictures of its cameras are."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm.dataset.statistics import Statistics
from soarm.spec import Feature


@dataclasses.dataclass(frozen=True)
class EpisodeVideo:
    """Where the pictures of one camera in one episode are.

    Attributes:
        path: The file.
        first: Number of the episode's first frame in it.
        statistics: Of the episode's pictures; None where nobody has computed them.
    """

    path: Path
    first: int
    statistics: Statistics | None


@dataclasses.dataclass(frozen=True)
class EpisodeCells:
    """Columns of one episode that are copied as they are and not understood: images in the rows, text, flags, other numbers.

    Attributes:
        path: The parquet file.
        first: Row of the file where the episode begins.
        keys: The columns.
        statistics: Of those that have some, as meta/episodes holds them.
    """

    path: Path
    first: int
    keys: tuple[str, ...]
    statistics: Mapping[str, Statistics]


@dataclasses.dataclass(frozen=True)
class StoredEpisode:
    """T rows of a dataset.

    Attributes:
        values: Feature key -> (T, D) float32, in the feature's units. Row t holds what was seen *before* action t.
        tasks: The texts of the tasks in the episode.
        task_index: Which of `tasks` each row belongs to, shape (T,).
        videos: Camera whose pictures are in a video -> where they are.
        cells: Where the columns are that are copied as they are; None where there are none.
    """

    values: Mapping[str, NDArray[np.float32]]
    tasks: tuple[str, ...]
    task_index: NDArray[np.int64]
    videos: Mapping[str, EpisodeVideo] = dataclasses.field(default_factory=dict)
    cells: EpisodeCells | None = None

    def __len__(self) -> int:
        return len(self.task_index)


def faults_of(values: Mapping[str, NDArray[np.generic]], features: Mapping[str, Feature]) -> list[str]:
    """List why `values` cannot be stored as an episode of `features`: wrong keys, shapes, lengths, or values not finite.

    Args:
        values: Feature key -> (T, *shape).
        features: What there should be.
    """
    faults = [f"{key} is missing" for key in features if key not in values]
    faults += [f"{key} is unknown; this dataset has {list(features)}" for key in values if key not in features]
    lengths = {key: len(value) for key, value in values.items() if key in features and value.ndim > 0}
    if len(set(lengths.values())) > 1:
        faults.append(f"lengths differ: {lengths}; each action needs the observation before it (drop the last observation)")
    if 0 in lengths.values():
        faults.append("the episode has no frames")
    for key, value in values.items():
        if key not in features:
            continue
        if value.shape[1:] != features[key].shape or value.ndim == 0:
            expected = ", ".join(map(str, features[key].shape))
            faults.append(f"{key} has shape {value.shape}; expected (T, {expected})")
        elif features[key].kind == "image":
            if value.dtype != np.uint8:
                faults.append(f"{key} is of type {value.dtype}; pictures are uint8, 0..255")
        elif not np.issubdtype(value.dtype, np.number) or np.iscomplexobj(value):
            faults.append(f"{key} is of type {value.dtype}; it must hold real numbers")
        else:
            with np.errstate(over="ignore"):
                stored = value.astype(np.float32)
            if not np.isfinite(stored).all():
                faults.append(not_finite(key, stored, features[key]))
    return faults


def not_finite(key: str, values: NDArray[np.floating], feature: Feature) -> str:
    """Say where `values`, shape (T, D), of a feature are NaN or infinite."""
    bad = np.argwhere(~np.isfinite(values))
    frame, element = bad[0]
    first = f"frame {frame}, {feature.names[element]}: {values[frame, element]}"
    return f"{key} has {len(bad)} values that are not finite, first at {first}"
