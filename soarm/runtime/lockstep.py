"""The loop of `soarm drive` in lockstep: a clock that passes when somebody waits, and a network that answers when it is asked.

With one command per control tick every tick of `Loop` is then one control period, however long it takes; `deploy_check` plays
its scenes so.
"""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np

from soarm.policy import ChunkModel, Observation
from soarm.runtime.inference import ChunkPrediction
from soarm.runtime.protocols import Pace


class Clock:
    """A clock that passes when somebody waits."""

    def __init__(self) -> None:
        self._t_s = 0.0

    def now(self) -> float:
        """Return the time [s]."""
        return self._t_s

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self._t_s += seconds


class SyncInference:
    """A network in the place of `soarm.runtime.inference.InferenceThread`, without a thread.

    Args:
        model: The network.
    """

    def __init__(self, model: ChunkModel) -> None:
        self._model = model
        self._chunk: ChunkPrediction | None = None

    def ask(self, t_s: float, observation: Observation) -> None:
        """Predict a chunk from an observation of a moment, each array (1, ...)."""
        self._chunk = ChunkPrediction(t_s, np.asarray(self._model.predict_chunks(observation)[0], np.float32))

    def take(self) -> ChunkPrediction | None:
        """Return the chunk, once; None if there is none."""
        chunk, self._chunk = self._chunk, None
        return chunk

    def forget(self) -> None:
        """Drop the chunk."""
        self._chunk = None


def lockstep() -> Pace:
    """Return the pace of a run in which time passes where it waits, from 0 on, and the network answers at once."""
    clock = Clock()
    return Pace(clock.now, clock.sleep, lambda model: nullcontext(SyncInference(model)))
