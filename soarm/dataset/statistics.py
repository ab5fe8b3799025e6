"""Statistics of a dataset's features: exact, over every frame, in double precision.

LeRobot merges episode quantiles by a count-weighted mean, which is no quantile of the whole, and 0.4.4 writes wrong standard
deviations for cameras; here every number is computed from the rows it describes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

QUANTILES: Final[Mapping[str, float]] = {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}
NAMES: Final = ("min", "max", "mean", "std", "count", *QUANTILES)

Statistics = dict[str, NDArray[np.generic]]
"""Name -> array (D,), in the feature's units; `count` is (1,) int64, the number of frames."""


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


def to_json(statistics: Mapping[str, Statistics]) -> dict[str, dict[str, list[float]]]:
    """Return the statistics of all features as stats.json holds them."""
    return {key: {name: value.tolist() for name, value in stats.items()} for key, stats in statistics.items()}


def _extreme(row: NDArray[np.generic]) -> NDArray[np.generic]:
    return row.astype(np.int64 if np.issubdtype(row.dtype, np.integer) else np.float64)
