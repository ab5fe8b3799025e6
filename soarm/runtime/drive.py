"""From a bundle and an arm to a run, and from there back to an arm that is parked and released, whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soarm.errors import GateError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime import clearance, gate, records
from soarm.runtime.bundle import RESIDUAL, Bundle
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.deadman import DeadMan, nobody
from soarm.runtime.inference import InferenceThread
from soarm.runtime.journal import Journal, go_on, header
from soarm.runtime.log import RunLog, require_place
from soarm.runtime.loop import Loop, LoopConfig, RunReport
from soarm.runtime.onnx_policy import OnnxBase, OnnxResidual, Which
from soarm.runtime.persist import travel
from soarm.runtime.protocols import Pace
from soarm.runtime.safety import Limits
from soarm.runtime.schedule import Schedule
from soarm.runtime.sensors import FollowsArm, Sensor, Stamped, first_values
from soarm.runtime.shutdown import shut_down
from soarm.runtime.standing import Box, boxes
from soarm.runtime.success import SuccessMonitor
from soarm.runtime.tracked import TrackedObjects
from soarm.signals import StopRequests, recorded_signals
from soarm.spec import ENVIRONMENT_STATE, PolicySpec

logger = logging.getLogger(__name__)
FADE_S = 0.1
"""How long one chunk fades into the next: three control periods."""
REAL_TIME = Pace(time.monotonic, time.sleep, InferenceThread)


@dataclasses.dataclass(frozen=True)
class DriveConfig:
    """What is to be run.

    Attributes:
        bundle: What drives.
        which: The base alone, or with its residual.
        sensors: Feature key -> sensor; see `Loop`.
        seconds: How long at most [s].
        bus_hz: Commands per second; None for twice the policy's rate [Hz].
        dry_run: Send nothing.
        allow: Checks of the gate that may fail.
        log: File for the log; None writes none.
        deadman: Whether a process of its own looks after the arm.
        park: Whether the arm is parked before it is released.
        limits: File with limits of the safety chain; None for the usual ones.
        keep_going: Whether the run goes on when the task is done.
        pace: The clock of loop, moves and sensors; `soarm.runtime.lockstep` has one for a twin in lockstep.
        ended: Called when the policy's run is over, before the arm is parked.
    """

    bundle: Bundle
    which: Which
    sensors: Mapping[str, Sensor]
    seconds: float
    bus_hz: int | None = None
    dry_run: bool = False
    allow: Collection[str] = ()
    log: Path | None = None
    deadman: bool = True
    park: bool = True
    limits: Path | None = None
    keep_going: bool = False
    pace: Pace = REAL_TIME
    ended: Callable[[], None] = nobody


def run(settings: DriveConfig, port: str, calibration: Calibration, config: ArmConfig) -> RunReport:
    """Connect, look whether the bundle fits, drive, and wind down.

    Ctrl-C, SIGTERM or SIGHUP ends the run: the arm holds, parks and is released. A second Ctrl-C, or one while it parks,
    releases it at once.

    Raises:
        GateError: The bundle was not made for this arm, or cannot be run as asked.
        ObservationError: Things cannot be where they are said to be, or a sensor's value is too old.
        LogError: The log exists, or cannot be written.
        HardwareError: The arm must not or cannot be driven.
    """
    low, high = calibration.lower, calibration.upper
    limits = Limits.usual(low, high) if settings.limits is None else Limits.load(settings.limits, low, high)
    clearance.require_speed(config.park_speed, limits)
    if settings.log is not None:
        require_place(settings.log)
    loop_config = _loop_config(settings)
    oldest_s = loop_config.watchdogs.stop_age_s
    following = {  # they have no value before the arm says where it is; a tracker has
        key: sensor
        for key, sensor in settings.sensors.items()
        if isinstance(sensor, FollowsArm) and not isinstance(sensor, TrackedObjects)
    }
    now, sleep, _ = settings.pace
    first = first_values({key: one for key, one in settings.sensors.items() if key not in following}, oldest_s, now)
    with recorded_signals() as stop, Arm.connect(port, calibration, config, sleep=sleep) as arm:
        observed = arm.observe()
        first |= first_values(following, oldest_s, now, observed.q)
        volts = float(np.median([one.voltage_v for one in observed.telemetry]))
        found = gate.faults(settings.bundle.spec, settings.bundle.training_arm, config, volts, settings.sensors)
        remarks = gate.remarks(settings.bundle.training_arm, config, volts)
        for text in (*gate.require(found, settings.allow), *remarks):
            logger.warning("%s", text)
        return _run(settings, port, arm, limits, loop_config, stop, first)


def _run(
    settings: DriveConfig,
    port: str,
    arm: Arm,
    limits: Limits,
    config: LoopConfig,
    stop: StopRequests,
    first: Mapping[str, Stamped],
) -> RunReport:
    """Bring the arm up, drive, and wind down."""
    task, (now, sleep, open_inference) = settings.bundle.task, settings.pace
    with contextlib.ExitStack() as stack:
        log = None
        if settings.log is not None:
            of_run: dict[str, Any] = {"dry_run": settings.dry_run, "bundle": settings.bundle.checksums}
            of_run["cameras"] = records.cameras(settings.sensors)
            log = stack.enter_context(RunLog(settings.log, task, header(config, limits, arm, settings.which, **of_run)))
        inference = stack.enter_context(open_inference(OnnxBase(settings.bundle)))
        watcher = None
        if settings.deadman and not settings.dry_run:
            watcher = stack.enter_context(DeadMan(port, arm.calibration.servo_ids))
        journal = Journal(arm, log, nobody if watcher is None else watcher.beat)
        schedule = make_schedule(settings.bundle.spec)
        residual, sensors, done = residual_of(settings.bundle, settings.which), settings.sensors, success_monitor(settings)
        extras: dict[str, Any] = {"now": now, "sleep": sleep, "beat": journal.beat, "success": done, "first": first}
        loop = Loop(arm, task, inference, schedule, residual, sensors, limits, config, log, **extras)

        def around() -> tuple[Box, ...]:
            objects = loop.latest.get(ENVIRONMENT_STATE)
            return () if objects is None else boxes(task, objects.value)

        try:
            if not settings.dry_run:
                _bring_up(settings, arm, limits, around(), lambda: go_on(stop, journal.step), journal.note)
            report = loop.run(settings.seconds, stop=lambda: bool(stop))
            settings.ended()
            return report
        finally:
            if not settings.dry_run:
                ended = shut_down(arm, journal.step, park=settings.park, signals=stop, limits=limits, around=around())
                loop.report.live, loop.report.parked = ended.live, ended.parked
                if ended.lost and watcher is not None:
                    watcher.stay()
            journal.end()


def _loop_config(settings: DriveConfig) -> LoopConfig:
    if not 0 < settings.seconds < math.inf:
        raise GateError(f"a run of {settings.seconds:g} s is not possible; give a number of seconds above 0")
    control_hz = settings.bundle.spec.control_hz
    try:
        bus_hz = 2 * control_hz if settings.bus_hz is None else settings.bus_hz
        return LoopConfig(control_hz, bus_hz, dry_run=settings.dry_run, keep_going=settings.keep_going)
    except ValueError as error:
        raise GateError(str(error)) from None


def success_monitor(settings: DriveConfig) -> SuccessMonitor | None:
    """Return what tells when the task is done; None where the bundle does not say for how long, or nobody sees it."""
    bundle = settings.bundle
    objects = settings.sensors.get(ENVIRONMENT_STATE)
    if objects is None:
        logger.warning("nobody tells where the objects are: the run goes on until the time is up, and tells of no success")
        return None
    reckoned = isinstance(objects, CarriedObjects)
    hold_s = None if bundle.training_arm is None else bundle.training_arm.success_hold_s
    if hold_s is None:
        logger.warning(
            "this bundle does not say when its task is done (training_arm.json, success_hold_s): the run goes on until the "
            "time is up; export it again"
        )
        return None
    open_to_fall = [thing.name for thing in bundle.task.things if thing.surface is not None and not thing.surface.walled]
    if open_to_fall and reckoned:
        logger.warning(
            "what is put on the %s may fall off, and nobody sees it: the run goes on until the time is up, and tells of no "
            "success; --objects FILE would",
            open_to_fall[0],
        )
        return None
    return SuccessMonitor(bundle.task, hold_s)


def _bring_up(
    settings: DriveConfig,
    arm: Arm,
    limits: Limits,
    around: Sequence[Box],
    each: Callable[[], None],
    note: Callable[[str], None],
) -> None:
    """Make the arm hold, and move it to where the policy's episodes start."""
    arm.hold()
    each()
    start = None if settings.bundle.training_arm is None else settings.bundle.training_arm.start
    if start is None:
        return
    note(f"moving to where its episodes start, {[round(x, 1) for x in start]}")
    travel(arm, start, limits, each, around)


def make_schedule(spec: PolicySpec, fade_s: float | None = None) -> Schedule:
    """Return the schedule of a chunk policy.

    Args:
        spec: Of the policy.
        fade_s: How long one chunk fades into the next [s]; None for `FADE_S`.
    """
    assert spec.n_action_steps is not None, "Bundle.open admits chunk policies only"
    fade_s = 0.0 if spec.temporal_ensemble_coeff is not None else FADE_S if fade_s is None else fade_s
    return Schedule(spec.control_hz, spec.n_action_steps, fade_s, spec.temporal_ensemble_coeff)


def residual_of(bundle: Bundle, which: Which) -> tuple[OnnxResidual, Any] | None:
    """Return the residual of a bundle and its bound per joint; None for the base alone.

    Raises:
        GateError: The bundle holds none.
    """
    if which == "base":
        return None
    if RESIDUAL not in bundle.sessions:
        raise GateError(f"{bundle.folder} holds no residual; run it with --which base")
    return OnnxResidual(bundle), np.asarray(bundle.spec.residual_scale, np.float64)
