"""The report of a run: what happened, counted and in words."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from soarm.runtime.safety import Checked, names_of

TIME_WAS_UP, TOLD_TO_STOP = "the time was up", "somebody said stop"


@dataclasses.dataclass
class RunReport:
    """What happened in a run.

    Attributes:
        goal: What counts as success, in words.
        cause: Why it ended.
        ticks: Bus ticks.
        missed: Deadlines that were left out because the time for them had passed.
        lateness_s: How late each tick began [s].
        clamped: Ticks in which the safety chain cut.
        reasons: Name of a reason -> ticks.
        refused: Ticks whose action was none.
        uncorrected: Control ticks whose correction was no six finite numbers, and was left out.
        empty: Ticks for which the policy had nothing to say.
        events: (time since the start [s], text).
        late_chunks: Chunks that came when their first action had passed.
        log: Why the log's end is missing; None where all is well.
        live: Joints that may still be live after the arm was released.
        success_s: When the task was done, since the start [s]; None where it was not, or nothing could tell.
        parked: Whether the arm lay in its parking pose when it was released; None where that was not asked for.
    """

    goal: str = ""
    cause: str = ""
    ticks: int = 0
    missed: int = 0
    lateness_s: list[float] = dataclasses.field(default_factory=list)
    clamped: int = 0
    reasons: Counter[str] = dataclasses.field(default_factory=Counter)
    refused: int = 0
    uncorrected: int = 0
    empty: int = 0
    events: list[tuple[float, str]] = dataclasses.field(default_factory=list)
    late_chunks: int = 0
    log: str | None = None
    live: tuple[str, ...] = ()
    success_s: float | None = None
    parked: bool | None = None

    @property
    def ended_well(self) -> bool:
        """Whether the run ended as it may, and the arm was released where it rests, every servo of it."""
        as_it_may = self.cause in (TIME_WAS_UP, TOLD_TO_STOP) or (self.cause == self.goal and self.success_s is not None)
        return as_it_may and not self.live and self.parked is not False

    def add(self, checked: Checked, lateness_s: float, empty: bool) -> None:
        """Account for a tick: what the safety chain made of it, how late it began [s], and whether the policy was silent."""
        self.ticks += 1
        self.lateness_s.append(lateness_s)
        self.clamped += checked.clamped
        self.reasons.update(names_of(checked.reasons))
        self.refused += checked.refused is not None
        self.empty += empty

    def lines(self) -> list[str]:
        """Return the report in words."""
        late_ms = 1e3 * np.array(self.lateness_s or [0.0])
        p50, p99 = np.percentile(late_ms, [50, 99])
        cut = ", ".join(f"{name} {n}" for name, n in self.reasons.most_common()) or "none"
        return [
            f"ended: {self.cause}",
            *([] if self.success_s is None else [f"success: {self.goal}, {self.success_s:.1f} s after the start"]),
            f"{self.ticks} ticks, {self.missed} deadlines missed; lateness p50 {p50:.2f} ms, p99 {p99:.2f} "
            f"ms, max {late_ms.max():.2f} ms",
            f"clamped {self.clamped / max(self.ticks, 1):.1%} of the ticks ({cut}); {self.refused} actions refused, "
            f"{self.uncorrected} corrections left out, {self.empty} ticks without an action, {self.late_chunks} chunks late",
            *(["the arm was NOT parked; why stands above"] if self.parked is False else []),
            *([] if self.log is None else [self.log]),
        ]
