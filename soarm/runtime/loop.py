"""The control loop in real time: an arm, a bundle's networks, and a clock that never waits for either.

Every bus tick: read the servos, look at the watchdogs, ask the schedule what the base wants now, add the residual, pass the
safety chain, send. Every control tick, one in `bus_hz / control_hz`: look at the objects and whether the task is done, ask for
a new chunk where one is due, and compute the residual on this fresh state, which is reached by the end of the control tick.
Deadlines are absolute; a tick that comes too late is counted, and its time is left out rather than made up for in a burst.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from soarm.errors import FaultError, ObservationError, SoarmError
from soarm.hardware.observation import Observed
from soarm.hardware.states import State
from soarm.policy import Array, ResidualModel, add_residual, clip_to_limits, residual_correction
from soarm.runtime import records
from soarm.runtime.inference import as_soarm_error
from soarm.runtime.objects import Feeling, ObjectSource, Sight
from soarm.runtime.protocols import ArmLike, ChunkSource, TickLog
from soarm.runtime.run_report import TIME_WAS_UP, TOLD_TO_STOP, RunReport
from soarm.runtime.safety import Last, Limits, check
from soarm.runtime.schedule import Schedule
from soarm.runtime.success import IN_THE_BIN, InTheBin
from soarm.runtime.watchdogs import Action, Tick, Verdict, WatchdogLimits, Watchdogs
from soarm.spec import DEFAULT_TASK, ENVIRONMENT_STATE, STATE
from soarm.tasks.registry import find
from soarm.tasks.residual_observation import N_LOOKAHEAD, ResidualObservation

__all__ = ["ArmLike", "Loop", "LoopConfig", "RunReport"]
logger = logging.getLogger(__name__)
_FEATURES = find(DEFAULT_TASK).residual_observation
Joints = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How the loop runs.

    Attributes:
        control_hz: Actions per second, those of the policy [Hz].
        bus_hz: Commands per second, a multiple of `control_hz` [Hz].
        approach: Until the first target is nearer than `approach_until`, no joint moves faster than this [deg/s, percent/s].
        approach_until: More than a fast joint lags behind, and less than a pose that is not the policy's [deg, percent].
        dry_run: Send nothing.
        keep_going: Go on when the task is done.
        patience: Of the watchdogs.

    Raises:
        ValueError: A rate is not allowed.
    """

    control_hz: int
    bus_hz: int
    approach: float = 45.0
    approach_until: float = 15.0
    dry_run: bool = False
    keep_going: bool = False
    patience: WatchdogLimits = dataclasses.field(default_factory=WatchdogLimits)

    def __post_init__(self) -> None:
        if self.control_hz < 1 or self.bus_hz < self.control_hz or self.bus_hz % self.control_hz:
            raise ValueError(
                f"bus_hz is {self.bus_hz}; it must be a multiple of the policy's {self.control_hz} Hz, as "
                f"{', '.join(str(self.control_hz * k) for k in (1, 2, 3))}"
            )


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
        task: Tells when the task is done, which ends the run; None where nothing can tell.
        sight: A first one of the objects; without it the run does not begin before they are seen.
        features: What the residual observes.

    Attributes:
        sight: The latest of the objects.
        report: What happened.
    """

    def __init__(
        self,
        arm: ArmLike,
        thinker: ChunkSource,
        schedule: Schedule,
        residual: tuple[ResidualModel, Joints] | None,
        objects: ObjectSource,
        limits: Limits,
        config: LoopConfig,
        log: TickLog | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        beat: Callable[[], None] = lambda: None,
        senses: Sequence[Callable[[], float]] = (),
        task: InTheBin | None = None,
        sight: Sight | None = None,
        features: ResidualObservation = _FEATURES,
    ) -> None:
        self._arm, self._thinker, self._schedule, self._residual = arm, thinker, schedule, residual
        self._objects, self._limits, self._config, self._log = objects, limits, config, log
        self._now, self._sleep, self._beat = now, sleep, beat
        self._senses, self._task, self._features = tuple(senses), task, features
        self._watchdogs = Watchdogs(config.patience)
        self._slow = dataclasses.replace(limits, velocity=np.minimum(limits.velocity, config.approach))
        self._last: Last | None = None
        self._correction = self._before = np.zeros(6, np.float32)
        self.sight = sight
        self._arrived = False
        self._uncorrected: str | None = None
        self._blind = ""  # why the last look at the objects gave no sight
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
        if self._log is not None:
            self._log.note("loop: the run begins")
        try:
            if not self._config.dry_run:
                self._arm.activate()
            while not self.report.cause:
                if stop():
                    self.report.cause = TOLD_TO_STOP
                elif due >= seconds * bus_hz:
                    self.report.cause = TIME_WAS_UP
                else:
                    self._tick(started_s + due / bus_hz, started_s, asked % every)
                    asked += 1
                    due = self._next(due, started_s)
        finally:
            if self._log is not None:
                self._log.note(f"loop: the run ended: {self.report.cause or 'an error'}")
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
        control, dt_s = place == 0, 1.0 / config.bus_hz
        try:
            self._beat()
            seen = self._arm.observe()
        except FaultError as error:
            report.cause = str(error)
            return
        self._take(began_s)
        if control and not report.cause:
            sight = self._look(began_s, started_s, seen)
            if not report.cause:
                self._control(began_s, seen, sight)
        if report.cause:
            return
        last = self._last or Last(seen.q, np.zeros(6))
        base, correction, wanted = self._want(began_s, place, last)
        near = base is not None and float(np.abs(wanted - seen.q).max()) < config.approach_until
        self._arrived = self._arrived or near
        try:
            checked = check(wanted, last, seen.q, dt_s, self._limits if self._arrived else self._slow)
        except FaultError as error:
            report.cause = str(error)
            return
        assert self.sight is not None, "the first tick looks"
        age_s = max(began_s - self.sight.t_s, *(sense() for sense in self._senses), 0.0)
        verdict = self._judge(began_s, age_s, checked.refused, base is None, seen, control)
        ticks = self._obey(verdict, checked.q, began_s - started_s)
        self._last = Last(seen.q, np.zeros(6)) if ticks is None else Last(checked.q, checked.velocity)
        report.add(checked, began_s - due_s, base is None)
        if self._log is not None:
            times_s = (began_s - due_s, self._now() - began_s, age_s, dt_s)
            flags = (control, self._arrived, self._arm.state, verdict.action)
            policy = records.Policy(self.sight.objects, base, correction, wanted)
            self._log.add(records.make(began_s - started_s, flags, times_s, seen, policy, last, checked, ticks))

    def _want(self, t_s: float, place: int, last: Last) -> tuple[Array | None, Array, Joints]:
        """Return what the base says, the correction at this place in the control tick, and what the arm is to do."""
        every = self._config.bus_hz // self._config.control_hz
        base = self._schedule.at(t_s)
        correction = self._before + (self._correction - self._before) * np.float32((place + 1) / every)
        if base is None:
            return None, correction, clip_to_limits(last.q).astype(np.float64)
        if not np.isfinite(base).all():  # for the safety chain to refuse, not to be cut into shape
            return base, correction, (base + correction).astype(np.float64)
        return base, correction, add_residual(base, correction, 1.0).astype(np.float64)

    def _judge(self, t_s: float, age_s: float, refused: str | None, empty: bool, seen: Observed, control: bool) -> Verdict:
        state = self._arm.state
        if self._config.dry_run and state in (State.LIMP, State.HOLD):
            state = State.ACTIVE
        heard, refused = not seen.misses.any(), refused or self._uncorrected
        return self._watchdogs.judge(Tick(t_s, age_s, refused, empty, state, self._arm.fault, heard, control))

    def _take(self, t_s: float) -> None:
        """Hand a chunk that has come to the schedule; a network that failed ends the run."""
        try:
            thought = self._thinker.take()
        except SoarmError as error:
            self.report.cause = str(error)
            return
        if thought is not None:
            self._schedule.add(thought.t_s, thought.actions, t_s)

    def _look(self, t_s: float, started_s: float, seen: Observed) -> Sight:
        """Look at the objects, and whether the task is done; return the latest sight."""
        if isinstance(self._objects, Feeling):
            self._objects.feel(seen.q, seen.q if self._last is None else self._last.q)
        try:
            self.sight, self._blind = self._objects.read(), ""
        except ObservationError as error:
            if self.sight is None:
                raise
            if str(error) != self._blind:
                self._blind = str(error)
                logger.warning("%s", error)
        report = self.report
        if self._task is not None and report.success_s is None and self._task.reached(self.sight, seen.q):
            report.success_s = t_s - started_s
            self._note(report.success_s, IN_THE_BIN)
            report.cause = "" if self._config.keep_going else IN_THE_BIN
        return self.sight

    def _control(self, t_s: float, seen: Observed, sight: Sight) -> None:
        """Ask for a chunk where one is due, and compute the residual on this state."""
        observation = {
            STATE: seen.q.astype(np.float32)[None],
            ENVIRONMENT_STATE: sight.objects[None],
        }
        if self._schedule.due(t_s):
            self._thinker.ask(t_s, observation)
            self._take(t_s)  # where the answer comes at once, it counts at once
        if self._residual is None:
            return
        self._before, self._uncorrected = self._correction, None
        step = self._schedule.step(t_s, N_LOOKAHEAD)
        model, scale = self._residual
        self._correction = np.zeros(6, np.float32)
        if step is None or not np.isfinite(step.action).all():
            return
        try:
            residual = model.predict_residual(self._features.compute(observation, step))
        except Exception as error:  # ONNX Runtime's errors have no common base; whatever it is, the run ends and is reported
            self.report.cause = str(as_soarm_error(error))
            return
        if not np.isfinite(residual).all():
            self._uncorrected = "the residual's correction is not finite"
            self.report.uncorrected += 1
            return
        self._correction = residual_correction(step.action, residual, scale)[0]

    def _obey(self, verdict: Verdict, q: Joints, t_s: float) -> NDArray[np.int64] | None:
        """Do what the watchdogs say; return the ticks that were sent, None for none."""
        arm, report = self._arm, self.report
        if verdict.action is Action.STOP:
            report.cause = f"{verdict.cause}: {self._blind}" if self._blind else verdict.cause
            self._note(t_s, f"stop: {report.cause}")
            return None
        if self._config.dry_run:
            return None
        if verdict.action is Action.HOLD:
            if arm.state is State.ACTIVE:
                self._note(t_s, f"hold: {verdict.cause}")
                arm.hold()
            self._arrived = False  # meanwhile it may have been moved: what comes next is approached as at the start
            self._schedule.clear()
            self._thinker.forget()
            return None
        if arm.state is State.HOLD:
            try:
                arm.activate()
            except FaultError as error:  # what made it hold is not over; it counts as one of the times it may go on
                self._note(t_s, f"still held: {error}")
                return None
            self._note(t_s, "active")
        try:
            return arm.command(q)
        except FaultError as error:
            report.cause = str(error)
            return None

    def _note(self, t_s: float, text: str) -> None:
        self.report.events.append((t_s, text))
        if self._log is not None:
            self._log.note(f"loop: {text}")
