"""Disturbances: how far the physics and the tellings of an episode go from what is usual.

Each episode has a severity, at which all of its ranges lie between the usual ones and the worst: hardly any desk is the worst
in everything, and from nothing but such episodes little is learnt (docs/notebook.md, "A desk").
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, TypeVar

import numpy as np

from soarm.quantities import LOW_HIGH, within

Ranges = TypeVar("Ranges")
_STREAM = 0xD157
"""Sets the random number of an episode's severity apart from those of its scene."""
_Severity = Annotated[float, within(least=0, most=1)]


@dataclasses.dataclass(frozen=True)
class DisturbanceParams:
    """The worst that episodes may have.

    Attributes:
        severity: Of an episode, drawn from [low, high]: 0 is as usual, 1 the worst.
        physics: Field of `sim.physics` -> its worst [low, high].
        observation_error: Field of `sim.observation_error` -> its worst [low, high].
    """

    severity: Annotated[tuple[_Severity, _Severity], LOW_HIGH]
    physics: dict[str, Any]
    observation_error: dict[str, Any]

    def of_episode(self, seed: int) -> float:
        """Return the severity of the episode of a seed."""
        low, high = self.severity
        return float(np.random.default_rng([seed, _STREAM]).uniform(low, high)) if low < high else low


@dataclasses.dataclass(frozen=True)
class GrowingDisturbances(DisturbanceParams):
    """Disturbances that grow over some scenes, taken in order: at first none, in the end as the severity says.

    Attributes:
        scenes: Seeds of these scenes; all others are disturbed as the severity says.
        growth: Scene at which disturbances begin, and scene from which on they are whole.
    """

    scenes: range
    growth: tuple[int, int]

    def of_episode(self, seed: int) -> float:
        """Return the severity of the episode of a seed."""
        least, whole, (first, last) = self.severity[0], super().of_episode(seed), self.growth
        if seed not in self.scenes:
            return whole
        share = (self.scenes.index(seed) - first) / (last - first)
        return least + min(max(share, 0.0), 1.0) * (whole - least)


def between(usual: Ranges, worst: Ranges, severity: float) -> Ranges:
    """Return the ranges that lie between those of two dataclasses; the usual ones themselves where they do not differ."""
    if severity == 0:
        return usual
    found = {}
    for name, (low, high) in vars(usual).items():
        lowest, highest = getattr(worst, name)
        if (lowest, highest) != (low, high):
            found[name] = low + severity * (lowest - low), high + severity * (highest - high)
    made: Ranges = dataclasses.replace(usual, **found)  # type: ignore[type-var]
    return made
