"""The control loop in real time: an arm, a bundle's networks, and a clock that never waits for either.

Every bus tick: read the servos, look at the watchdogs, ask the schedule what the base wants now, add the residual, pass the
safety chain, send. Every control tick, one in `bus_hz / control_hz`: look at the objects, ask for a new chunk where one is
due, and compute the residual on this fresh state, which is reached by the end of the control tick. Deadlines are absolute; a
tick that comes too late is counted, and its time is left out rather than made up for in a burst.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from soarm.errors import FaultError, ObservationError, SoarmError
from soarm.hardware.observation import Observed
from soarm.hardware.states import State
from soarm.policies import N_LOOKAHEAD, residual_observation
from soarm.policy import ResidualModel, add_residual, clip_to_limits
from soarm.runtime import records
from soarm.runtime.lockstep import Driven
from soarm.runtime.log import RunLog
from soarm.runtime.objects import ObjectSource, Sight
from soarm.runtime.safety import Last, Limits, Reason, check
from soarm.runtime.schedule import Schedule
from soarm.runtime.thinker import Thinker, named
from soarm.runtime.watchdogs import Action, Patience, Tick, Verdict, Watchdogs
from soarm.spec import ENVIRONMENT_STATE, STATE

logger = logging.getLogger(__name__)
Joints = NDArray[np.float64]


class ArmLike(Driven, Protocol):
    """What of `soarm.hardware.driver.Arm` the loop needs."""

    state: State
    fault: str | None

    def hold(self) -> None:
        """Hold where it is."""

    def activate(self) -> None:
        """Let commands through."""


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How the loop runs.

    Attributes:
        control_hz: Actions per second, those of the policy [Hz].
        bus_hz: Commands per second, a multiple of `control_hz` [Hz].
        approach: Until the first target is nearer than `approach_until`, no joint moves faster than this [deg/s, percent/s].
        approach_until: More than a fast joint lags behind, and less than a pose that is not the policy's [deg, percent].
        dry_run: Send nothing.
        patience: Of the watchdogs.

    Raises:
        ValueError: A rate is not allowed.
    """

    control_hz: int
    bus_hz: int
    approach: float = 45.0
    approach_until: float = 15.0
    dry_run: bool = False
    patience: Patience = dataclasses.field(default_factory=Patience)

    def __post_init__(self) -> None:
        if self.control_hz < 1 or self.bus_hz < self.control_hz or self.bus_hz % self.control_hz:
            raise ValueError(
                f"bus_hz is {self.bus_hz}; it must be a multiple of the policy's {self.control_hz} Hz, as "
                f"{', '.join(str(self.control_hz * k) for k in (1, 2, 3))}"
            )


@dataclasses.dataclass
class RunReport:
    """What happened in a run.

    Attributes:
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
        live: Joints that may still be live after the arm was let go.
    """

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

    def lines(self) -> list[str]:
        """Return the report in words."""
        late_ms = 1e3 * np.array(self.lateness_s or [0.0])
        p50, p99 = np.percentile(late_ms, [50, 99])
        cut = ", ".join(f"{name} {n}" for name, n in self.reasons.most_common()) or "none"
        return [
            f"ended: {self.cause}",
            f"{self.ticks} ticks, {self.missed} deadlines missed; lateness p50 {p50:.2f} ms, p99 {p99:.2f} "
            f"ms, max {late_ms.max():.2f} ms",
            f"clamped {self.clamped / max(self.ticks, 1):.1%} of the ticks ({cut}); {self.refused} actions refused, "
            f"{self.uncorrected} corrections left out, {self.empty} ticks without an action, {self.late_chunks} chunks late",
            *([] if self.log is None else [self.log]),
        ]


