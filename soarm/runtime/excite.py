"""Play the exciting motion on an arm and log it: hold, go to its begin, swing, park and release, whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path

from soarm.errors import LogError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime import clearance
from soarm.runtime.deadman import DeadMan, nobody
from soarm.runtime.excitation import Playback, motion
from soarm.runtime.journal import Journal, go_on, header
from soarm.runtime.limits import Limits
from soarm.runtime.log import RunLog, require_place
from soarm.runtime.loop import Loop, LoopConfig, RunReport
from soarm.runtime.persist import travel
from soarm.runtime.schedule import Schedule
from soarm.runtime.shutdown import shut_down
from soarm.signals import recorded_signals
from soarm.spec import DEFAULT_TASK
from soarm.tasks.registry import find

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class ExciteConfig:
    """How an arm is excited.

    Attributes:
        log: File for the log; must not exist.
        seconds: How long it swings [s].
        hz: Targets per second [Hz].
        bus_hz: Commands per second, a multiple of it [Hz].
        size: Share of the full swing.
        limits: File with limits of the safety chain; None for the usual ones.
        deadman: Whether a process of its own looks after the arm.
    """

    log: Path
    seconds: float = 60.0
    hz: int = 30
    bus_hz: int = 60
    size: float = 1.0
    limits: Path | None = None
    deadman: bool = True


def excite(
    settings: ExciteConfig,
    port: str,
    calibration: Calibration,
    config: ArmConfig,
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RunReport:
    """Connect, go to where the motion begins, play it through the safety chain, and wind down.

    Ctrl-C, SIGTERM or SIGHUP ends it: the arm holds, parks and is released; a second one releases it at once.

    Args:
        settings: How.
        port: Of the arm.
        calibration: Of the arm.
        config: Its settings.
        now: The clock of the motion [s].
        sleep: Waits so many seconds.

    Raises:
        LogError: The log exists, or cannot be written.
        HardwareError: The arm must not or cannot be driven.
    """
    low, high = calibration.lower, calibration.upper
    limits = Limits.usual(low, high) if settings.limits is None else Limits.load(settings.limits, low, high)
    clearance.require_speed(config.park_speed, limits)
    require_place(settings.log)
    targets = motion(settings.seconds, settings.hz, limits, settings.size)
    with (
        recorded_signals() as stop,
        Arm.connect(port, calibration, config, sleep=sleep) as arm,
        contextlib.ExitStack() as stack,
    ):
        loop_config, task = LoopConfig(settings.hz, settings.bus_hz), find(DEFAULT_TASK, LogError)
        log = stack.enter_context(RunLog(settings.log, task, header(loop_config, limits, arm, "excitation")))
        watcher = stack.enter_context(DeadMan(port, arm.calibration.servo_ids)) if settings.deadman else None
        journal = Journal(arm, log, nobody if watcher is None else watcher.beat)
        schedule, playback = Schedule(settings.hz, len(targets)), Playback(targets, settings.hz)
        loop = Loop(arm, task, playback, schedule, None, {}, limits, loop_config, log, now, sleep, journal.beat)
        try:
            journal.note("moving to where the motion begins")
            arm.hold()
            travel(arm, targets[0], limits, lambda: go_on(stop, journal.step))
            return loop.run(settings.seconds, stop=lambda: bool(stop))
        finally:
            ended = shut_down(arm, journal.step, park=True, signals=stop, limits=limits)
            loop.report.live, loop.report.parked = ended.live, ended.parked
            if ended.lost and watcher is not None:
                watcher.stay()
            journal.end()
