"""Normalisation that lives inside the network: raw LeRobot units go in, raw LeRobot units come out.

Knows mean and standard deviation; knows no dataset.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soarm.spec import content_hash


@dataclasses.dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation per feature.

    Attributes:
        mean: Feature key -> mean per element, in the feature's units.
        std: Feature key -> standard deviation per element, never below the floor it was made with.
    """

    mean: Mapping[str, tuple[float, ...]]
    std: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, columns: Mapping[str, NDArray[np.float32]], std_floor: float) -> Statistics:
        """Return the statistics of `columns`.

        Args:
            columns: Feature key -> rows, shape (N, n), N >= 1, finite (`soarm.act.windows.require_usable`).
            std_floor: Smallest standard deviation to divide by, in the feature's units: an element that hardly moved in the
                demonstrations must not turn sensor noise into large inputs.
        """
        mean, std = {}, {}
        for key, rows in columns.items():
            mean[key] = tuple(float(x) for x in rows.mean(axis=0, dtype=np.float64))
            std[key] = tuple(float(max(x, std_floor)) for x in rows.std(axis=0, dtype=np.float64))
        return cls(mean, std)

    @property
    def hash(self) -> str:
        """Hash of the numbers, for `PolicySpec.statistics_hash`."""
        return content_hash(json.dumps({"mean": self.mean, "std": self.std}, sort_keys=True))


class Standardise(nn.Module):
    """Maps one feature to zero mean and unit standard deviation, and back; the identity until `fit`.

    Args:
        n: Elements of the feature.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, n: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n))
        self.register_buffer("std", torch.ones(n))

    def fit(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """Take over mean and standard deviation, one number per element."""
        self.mean.copy_(torch.tensor(mean))
        self.std.copy_(torch.tensor(std))

    def forward(self, raw: Tensor) -> Tensor:
        """Return (raw - mean) / std, shape (..., n)."""
        return (raw - self.mean) / self.std

    def inverse(self, standard: Tensor) -> Tensor:
        """Return the raw values, shape (..., n)."""
        return standard * self.std + self.mean
