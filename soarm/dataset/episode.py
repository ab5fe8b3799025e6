"""One episode as it is stored: rows of features, and the task of each row."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from soarm.spec import Feature


@dataclasses.dataclass(frozen=True)
class StoredEpisode:
    """T rows of a dataset.

    Attributes:
        values: Feature key -> (T, D) float32, in the feature's units. Row t holds what was seen *before* action t.
        tasks: The texts of the tasks in the episode.
        task_index: Which of `tasks` each row belongs to, shape (T,).
    """

    values: Mapping[str, NDArray[np.float32]]
    tasks: tuple[str, ...]
    task_index: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.task_index)


def faults_of(values: Mapping[str, NDArray[np.generic]], features: Mapping[str, Feature]) -> list[str]:
    """List why `values` cannot be stored as an episode of `features`: wrong keys, shapes, lengths, or values not finite."""
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
            faults.append(f"{key} has shape {value.shape}; expected (T, {features[key].shape[0]})")
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
