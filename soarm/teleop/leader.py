"""A second arm, limp in somebody's hand, as a teleoperator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from soarm import arm
from soarm.errors import TeleopError
from soarm.kinematics import MINIMUM_JERK_PEAK, minimum_jerk
from soarm.policy import Array, Observation, clip_to_limits
from soarm.spec import STATE

RAMP_DEG_S = 60.0
"""Mean speed of the fastest joint on the way from where the follower stands to where the leader is [deg/s, percent/s]."""
STALE_S = 0.15
"""A leader that was last heard longer ago is not followed: the follower stays where it was sent."""


class LeaderArm(Protocol):
    """What of `soarm.hardware.driver.Arm` is needed; it is only read."""

    def observe(self) -> Any:
        """Return an observation with `q` (6,) [deg x 5, percent] and `age_s` (6,)."""


class Leader:
    """The leader's joints are the follower's targets, after a slow start.

    Gears and zeros of two arms differ; what is mapped are calibrated positions, so both must be calibrated.

    Args:
        leader: The limp arm.
        control_hz: Steps per second [Hz].
        now: The clock [s].
    """

    def __init__(self, leader: LeaderArm, control_hz: int, now: Callable[[], float] = time.monotonic) -> None:
        self._leader, self._now, self._control_hz = leader, now, control_hz
        self._from: Array = np.zeros(arm.N_JOINTS, np.float32)
        self._target: Array = self._from
        self._ramp_steps = self._step = 0
        self.stale_steps = 0

    def connect(self) -> None:
        """Look once.

        Raises:
            TeleopError: A joint of the leader does not answer.
        """
        silent = self._silent(self._leader.observe())
        if silent:
            raise TeleopError(
                f"the leader's {', '.join(silent)} did not answer within {STALE_S} s; look at its cable and supply "
                "(soarm doctor --port PORT) and start again"
            )

    def start(self, observation: Observation) -> None:
        """Begin a slow way from where the follower stands to where the leader is."""
        self._from = self._target = clip_to_limits(observation[STATE])
        far = float(np.abs(self._pose() - self._from).max())
        self._ramp_steps, self._step = int(np.ceil(MINIMUM_JERK_PEAK * far / RAMP_DEG_S * self._control_hz)), 0

    def action(self, observation: Observation) -> Array:
        """Return the next joint targets, shape (6,) [deg x 5, percent]."""
        seen = self._leader.observe()
        if self._silent(seen):
            self.stale_steps += 1
            return self._target
        pose = clip_to_limits(seen.q)
        if self._step < self._ramp_steps:
            self._step += 1
            pose = self._from + np.float32(minimum_jerk(self._step / self._ramp_steps)) * (pose - self._from)
        self._target = clip_to_limits(pose)
        return self._target

    def _pose(self) -> Array:
        return clip_to_limits(self._leader.observe().q)

    @staticmethod
    def _silent(seen: Any) -> list[str]:
        fresh = np.isfinite(seen.q) & (np.asarray(seen.age_s) <= STALE_S)
        return [name for name, good in zip(arm.JOINT_NAMES, fresh, strict=True) if not good]

    def close(self) -> None:
        """The arm belongs to whoever connected it."""
