"""Statistics of a dataset's features: exact, over every frame, in double precision.

LeRobot merges episode quantiles by a count-weighted mean, which is no quantile of the whole, and 0.4.4 writes wrong standard
deviations for cameras; here every number is computed from the rows it describes. Cameras are the exception: no edit decodes
the videos again, so the quantiles of the whole are LeRobot's mean of those of the episodes. The rest is exact for them too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final[Mapping[str, float]] = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
NAMES: Final = ("min", "max", "mean", "std", "count", *QUANTILES)

Statistics = dict[str, NDArray[np.generic]]
"""Name -> array (D,), in the feature's units, or (3, 1, 1) of a camera, 0..1; `count` is (1,) int64, the number of frames."""

_LARGE_PX, _SMALL_PX = 300, 150
"""LeRobot's: of a picture with a side from here on, rows and columns are left out until its longer side is about this [px]."""


def summarise(values: NDArray[np.generic]) -> Statistics:
    """Return the statistics of a feature.

    Args:
        values: Shape (N, D) or (N,), N >= 1, finite.

    Returns:
        Each of `NAMES`: arrays (D,) float64, but `min` and `max` of integers stay int64. `std` is the population's (divided
        by N); quantiles are interpolated linearly between the nearest ranks, as numpy does.
    """
    columns = values.reshape(len(values), -1)  # (N, D)
    ranked = np.sort(columns, axis=0)
    exact = ranked.astype(np.float64)
    mean = exact.mean(axis=0)
    result: Statistics = {
        "min": _extreme(ranked[0]),
        "max": _extreme(ranked[-1]),
        "mean": mean,
        "std": np.sqrt(np.square(exact - mean).mean(axis=0)),
        "count": np.array([len(columns)], dtype=np.int64),
    }
    for name, q in QUANTILES.items():
        position = q * (len(exact) - 1)
        below = int(position)
        above = min(below + 1, len(exact) - 1)
        result[name] = exact[below] + (position - below) * (exact[above] - exact[below])
    return result


class PixelCounts:
    """How often each value occurs in each channel of a camera's pictures, from which their statistics follow."""

    def __init__(self) -> None:
        self._counts = np.zeros((3, 256), np.int64)
        self._n_frames = 0

    def add(self, picture: NDArray[np.uint8]) -> None:
        """Count a picture, (H, W, 3) uint8; of a large one some rows and columns, as LeRobot does."""
        longest = max(picture.shape[:2])
        step = 1 if longest < _LARGE_PX else longest // _SMALL_PX
        for channel, values in enumerate(np.moveaxis(picture[::step, ::step], 2, 0)):
            self._counts[channel] += np.bincount(values.reshape(-1), minlength=256)
        self._n_frames += 1

    def summarise(self) -> Statistics:
        """Return each of `NAMES`: arrays (3, 1, 1) float64 in 0..1; a quantile is a value that occurs."""
        values, totals = np.arange(256) / 255.0, self._counts.sum(axis=1)
        mean = self._counts @ values / totals
        seen = [np.flatnonzero(counts) for counts in self._counts]
        found: Statistics = {
            "min": values[[one[0] for one in seen]],
            "max": values[[one[-1] for one in seen]],
            "mean": mean,
            "std": np.sqrt(((values - mean[:, None]) ** 2 * self._counts).sum(axis=1) / totals),
        }
        for name, q in QUANTILES.items():
            ranks = np.cumsum(self._counts, axis=1) > (q * (totals - 1)).astype(np.int64)[:, None]
            found[name] = values[ranks.argmax(axis=1)]
        shaped = {name: value.reshape(3, 1, 1) for name, value in found.items()}
        return {name: shaped.get(name, np.array([self._n_frames], np.int64)) for name in NAMES}


def merge(parts: Sequence[Statistics]) -> Statistics:
    """Return the statistics of several episodes together: exact, but for quantiles, which are weighted means as LeRobot's."""
    counts = np.array([float(part["count"][0]) for part in parts])

    def weighted(values: Sequence[NDArray[Any]]) -> NDArray[np.float64]:
        return np.asarray(np.tensordot(counts / counts.sum(), np.stack(values), axes=1), np.float64)

    mean = weighted([part["mean"] for part in parts])
    spread = weighted([np.square(part["std"].astype(float)) + np.square(part["mean"].astype(float) - mean) for part in parts])
    exact = {
        "min": np.min([part["min"] for part in parts], axis=0),
        "max": np.max([part["max"] for part in parts], axis=0),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": np.array([int(counts.sum())], np.int64),
    }
    known = [name for name in QUANTILES if all(name in part for part in parts)]  # LeRobot had none at first
    return dict(itertools.chain(exact.items(), ((name, weighted([part[name] for part in parts])) for name in known)))


def from_json(data: Mapping[str, Any]) -> Statistics:
    """Return what `to_json` made of one feature.

    Raises:
        ValueError: It lacks one of min, max, mean, std and count, or holds something else than numbers.
    """
    missing = [name for name in ("min", "max", "mean", "std", "count") if name not in data]
    if missing:
        raise ValueError(f"it lacks {missing}")
    found = {name: np.asarray(data[name], np.float64) for name in NAMES if name in data}
    return {**found, "count": found["count"].astype(np.int64)}


def to_json(statistics: Mapping[str, Statistics]) -> dict[str, dict[str, Any]]:
    """Return the statistics of all features as stats.json holds them."""
    return {key: {name: value.tolist() for name, value in stats.items()} for key, stats in statistics.items()}


def _extreme(row: NDArray[np.generic]) -> NDArray[np.generic]:
    return row.astype(np.int64 if np.issubdtype(row.dtype, np.integer) else np.float64)