class Loop:
    """A run of a policy on an arm.

    Args:
        arm: A driver that holds.
        thinker: The base network in its thread.
        schedule: Where its chunks go.
        residual: The residual network and its bound per joint, shape (6,); None drives with the base alone.
        objects: Where cube and bin are.
        limits: Of the safety chain.
        config: Rates and patience.
        log: Gets a record per tick.
        now: The clock [s].
        sleep: Waits so many seconds.
        beat: Called once per tick, for a dead man's switch; a FaultError ends the run.
        senses: How old what other senses saw is [s], as `Camera.age_s`; the oldest counts like the objects.
    """

    def __init__(
        self,
        arm: ArmLike,
        thinker: Thinker,
        schedule: Schedule,
        residual: tuple[ResidualModel, Joints] | None,
        objects: ObjectSource,
        limits: Limits,
        config: LoopConfig,
        log: RunLog | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        beat: Callable[[], None] = lambda: None,
        senses: Sequence[Callable[[], float]] = (),
    ) -> None:
        self._arm, self._thinker, self._schedule, self._residual = arm, thinker, schedule, residual
        self._objects, self._limits, self._config, self._log = objects, limits, config, log
        self._now, self._sleep, self._beat = now, sleep, beat
        self._senses = tuple(senses)
        self._watchdogs = Watchdogs(config.patience)
        self._slow = dataclasses.replace(limits, velocity=np.minimum(limits.velocity, config.approach))
        self._last: Last | None = None
        self._correction = self._before = np.zeros(6, np.float32)
        self._sight = Sight(-np.inf, np.zeros(7, np.float32))
        self._arrived = False
        self._uncorrected: str | None = None
        self.report = RunReport()

    def run(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> RunReport:
        """Run until the time is up, somebody says stop, or a watchdog ends it; the arm holds afterwards, where it can.

        Args:
            seconds: How long at most.
            stop: Asked before every tick.
        """
        bus_hz = self._config.bus_hz
        started_s, every = self._now(), bus_hz // self._config.control_hz
        due = asked = 0  # the deadline that is due, in ticks since the start, and ticks so far
        try:
            if not self._config.dry_run:
                self._arm.activate()
            while not self.report.cause:
                if stop():
                    self.report.cause = "somebody said stop"
                elif due >= seconds * bus_hz:
                    self.report.cause = "the time was up"
                else:
                    self._tick(started_s + due / bus_hz, started_s, asked % every)
                    asked += 1
                    due = self._next(due, started_s)
        finally:
            self.report.late_chunks = self._schedule.late + self._schedule.lost
            self.report.log = None if self._log is None else self._log.incomplete
            if self._arm.state is State.ACTIVE:
                self._arm.hold()
        return self.report

    def _next(self, due: int, started_s: float) -> int:
        """Sleep until the next deadline and return it; those that have passed as a whole are left out."""
        bus_hz = self._config.bus_hz
        due += 1
        behind_s = self._now() - started_s - due / bus_hz
        if behind_s < 0:
            self._sleep(-behind_s)
            return due
        skipped = int(behind_s * bus_hz)
        self.report.missed += skipped
        return due + skipped

    def _tick(self, due_s: float, started_s: float, place: int) -> None:
        began_s = self._now()
        report, config = self.report, self._config
        control, every = place == 0, self._config.bus_hz // self._config.control_hz
        try:
            self._beat()
            seen = self._arm.observe()
            thought = self._thinker.take()
        except SoarmError as error:
            report.cause = str(error)
            return
        if thought is not None:
            self._schedule.add(thought.t_s, thought.actions, began_s)
        if control:
            self._control(began_s, seen)
        if report.cause:
            return
        base = self._schedule.at(began_s)
        last = self._last or Last(seen.q, np.zeros(6))
        correction = self._before + (self._correction - self._before) * np.float32((place + 1) / every)
        wanted = last.q if base is None else (base + correction).astype(np.float64)
        if np.isfinite(wanted).all():  # what is not is for the safety chain to refuse, not to be cut into shape
            wanted = clip_to_limits(wanted).astype(np.float64)
        self._arrived = self._arrived or (base is not None and float(np.abs(wanted - seen.q).max()) < config.approach_until)
        dt_s = 1.0 / config.bus_hz
        try:
            checked = check(wanted, last, seen.q, dt_s, self._limits if self._arrived else self._slow)
        except FaultError as error:
            report.cause = str(error)
            return
        age_s = max(began_s - self._sight.t_s, *(sense() for sense in self._senses), 0.0)
        heard = not seen.misses.any()
        state = self._arm.state
        if config.dry_run and state in (State.LIMP, State.HOLD):
            state = State.ACTIVE
        refused = checked.refused or self._uncorrected
        tick = Tick(began_s, age_s, refused, base is None, state, self._arm.fault, heard, control)
        verdict = self._watchdogs.judge(tick)
        ticks = self._obey(verdict, checked.q, began_s - started_s)
        if ticks is None:
            self._last = Last(seen.q, np.zeros(6))
        else:
            self._last = Last(checked.q, checked.velocity)
        report.ticks += 1
        report.lateness_s.append(began_s - due_s)
        report.clamped += checked.clamped
        report.reasons.update({reason.name or "" for joint in checked.reasons for reason in Reason(joint)})
        report.refused += checked.refused is not None
        report.empty += base is None
        if self._log is not None:
            self._log.add(
                records.make(
                    began_s - started_s,
                    control,
                    self._arrived,
                    self._arm.state,
                    verdict.action,
                    (began_s - due_s, self._now() - began_s, age_s, dt_s),
                    self._sight.objects,
                    seen,
                    wanted,
                    last,
                    checked,
                    ticks,
                )
            )

    def _control(self, t_s: float, seen: Observed) -> None:
        """Look at the objects, ask for a chunk where one is due, and compute the residual on this state."""
        try:
            self._sight = self._objects.read()
        except ObservationError as error:
            if not self.report.ticks:
                raise
            logger.warning("%s", error)
        observation = {
            STATE: seen.q.astype(np.float32)[None],
            ENVIRONMENT_STATE: self._sight.objects[None],
        }
        if self._schedule.due(t_s):
            self._thinker.ask(t_s, observation)
        if self._residual is None:
            return
        self._before, self._uncorrected = self._correction, None
        step = self._schedule.step(t_s, N_LOOKAHEAD)
        model, scale = self._residual
        self._correction = np.zeros(6, np.float32)
        if step is None or not np.isfinite(step.action).all():
            return
        try:
            residual = model.predict_residual(residual_observation(observation, step))
        except Exception as error:  # ONNX Runtime's errors have no common base; whatever it is, the run ends and is reported
            self.report.cause = str(named(error))
            return
        if not np.isfinite(residual).all():
            self._uncorrected = "the residual's correction is not finite"
            self.report.uncorrected += 1
            return
        executed = add_residual(step.action, residual, scale)[0]
        self._correction = (executed - clip_to_limits(step.action)[0]).astype(np.float32)

    def _obey(self, verdict: Verdict, q: Joints, t_s: float) -> NDArray[np.int64] | None:
        """Do what the watchdogs say; return the ticks that were sent, None for none."""
        arm, report = self._arm, self.report
        if verdict.action is Action.STOP:
            report.cause = verdict.cause
            report.events.append((t_s, f"stop: {verdict.cause}"))
            return None
        if self._config.dry_run:
            return None
        if verdict.action is Action.HOLD:
            if arm.state is State.ACTIVE:
                report.events.append((t_s, f"hold: {verdict.cause}"))
                arm.hold()
            self._arrived = False  # meanwhile it may have been moved: what comes next is approached as at the start
            self._schedule.clear()
            self._thinker.forget()
            return None
        if arm.state is State.HOLD:
            report.events.append((t_s, "active"))
            arm.activate()
        try:
            return arm.command(q)
        except FaultError as error:
            report.cause = str(error)
            return None
