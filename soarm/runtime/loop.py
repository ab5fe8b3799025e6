"""The control loop in real time: an arm, a bundle's networks, and a clock that never waits for either.

Every bus tick: read the servos, look at the watchdogs, ask the schedule what the base wants now, add the residual, pass the
safety chain, send. Every control tick, one in `bus_hz / control_hz`: read the sensors, see whether the task is done, ask for a
new chunk where one is due, and compute the residual on this fresh state, which is reached by the end of the control tick.
Deadlines are absolute; a tick that comes too late is counted, and its time is left out rather than made up for in a burst.
"""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.errors import FaultError, SoarmError
from soarm.hardware.observation import Observed
from soarm.hardware.states import State
from soarm.policy import Array, Observation, ResidualModel, add_residual, clip_to_limits, residual_correction
from soarm.runtime import records
from soarm.runtime.inference import as_soarm_error
from soarm.runtime.protocols import ArmLike, ChunkSource, TickLog
from soarm.runtime.run_report import TIME_WAS_UP, TOLD_TO_STOP, RunReport
from soarm.runtime.safety import Last, Limits, check
from soarm.runtime.schedule import Schedule
from soarm.runtime.sensors import Sensor, SensorReader, Stamped
from soarm.runtime.success import SuccessMonitor
from soarm.runtime.watchdogs import Action, Tick, Verdict, WatchdogLimits, Watchdogs
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.residual_observation import N_LOOKAHEAD
from soarm.tasks.task import Task

__all__ = ["ArmLike", "Loop", "LoopConfig", "RunReport"]
logger = logging.getLogger(__name__)
Joints = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class LoopConfig:
    """How the loop runs.

    Attributes:
        control_hz: Actions per second, those of the policy [Hz].
        bus_hz: Commands per second, a multiple of `control_hz` [Hz].
        approach: Until the first target is nearer than `approach_until`, no joint moves faster than this [deg/s, percent/s].
        approach_until: Distance that ends the slow approach: above a fast joint's normal lag [deg, percent].
        dry_run: Send nothing.
        keep_going: Go on when the task is done.
        watchdogs: Their limits.

    Raises:
        ValueError: A rate is not allowed.
    """

    control_hz: int
    bus_hz: int
    approach: float = 45.0
    approach_until: float = 15.0
    dry_run: bool = False
    keep_going: bool = False
    watchdogs: WatchdogLimits = dataclasses.field(default_factory=WatchdogLimits)

    def __post_init__(self) -> None:
        if self.control_hz < 1 or self.bus_hz < self.control_hz or self.bus_hz % self.control_hz:
            raise ValueError(
                f"bus_hz is {self.bus_hz}; it must be a multiple of the policy's {self.control_hz} Hz, as "
                f"{', '.join(str(self.control_hz * k) for k in (1, 2, 3))}"
            )


class BegunTick(NamedTuple):
    """A tick that was observed and has not been commanded yet.

    Attributes:
        due_s: When it was due [s].
        began_s: When it began [s].
        t_s: The same since the start of the run [s].
        place: Its place in the control tick; 0 begins one.
        observed: What the arm said.
    """

    due_s: float
    began_s: float
    t_s: float
    place: int
    observed: Observed


