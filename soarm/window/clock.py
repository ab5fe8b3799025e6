"""The clock of a window: a tick per control period, and how well it was kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Punctuality(NamedTuple):
    """How well a clock was kept.

    Attributes:
        ticks_per_s: Ticks per second [Hz].
        late_p50_ms: Median of how late a tick began [ms].
        late_p99_ms: 99 % began less late than this [ms].
        missed: Ticks that were left out because their time had passed.
    """

    ticks_per_s: float
    late_p50_ms: float
    late_p99_ms: float
    missed: int

    def __str__(self) -> str:
        return (
            f"{self.ticks_per_s:.1f} steps per second; a step began {self.late_p50_ms:.1f} ms late in the median, 99 % "
            f"of them less than {self.late_p99_ms:.1f} ms; {self.missed} were left out"
        )


class ControlClock:
    """Ticks at a fixed rate in real time.

    Args:
        rate_hz: Ticks per second [Hz].
        now: The clock [s].
        sleep: Waits so many seconds.
    """

    def __init__(
        self, rate_hz: float, now: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._period_s, self._now, self._sleep = 1.0 / rate_hz, now, sleep
        self._began = self._due = now()
        self._late_s: list[float] = []
        self._missed = 0

    def tick(self) -> None:
        """Wait for the next tick; those whose time has passed are left out, and nothing is made up for."""
        self._due += self._period_s
        behind_s = self._now() - self._due
        if behind_s < 0:
            self._sleep(-behind_s)
            behind_s = self._now() - self._due
        skipped = int(behind_s / self._period_s)
        self._missed += skipped
        self._due += skipped * self._period_s
        self._late_s.append(behind_s - skipped * self._period_s)

    def punctuality(self) -> Punctuality | None:
        """Return how well the clock was kept; None before the first tick."""
        if not self._late_s:
            return None
        median_ms, p99_ms = (1e3 * np.percentile(self._late_s, [50, 99])).tolist()
        return Punctuality(len(self._late_s) / max(self._now() - self._began, 1e-9), median_ms, p99_ms, self._missed)
