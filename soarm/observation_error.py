"""Errors of observed object poses, drawn like an eye's: an offset that lasts for the episode, and a jitter at every step.

A policy that is trained under them needs no pictures in its training, and acts through an eye afterwards.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.policy import Observation, Rows
from soarm.quantities import NotNegative
from soarm.rollout import BatchEnv, EnvWrapper
from soarm.spec import ENVIRONMENT_STATE, TRUE_OBJECTS

_STREAM = 0xE220
"""Sets the random numbers of an episode's errors apart from those of its scene."""


@dataclasses.dataclass(frozen=True)
class ObservationError:
    """Standard deviations of the errors; all zero is none.

    Attributes:
        offset_m: Of a thing's position along each axis, for the whole episode [m].
        jitter_m: The same, drawn anew at every step [m].
        offset_deg: Of a thing's yaw, for the whole episode [deg].
        jitter_deg: The same, drawn anew at every step [deg].
    """

    offset_m: NotNegative
    jitter_m: NotNegative
    offset_deg: NotNegative
    jitter_deg: NotNegative

    @property
    def is_none(self) -> bool:
        """Whether nothing is wrong with what is observed."""
        return not any(dataclasses.astuple(self))


class ErringEnv(EnvWrapper):
    """Environments in which policies are told of the objects with errors; the truth stands under `TRUE_OBJECTS`.

    What is wrong in an episode follows from its seed.

    Args:
        env: Environments that tell where the objects are.
        error: How wrong.
    """

    def __init__(self, env: BatchEnv, error: ObservationError) -> None:
        super().__init__(env)
        self._error = error
        elements = [env.task.elements[thing.name] for thing in env.task.things]
        self._at = [[one[name] for name in ("x", "y", "z") if name in one] for one in elements]
        self._yaw = [(one["yaw4_cos"], one["yaw4_sin"]) for one in elements if "yaw4_cos" in one]
        self._rngs = [np.random.default_rng() for _ in range(env.n_rows)]
        self._offsets: NDArray[Any] = np.zeros((env.n_rows, self._size))

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        """See `soarm.rollout.BatchEnv`."""
        seeds = list(seeds)
        for row, seed in zip(rows, seeds, strict=True):
            self._rngs[row] = np.random.default_rng([seed, _STREAM])
            self._offsets[row] = self._draw(row, self._error.offset_m, self._error.offset_deg)
        return super().reset(rows, seeds)

    @property
    def _size(self) -> int:
        return sum(map(len, self._at)) + len(self._yaw)

    def _draw(self, row: int, std_m: float, std_deg: float) -> NDArray[Any]:
        """Draw errors of positions [m], then of yaws [deg]."""
        n = sum(map(len, self._at))
        drawn: NDArray[Any] = self._rngs[row].standard_normal(self._size) * np.repeat([std_m, std_deg], [n, len(self._yaw)])
        return drawn

    def _told(self, observation: Observation, rows: Rows) -> Observation:
        truth = observation[ENVIRONMENT_STATE]
        wrong = truth.copy()
        if len(truth):
            jitter = [self._draw(row, self._error.jitter_m, self._error.jitter_deg) for row in rows]
            errors = self._offsets[rows] + np.stack(jitter)
            at = [i for elements in self._at for i in elements]
            wrong[:, at] += errors[:, : len(at)].astype(np.float32)
            for k, (cosine, sine) in enumerate(self._yaw):
                turn = np.exp(4j * math.pi / 180.0 * errors[:, len(at) + k])
                turned = (truth[:, cosine] + 1j * truth[:, sine]) * turn
                wrong[:, cosine], wrong[:, sine] = turned.real, turned.imag
        return {**observation, ENVIRONMENT_STATE: wrong, TRUE_OBJECTS: truth}
