"""Protocols of what the loop needs: the arm, the network in its thread, and a log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.hardware.observation import Observed
from soarm.hardware.states import State
from soarm.policy import ChunkModel, Observation
from soarm.runtime.inference import ChunkPrediction


class ArmLike(Protocol):
    """What of `soarm.hardware.driver.Arm` the loop needs."""

    state: State
    fault: str | None

    def observe(self) -> Observed:
        """Read all servos."""

    def command(self, q: ArrayLike) -> NDArray[np.int64]:
        """Send targets, shape (6,); return the ticks sent."""

    def hold(self) -> None:
        """Hold where it is."""

    def activate(self) -> None:
        """Let commands through."""


class ChunkSource(Protocol):
    """What of `soarm.runtime.inference.InferenceThread` the loop needs."""

    def ask(self, t_s: float, observation: Observation) -> None:
        """Ask for a chunk from an observation of a moment."""

    def take(self) -> ChunkPrediction | None:
        """Return a chunk that has come since the last call."""

    def forget(self) -> None:
        """Drop a chunk that has come."""


class Pace(NamedTuple):
    """The clock of a run, and how its network is asked.

    Attributes:
        now: The clock [s].
        sleep: Waits so many seconds.
        inference: Opens what answers for a network.
    """

    now: Callable[[], float]
    sleep: Callable[[float], None]
    inference: Callable[[ChunkModel], AbstractContextManager[ChunkSource]]


class TickLog(Protocol):
    """What of `soarm.runtime.log.RunLog` the loop needs."""

    incomplete: str | None

    def add(self, record: NDArray[np.void]) -> None:
        """Take the record of a tick, at its end."""

    def note(self, text: str) -> None:
        """Take an event."""
