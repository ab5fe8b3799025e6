"""A run of a trial: what it was, and what was judged to have come of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from soarm.quantities import NotNegative, Whole

DISCARDED = "discarded"
"""The judgement of an attempt that says nothing of the policy; its trial is done again at the end."""


@dataclasses.dataclass(frozen=True)
class Ran:
    """What a run was, beside its outcome.

    Attributes:
        cause: Why it ended.
        ended_well: Whether it ended as it may, with the arm parked.
        success_s: When the runtime saw the task done [s]; None where it did not.
        seconds: How long the policy drove [s].
        ticks: Commands of it.
        clamped: Of these, those that the safety chain cut.
        reasons: Name of a reason -> ticks.
        celsius: Of each servo when it began, at its end after parking, and at most [C].
        least_volts: Of the supply [V].
    """

    cause: str
    ended_well: bool
    success_s: NotNegative | None
    seconds: NotNegative
    ticks: Whole
    clamped: Whole
    reasons: Mapping[str, Whole]
    celsius: Mapping[str, tuple[NotNegative, ...]]
    least_volts: NotNegative


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A run of a trial.

    Attributes:
        log: Name of its log.
        began: When, as ISO 8601.
        ran: What it was.
        outcome: Of the task's, or `DISCARDED`; None before somebody judged it.
        before: Judgements that were corrected, the first one first.
    """

    log: str
    began: str
    ran: Ran
    outcome: str | None
    before: tuple[str, ...]

    def judged(self, outcome: str) -> Attempt:
        """Return it with an outcome; one that it had is kept among those before."""
        before = self.before if self.outcome is None else (*self.before, self.outcome)
        return dataclasses.replace(self, outcome=outcome, before=before)
