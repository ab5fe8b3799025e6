"""Decide in every tick whether a run may go on, with a named cause for every stop.

The driver watches the servos (`soarm.hardware.watch`); this watches what reaches it: sensors whose values are too old, actions
that are none, a policy that does not answer.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import NamedTuple

from soarm.hardware.states import State


class Action(enum.IntEnum):
    """What a verdict asks for."""

    GO = 0
    HOLD = 1
    STOP = 2


class Verdict(NamedTuple):
    """What to do, and why."""

    action: Action
    cause: str


GO = Verdict(Action.GO, "")


@dataclasses.dataclass(frozen=True)
class WatchdogLimits:
    """Thresholds of the watchdogs.

    Attributes:
        hold_age_s: A sensor's value that is older makes the arm hold [s].
        stop_age_s: And one that is older than this ends the run [s].
        stop_refused: Control ticks in a row whose action or correction is no six finite numbers, until the run ends; the first
            makes the arm stay.
        stop_empty_s: How long the policy may have nothing to say until the run ends [s].
        resume_s: A held arm goes on after so long without a cause [s].
        max_resumes: How often.
    """

    hold_age_s: float = 0.15
    stop_age_s: float = 2.0
    stop_refused: int = 3
    stop_empty_s: float = 2.0
    resume_s: float = 0.5
    max_resumes: int = 5


class Tick(NamedTuple):
    """What the watchdogs look at.

    Attributes:
        t_s: Time [s].
        age_s: How old the oldest value of a sensor is [s].
        subject: What that sensor observes, in words.
        refused: What was wrong with the action or its correction; None for good ones.
        empty: The policy has nothing to say.
        state: Of the arm.
        fault: Why the arm stopped or holds by itself.
        heard: Every servo answered in this tick.
        control: Whether this tick begins a control tick: one action lasts for several ticks of the bus, and counts once.
    """

    t_s: float
    age_s: float
    subject: str
    refused: str | None
    empty: bool
    state: State
    fault: str | None
    heard: bool
    control: bool = True


class Watchdogs:
    """Judges ticks; keeps how long a cause has lasted.

    Args:
        limits: Thresholds.

    Attributes:
        resumes: How often a held arm went on.
    """

    def __init__(self, limits: WatchdogLimits) -> None:
        self._limits = limits
        self._n_refused = self.resumes = 0
        self._empty_since_s: float | None = None
        self._held_since_s: float | None = None

    def judge(self, tick: Tick) -> Verdict:
        """Return what to do with this tick."""
        verdict = max(self._arm(tick), self._age(tick), self._refused(tick), self._silent(tick), key=lambda one: one.action)
        return verdict if verdict.action is not Action.GO else self._after_hold(tick)

    def _arm(self, tick: Tick) -> Verdict:
        if tick.state in (State.FAULT, State.LIMP, State.DISCONNECTED):
            return Verdict(Action.STOP, f"the arm is in {tick.state.name}: {tick.fault or 'somebody released it'}")
        if tick.state is State.HOLD and (not tick.heard or self.resumes >= self._limits.max_resumes):
            stop = tick.heard
            cause = f"the arm holds: {tick.fault}" + (f", after {self.resumes} resumes" if stop else "")
            return Verdict(Action.STOP if stop else self._hold(tick), cause)
        return GO

    def _age(self, tick: Tick) -> Verdict:
        age_s, limits, old = tick.age_s, self._limits, f"{tick.subject} were last seen {tick.age_s:.2f} s ago"
        if not age_s <= limits.stop_age_s:  # NaN is no age
            return Verdict(Action.STOP, f"{old}, the limit is {limits.stop_age_s:g} s")
        if not age_s <= limits.hold_age_s:
            return Verdict(self._hold(tick), old)
        return GO

    def _refused(self, tick: Tick) -> Verdict:
        if tick.control:
            self._n_refused = self._n_refused + 1 if tick.refused else 0
        if self._n_refused >= self._limits.stop_refused:
            return Verdict(Action.STOP, f"{self._n_refused} actions in a row were invalid: {tick.refused}")
        return GO

    def _silent(self, tick: Tick) -> Verdict:
        if not tick.empty:
            self._empty_since_s = None
            return GO
        if self._empty_since_s is None:
            self._empty_since_s = tick.t_s
        waited_s = tick.t_s - self._empty_since_s
        if not waited_s <= self._limits.stop_empty_s:
            return Verdict(Action.STOP, f"the policy has returned nothing for {waited_s:.1f} s")
        return GO

    def _hold(self, tick: Tick) -> Action:
        self._held_since_s = tick.t_s
        return Action.HOLD

    def _after_hold(self, tick: Tick) -> Verdict:
        """Keep holding until the cause has been gone for a while; an arm that held by itself counts as held."""
        if self._held_since_s is None:
            if tick.state is not State.HOLD:
                return GO
            self._held_since_s = tick.t_s
        if tick.t_s - self._held_since_s < self._limits.resume_s:
            return Verdict(Action.HOLD, "waiting until the cause of the hold has passed")
        self._held_since_s = None
        self.resumes += 1
        return GO
