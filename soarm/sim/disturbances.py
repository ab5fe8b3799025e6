"""Disturbances: what is otherwise nominal in an episode is drawn from a wide range in some, each by itself.

An episode that has all of a desk's errors at their worst is one that hardly any desk has, and from which little is learnt: of
ranges that were drawn together a residual learnt to solve 64 %, of these 84 % of the same scenes (docs/notebook.md).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import numpy as np

from soarm.quantities import within

Range = tuple[float, float]


@dataclasses.dataclass(frozen=True)
class DisturbanceParams:
    """Ranges that take the place of others in some of the episodes.

    Attributes:
        share: Chance of each of them to be in an episode.
        physics: Field of `sim.physics` -> [low, high].
        observation_error: Field of `sim.observation_error` -> [low, high].
    """

    share: Annotated[float, within(least=0, most=1)]
    physics: dict[str, Any]
    observation_error: dict[str, Any]

    @property
    def is_none(self) -> bool:
        """Whether no episode has any."""
        return self.share == 0 or not (self.physics or self.observation_error)


def drawn_ranges(
    rng: np.random.Generator, usual: Mapping[str, Range], disturbed: Mapping[str, Range], share: float
) -> Iterator[tuple[str, Range]]:
    """Yield the range of each parameter in an episode: the usual one, or a disturbance; without these no number is drawn."""
    for name, pair in usual.items():
        yield name, disturbed[name] if name in disturbed and rng.uniform() < share else pair
