"""Arms for teleoperation: one that follows through the safety chain, and one in somebody's hand that leads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from soarm.errors import TeleopError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.policy import Array
from soarm.runtime.drive import wind_down
from soarm.runtime.objects import ObjectSource
from soarm.runtime.safety import Last, Limits, check
from soarm.teleop.follower import ArmFollower


class Guard:
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
    port: str, calibration: Calibration, config: ArmConfig, objects: ObjectSource, control_hz: int
) -> Iterator[ArmFollower]:
    """Connect an arm that holds, and park it and let it go afterwards.

    Raises:
        HardwareError: It must not or cannot be driven.
    """
    with Arm.connect(port, calibration, config) as arm:
        guard = Guard(Limits.usual(calibration.lower, calibration.upper), control_hz)
        arm.hold()
        try:
            arm.activate()
            yield ArmFollower(arm, lambda: objects.read().objects, guard, control_hz, prepare=lambda _: guard.forget())
        finally:
            wind_down(arm, lambda: None, park=True)


@contextmanager
def leader(port: str, calibration: Calibration, config: ArmConfig) -> Iterator[Arm]:
    """Connect the arm that leads; it must be limp, and is only read.

    Raises:
        HardwareError: It cannot be read.
        TeleopError: It has torque: nobody could move it.
    """
    with Arm.connect(port, calibration, config) as arm:
        if arm.state is not State.LIMP:
            raise TeleopError(f"the leader on {port} has torque; support it and let it go: soarm release --port {port}")
        yield arm
