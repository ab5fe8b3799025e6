"""One trial: the run of `soarm drive` with one of the two policies, and what its log says of servos and safety chain."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.proof.attempt import Ran
from soarm.proof.plan import Spot
from soarm.runtime import drive, log
from soarm.runtime.bundle import Bundle
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.onnx_policy import Which
from soarm.runtime.protocols import Pace
from soarm.runtime.run_report import TOLD_TO_STOP, RunReport
from soarm.runtime.sensors import Sensor
from soarm.spec import ENVIRONMENT_STATE

Senses = Callable[[Spot, Pace], AbstractContextManager[Mapping[str, Sensor]]]
"""Opens the sensors of a trial on a spot."""


class Runner(Protocol):
    """Runs a trial: on a spot, with a policy, into a log; `ended` is called before the arm is parked."""

    def __call__(self, spot: Spot, which: Which, path: Path, ended: Callable[[], None]) -> Ran:
        """See the class."""


class Setup(NamedTuple):
    """What is the same in every trial.

    Attributes:
        bundle: Holds both policies.
        port: Of the arm.
        calibration: Of the arm.
        config: Its settings.
        senses: Opens the sensors.
        seconds: How long a trial lasts at most [s].
        limits: File with limits of the safety chain; None for the usual ones.
        allow: Checks of the gate that may fail.
        pace: Returns the clock of a trial.
        bus_hz: Commands per second; None for twice the policy's rate [Hz].
        deadman: Whether a process of its own looks after the arm.
    """

    bundle: Bundle
    port: str
    calibration: Calibration
    config: ArmConfig
    senses: Senses
    seconds: float
    limits: Path | None = None
    allow: Collection[str] = ()
    pace: Callable[[], Pace] = lambda: drive.REAL_TIME
    bus_hz: int | None = None
    deadman: bool = True


def run(setup: Setup, spot: Spot, which: Which, path: Path, ended: Callable[[], None]) -> Ran:
    """Run a trial as `soarm drive` would.

    Args:
        setup: What is the same in every trial.
        spot: Where the things lie.
        which: The policy.
        path: Of the log.
        ended: Called when the policy's run is over, before the arm is parked.

    Raises:
        SoarmError: The arm must not or cannot be driven, or nobody tells where the things are; see `soarm.runtime.drive.run`.
    """
    pace = setup.pace()
    with setup.senses(spot, pace) as sensors:
        settings = drive.DriveConfig(
            setup.bundle,
            which,
            sensors,
            setup.seconds,
            setup.bus_hz,
            allow=setup.allow,
            log=path,
            deadman=setup.deadman,
            limits=setup.limits,
            pace=pace,
            ended=ended,
        )
        report = drive.run(settings, setup.port, setup.calibration, setup.config)
    return made(report, path, 1.0 / (setup.bus_hz or 2 * setup.bundle.spec.control_hz))


def runner(setup: Setup) -> Runner:
    """Return what runs trials with one setup."""
    return lambda spot, which, path, ended: run(setup, spot, which, path, ended)


def was_stopped(ran: Ran) -> bool:
    """Whether a signal ended the run: Ctrl-C."""
    return ran.cause == TOLD_TO_STOP


def as_placed(spot: Spot, bundle: Bundle, pace: Pace) -> dict[str, Sensor]:
    """Return the sensor of things that lie on their spots, and go with the hand that holds them."""
    return {ENVIRONMENT_STATE: CarriedObjects(bundle.task, spot.objects(bundle.task), pace.now)}


def made(report: RunReport, path: Path, tick_s: float) -> Ran:
    """Return what a run was.

    Args:
        report: Of the run.
        path: Its log.
        tick_s: Time from one command to the next [s].
    """
    read = log.read(path)
    celsius, volts = _telemetry(read, "temperature_c"), _telemetry(read, "voltage_v")
    return Ran(
        cause=report.cause,
        ended_well=report.ended_well,
        success_s=report.success_s,
        seconds=round((report.ticks + report.missed) * tick_s, 3),
        ticks=report.ticks,
        clamped=report.clamped,
        reasons=dict(sorted(report.reasons.items())),
        celsius={
            name: (float(of[0]), float(of[-1]), float(of.max())) if len(of) else ()
            for name, of in zip(arm.JOINT_NAMES, celsius.T, strict=True)
        },
        least_volts=round(float(volts.min()), 2) if volts.size else 0.0,
    )


def _telemetry(read: log.Run, name: str) -> NDArray[np.float64]:
    """Return a number of every servo over the whole log, in the order of time, shape (N, 6)."""
    ran, moved = read.records, read.moves
    began_s = next((event["t_s"] for event in read.events if event["text"] == "loop: the run begins"), 0.0)
    before = moved["t_s"] <= began_s
    parts = moved[name][before], ran[name], moved[name][~before]
    return np.concatenate([np.asarray(part, np.float64) for part in parts])


def quiet_cause(ran: Ran) -> str | None:
    """Return why a run did not end as it may, in words that do not tell which policy acted; None where it did."""
    if ran.ended_well or was_stopped(ran):
        return None
    return "the policy failed; the log says how" if "residual" in ran.cause else ran.cause