class Loop:
    """A run of a policy on an arm.

    `run` makes all of it. Where the policy is outside, as in an environment of reinforcement learning, `ticks` observes tick
    by tick, and `command` ends each of them.

    Args:
        arm: A driver that holds.
        task: What the policy was trained for.
        inference: The base network in its thread.
        schedule: Where its chunks go.
        residual: The residual network and its bound per joint, shape (6,); None drives with the base alone.
        sensors: Feature key -> sensor: with the joints, the observation.
        limits: Of the safety chain.
        config: Rates and limits of the watchdogs.
        log: Gets a record per tick.
        now: The clock [s].
        sleep: Waits so many seconds.
        beat: Called once per tick, for a dead man's switch; a FaultError ends the run.
        success: Tells when the task is done, which ends the run; None where nothing can tell.
        first: Values of the sensors to begin with; without one the run does not begin before a sensor has a value.

    Attributes:
        latest: Feature key -> latest value of its sensor.
        report: What happened.
    """

    def __init__(
        self,
        arm: ArmLike,
        task: Task,
        inference: ChunkSource,
        schedule: Schedule,
        residual: tuple[ResidualModel, Joints] | None,
        sensors: Mapping[str, Sensor],
        limits: Limits,
        config: LoopConfig,
        log: TickLog | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        beat: Callable[[], None] = lambda: None,
        success: SuccessMonitor | None = None,
        first: Mapping[str, Stamped] | None = None,
    ) -> None:
        self._arm, self._task, self._inference = arm, task, inference
        self._schedule, self._residual = schedule, residual
        self._sensors, self._limits, self._config, self._log = SensorReader(sensors, first), limits, config, log
        self._now, self._sleep, self._beat, self._success = now, sleep, beat, success
        self._watchdogs = Watchdogs(config.watchdogs)
        self._slow = dataclasses.replace(limits, velocity=np.minimum(limits.velocity, config.approach))
        self._last: Last | None = None
        self._correction = self._before = np.zeros(6, np.float32)
        self.latest: Mapping[str, Stamped] = self._sensors.latest
        self._arrived = False
        self._uncorrected: str | None = None
        self.report = RunReport(goal=task.goal.words)

    def run(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> RunReport:
        """Run until the time is up, somebody says stop, or a watchdog ends it; the arm holds afterwards, where it can.

        Args:
            seconds: How long at most.
            stop: Asked before every tick.
        """
        for tick in self.ticks(seconds, stop):
            self.command(tick)
        return self.report

    def ticks(self, seconds: float, stop: Callable[[], bool] = lambda: False) -> Iterator[BegunTick]:
        """Yield every tick when it was observed; `command` ends it, before the next one is asked for.

        Ends, and makes the arm hold, as `run` does, and where whoever asks closes it.

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
                    tick = self._observe(started_s + due / bus_hz, started_s, asked % every)
                    if tick is not None:
                        yield tick
                    asked += 1
                    due = self._next(due, started_s)
        finally:
            if self._log is not None:
                self._log.note(f"loop: the run ended: {self.report.cause or 'an error'}")
            self.report.late_chunks = self._schedule.late + self._schedule.lost
            self.report.log = None if self._log is None else self._log.incomplete
            if self._arm.state is State.ACTIVE:
                self._arm.hold()

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

    def _observe(self, due_s: float, started_s: float, place: int) -> BegunTick | None:
        """Read servos and sensors, and see whether the task is done; None where the run ends here."""
        began_s, report = self._now(), self.report
        try:
            self._beat()
            observed = self._arm.observe()
        except FaultError as error:
            report.cause = str(error)
            return None
        self._take_chunk(began_s)
        if place == 0 and not report.cause:
            self._sensors.read(observed.q, observed.q if self._last is None else self._last.q)
            self._look_for_success(began_s - started_s, observed)
        return None if report.cause else BegunTick(due_s, began_s, began_s - started_s, place, observed)

    def command(self, tick: BegunTick) -> None:
        """Decide what the arm is told in a tick, and tell it; `report.cause` says where the run ends here."""
        due_s, began_s, t_s, place, observed = tick
        report, config = self.report, self._config
        control, dt_s = place == 0, 1.0 / config.bus_hz
        if control:
            self._control(began_s, observed)
        if report.cause:
            return
        last = self._last or Last(observed.q, np.zeros(6))
        base, correction, wanted = self._wanted(began_s, place, last)
        near = base is not None and float(np.abs(wanted - observed.q).max()) < config.approach_until
        arrived = self._arrived = self._arrived or near
        try:
            checked = check(wanted, last, observed.q, dt_s, self._limits if arrived else self._slow)
        except FaultError as error:
            report.cause = str(error)
            return
        oldest_s, subject = self._sensors.oldest(began_s)
        age_s = max(oldest_s, 0.0)
        verdict = self._verdict(began_s, (age_s, subject), checked.refused, base is None, observed, control)
        ticks = self._execute(verdict, checked.q, t_s)
        self._last = Last(observed.q, np.zeros(6)) if ticks is None else Last(checked.q, checked.velocity)
        report.add(checked, began_s - due_s, base is None)
        if self._log is not None:
            times_s = (began_s - due_s, self._now() - began_s, age_s, dt_s)
            flags = (control, arrived, self._arm.state, verdict.action)
            seen = records.seen(self._task, self.latest, began_s)
            policy = records.Policy(base, correction, wanted)
            self._log.add(records.make(t_s, flags, times_s, observed, seen, policy, last, checked, ticks))

    def _wanted(self, t_s: float, place: int, last: Last) -> tuple[Array | None, Array, Joints]:
        """Return what the base says, the correction at this place in the control tick, and what the arm is to do."""
        every = self._config.bus_hz // self._config.control_hz
        base = self._schedule.at(t_s)
        correction = self._before + (self._correction - self._before) * np.float32((place + 1) / every)
        if base is None:
            return None, correction, clip_to_limits(last.q).astype(np.float64)
        if not np.isfinite(base).all():  # for the safety chain to refuse, not to be cut into shape
            return base, correction, (base + correction).astype(np.float64)
        return base, correction, add_residual(base, correction, 1.0).astype(np.float64)

    def _verdict(
        self, t_s: float, oldest: tuple[float, str], refused: str | None, empty: bool, observed: Observed, control: bool
    ) -> Verdict:
        state = self._arm.state
        if self._config.dry_run and state in (State.LIMP, State.HOLD):
            state = State.ACTIVE
        heard, refused = not observed.misses.any(), refused or self._uncorrected
        return self._watchdogs.judge(Tick(t_s, *oldest, refused, empty, state, self._arm.fault, heard, control))

    def _take_chunk(self, t_s: float) -> None:
        """Hand a chunk that has come to the schedule; a network that failed ends the run."""
        try:
            chunk = self._inference.take()
        except SoarmError as error:
            self.report.cause = str(error)
            return
        if chunk is not None:
            self._schedule.add(chunk.t_s, chunk.actions, t_s)

    def _look_for_success(self, t_s: float, observed: Observed) -> None:
        report, words = self.report, self._task.goal.words
        if self._success is None or report.success_s is not None:
            return
        if self._success.reached(self.latest[ENVIRONMENT_STATE], observed.q):
            report.success_s = t_s
            self._note(t_s, words)
            report.cause = "" if self._config.keep_going else words

    def _control(self, t_s: float, observed: Observed) -> None:
        """Ask for a chunk where one is due, and compute the residual on this state."""
        observation: Observation = {
            STATE: observed.q.astype(np.float32)[None],
            **{key: stamped.value[None] for key, stamped in self.latest.items()},
        }
        if self._schedule.due(t_s):
            self._inference.ask(t_s, observation)
            self._take_chunk(t_s)  # where the answer comes at once, it counts at once
        if self._residual is None:
            return
        self._before, self._uncorrected = self._correction, None
        step = self._schedule.step(t_s, N_LOOKAHEAD)
        model, scale = self._residual
        self._correction = np.zeros(6, np.float32)
        if step is None or not np.isfinite(step.action).all():
            return
        try:
            residual = model.predict_residual(self._task.residual_observation.compute(observation, step))
        except Exception as error:  # ONNX Runtime's errors have no common base; whatever it is, the run ends and is reported
            self.report.cause = str(as_soarm_error(error))
            return
        if not np.isfinite(residual).all():
            self._uncorrected = "the residual's correction is not finite"
            self.report.uncorrected += 1
            return
        self._correction = residual_correction(step.action, residual, scale)[0]

    def _execute(self, verdict: Verdict, q: Joints, t_s: float) -> NDArray[np.int64] | None:
        """Do what the watchdogs say; return the ticks that were sent, None for none."""
        arm, report = self._arm, self.report
        if verdict.action is Action.STOP:
            report.cause = ": ".join(filter(None, (verdict.cause, self._sensors.faults)))
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
            self._inference.forget()
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
