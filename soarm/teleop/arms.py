"""Arms for teleoperation: one that follows through the safety chain, and one in somebody's hand that leads."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from soarm.errors import ObservationError, TeleopError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.policy import Array
from soarm.runtime.held_arm import held_arm
from soarm.runtime.safety import Last, Limits, check
from soarm.runtime.sensors import Sensor, first_values
from soarm.runtime.standing import Box, boxes
from soarm.runtime.watchdogs import WatchdogLimits
from soarm.signals import StopRequests
from soarm.spec import ENVIRONMENT_STATE
from soarm.tasks.task import Task
from soarm.teleop.follower import ArmFollower

logger = logging.getLogger(__name__)


class SafetyFilter:
    """The safety chain with a memory of what was sent last.

    Args:
        limits: What is allowed.
        control_hz: Steps per second [Hz].

    Attributes:
        clamped: Steps in which it cut.
    """

    def __init__(self, limits: Limits, control_hz: int) -> None:
        self._limits, self._dt_s = limits, 1.0 / control_hz
        self._last: Last | None = None
        self.clamped = 0

    def forget(self) -> None:
        """Begin anew from where the arm is."""
        self._last = None

    def __call__(self, wanted: Array, present: Array) -> Array:
        """Return what may be sent, shape (6,) [deg x 5, percent]."""
        at = np.asarray(present, np.float64)
        checked = check(wanted, self._last or Last(at, np.zeros_like(at)), at, self._dt_s, self._limits)
        self._last = Last(checked.q, checked.velocity)
        self.clamped += checked.clamped
        return checked.q.astype(np.float32).clip(self._limits.lower, self._limits.upper)


@contextmanager
def follower(
    port: str,
    calibration: Calibration,
    config: ArmConfig,
    task: Task,
    sensors: Mapping[str, Sensor],
    control_hz: int,
    signals: StopRequests | None = None,
    *,
    deadman: bool = True,
) -> Iterator[ArmFollower]:
    """Connect an arm that holds; afterwards, whatever ended it, park it and release it.

    Args:
        port: Where it is.
        calibration: Of this arm.
        config: Its settings.
        task: Whose objects a sensor may tell of.
        sensors: Feature key -> sensor of what is recorded beside the joints.
        control_hz: Control steps per second [Hz].
        signals: Those noted so far; a Ctrl-C among them while the arm parks releases it at once.
        deadman: Whether a process of its own takes the arm when this one falls silent.

    Raises:
        HardwareError: It must not or cannot be driven, was released above its rest pose, or a servo did not confirm its
            release.
        ObservationError: Things cannot be where they are said to be, or a sensor's value is too old.
    """
    first_values(sensors, WatchdogLimits().stop_age_s)
    around = functools.partial(_standing, task, sensors)
    with held_arm(port, calibration, config, around, signals, deadman=deadman) as (arm, beat):
        safety = SafetyFilter(Limits.usual(calibration.lower, calibration.upper), control_hz)
        yield ArmFollower(arm, sensors, safety, control_hz, lambda _: safety.forget(), beat=beat)


def _standing(task: Task, sensors: Mapping[str, Sensor]) -> tuple[Box, ...]:
    """Return what stands on the table, as far as a sensor tells."""
    if ENVIRONMENT_STATE not in sensors:
        return ()
    try:
        return boxes(task, sensors[ENVIRONMENT_STATE].read().value)
    except ObservationError as error:
        logger.warning("the way to the parking pose does not avoid %s: %s", task.subject, error)
        return ()


@contextmanager
def leader(port: str, calibration: Calibration, config: ArmConfig) -> Iterator[Arm]:
    """Connect the arm that leads; it must be limp, and is only read.

    Raises:
        HardwareError: It cannot be read.
        TeleopError: It has torque: nobody could move it.
    """
    with Arm.connect(port, calibration, config) as arm:
        if arm.state is not State.LIMP:
            raise TeleopError(f"the leader on {port} has torque; support it and release it: soarm release --port {port}")
        yield arm
