"""The robot's control step without a clock: observe, policy, safety chain, command. One thread, one step per call.

The loop in real time (`soarm.runtime.loop`) does the same in the same order; this is what is tested on scenes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.hardware.observation import Observed
from soarm.policy import Array, BatchPolicy, Observation
from soarm.runtime.objects import ObjectSource
from soarm.runtime.safety import Checked, Last, Limits, check
from soarm.spec import ENVIRONMENT_STATE, STATE

_ROW = np.zeros(1, np.intp)


class Driven(Protocol):
    """What of `soarm.hardware.driver.Arm` a control step needs."""

    def observe(self) -> Observed:
        """Read all servos."""

    def command(self, q: ArrayLike) -> NDArray[np.int64]:
        """Send targets, shape (6,); return the ticks sent."""


class Stepped(NamedTuple):
    """One control step.

    Attributes:
        observation: What the policy saw: `observation.state` (6,), `observation.environment_state` (7,), float32.
        seen: What the arm said.
        action: What the policy wanted, shape (6,) [deg x 5, percent].
        checked: What the safety chain made of it.
        ticks: What was sent, shape (6,).
    """

    observation: Observation
    seen: Observed
    action: Array
    checked: Checked
    ticks: NDArray[np.int64]


class LockstepRun:
    """A policy on an arm, step by step.

    Args:
        arm: An active arm.
        policy: For one row.
        objects: Where cube and bin are.
        limits: Of the safety chain.
        control_hz: Control steps per second [Hz].
    """

    def __init__(self, arm: Driven, policy: BatchPolicy, objects: ObjectSource, limits: Limits, control_hz: int) -> None:
        self._arm, self._policy, self._objects, self._limits = arm, policy, objects, limits
        self._dt_s = 1.0 / control_hz
        self._last: Last | None = None

    def reset(self, seed: int) -> None:
        """Begin an episode: the policy forgets its queue, and where the arm is now counts as its last target."""
        self._policy.reset(_ROW, [seed])
        self._last = None

    def step(self) -> Stepped:
        """Take one control step.

        Raises:
            FaultError: The arm does not take commands, or its port is gone.
            ObservationError: The objects cannot be seen.
        """
        seen = self._arm.observe()
        present = seen.q.astype(np.float32)
        observation = {STATE: present, ENVIRONMENT_STATE: self._objects.read().objects}
        batch = {key: value[None] for key, value in observation.items()}
        action = self._policy.act(batch, _ROW)[0]
        last = self._last or Last(seen.q, np.zeros_like(seen.q))
        checked = check(action, last, seen.q, self._dt_s, self._limits)
        ticks = self._arm.command(checked.q)
        self._last = Last(checked.q, checked.velocity)
        return Stepped(observation, seen, action, checked, ticks)
