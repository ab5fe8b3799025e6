"""Followers of teleoperation: the simulated arm, or an arm on a bus (real or emulated)."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from soarm.errors import FaultError
from soarm.hardware.states import State
from soarm.policy import Array, Observation, clip_to_limits
from soarm.runtime.protocols import ArmLike
from soarm.runtime.sensors import Sensor, SensorReader
from soarm.runtime.watchdogs import WatchdogLimits
from soarm.spec import IMAGES, STATE, Feature
from soarm.tasks.task import Task

MAX_AGE_S, RESUME_S = WatchdogLimits().hold_age_s, WatchdogLimits().resume_s
"""Values of sensors that are older are not recorded, and an arm that held by itself follows again after so long without a
cause [s]: as in the loop that drives a policy."""


class Follower(Protocol):
    """An arm that is told joint targets and says what it sees."""

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""

    def reset(self, seed: int) -> None:
        """Prepare the next episode: a new scene in a simulator, nothing on a real table."""

    def observe(self) -> Observation:
        """Return what a policy would observe now: `observation.state` (6,), and what sensors tell."""

    def unfit(self) -> str | None:
        """Return why what was observed last must not be recorded; None where it may."""

    def is_stale(self) -> bool:
        """Return whether a joint's number in what was observed last is older than half a control step."""

    def held(self) -> str | None:
        """Return why it holds by itself, and takes no target in this step; None where it follows, or follows again."""

    def act(self, action: Array) -> Array:
        """Send joint targets, shape (6,) [deg x 5, percent], and return what was sent in the end, shape (6,) float32."""

    def done(self) -> bool | None:
        """Return whether the task is done, or None where nothing can tell."""

    def stop(self) -> None:
        """Hold where it is."""


class SimFollower:
    """`soarm.sim.env.SimEnv` behind the protocol.

    Args:
        env: The environment.

    Attributes:
        env: The environment.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self._show: Callable[[], None] = lambda: None
        self._seen: Observation = {}
        self._done = False

    @property
    def task(self) -> Task:
        """The task of its scenes."""
        task: Task = self.env.params.sim_task.task
        return task

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""
        rate: int = self.env.params.control_hz
        return rate

    @property
    def features(self) -> dict[str, Feature]:
        """What is recorded of it: the task's features, and the pictures of its cameras."""
        cameras = self.env.params.cameras.items()
        pictures = {f"{IMAGES}.{name}": Feature.image(camera.height_px, camera.width_px) for name, camera in cameras}
        return {**self.task.features, **pictures}

    def watch(self, show: Callable[[], None]) -> None:
        """Have something called whenever the arm or its scene has changed."""
        self._show = show

    def reset(self, seed: int) -> None:
        """Start the scene of a seed."""
        self._seen, _ = self.env.reset(seed=seed)
        self._done = False
        self._show()

    def observe(self) -> Observation:
        """Return the environment's last observation."""
        return self._seen

    def unfit(self) -> str | None:
        """Nothing: a simulator knows its state."""
        return None

    def is_stale(self) -> bool:
        """No: a simulator's state is that of the step."""
        return False

    def held(self) -> str | None:
        """Nothing holds a simulator up."""
        return None

    def act(self, action: Array) -> Array:
        """Step the environment; its time limit ends nothing here, the person does."""
        sent = clip_to_limits(action)
        self._seen, _, terminated, _, _ = self.env.step(sent)
        self._done = self._done or bool(terminated)
        self._show()
        return sent

    def done(self) -> bool | None:
        """Return whether the task was done."""
        return self._done

    def stop(self) -> None:
        """Nothing moves by itself."""


class ArmFollower:
    """An arm on a bus behind the protocol; every target goes through the safety chain first.

    Args:
        arm: The driver, holding or active.
        sensors: Feature key -> sensor of what is recorded beside the joints.
        checked: The safety chain: wanted targets and the present position -> targets to send, both (6,).
        control_hz: Control steps per second [Hz].
        prepare: Called before each episode with its seed; None does nothing.
        is_done: Tells whether the task is done, where something can.
        beat: Called in every step: to the dead man's switch.
        now: The clock of the sensors [s].
    """

    def __init__(
        self,
        arm: ArmLike,
        sensors: Mapping[str, Sensor],
        checked: Callable[[Array, Array], Array],
        control_hz: int,
        prepare: Callable[[int], None] | None = None,
        is_done: Callable[[], bool] | None = None,
        beat: Callable[[], None] = lambda: None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._arm, self._sensors, self._checked = arm, SensorReader(sensors), checked
        self.control_hz = control_hz
        self._prepare, self._is_done, self._beat = prepare, is_done, beat
        self._now, self._oldest_s = now, 0.0
        self._age_s, self._subject = 0.0, ""  # of the sensors' oldest value
        self._present: Array | None = None
        self._sent: Array | None = None
        self._calm_steps = 0

    def reset(self, seed: int) -> None:
        """Prepare the next episode."""
        if self._prepare is not None:
            self._prepare(seed)
        self._present = None

    def observe(self) -> Observation:
        """Read the servos and the sensors."""
        observed = self._arm.observe()
        self._present, self._oldest_s = np.asarray(observed.q, np.float32), float(np.max(observed.age_s))
        self._sensors.read(self._present, self._present if self._sent is None else self._sent)
        self._age_s, self._subject = self._sensors.oldest(self._now())
        return {STATE: self._present, **{key: stamped.value for key, stamped in self._sensors.latest.items()}}

    def unfit(self) -> str | None:
        """Return what is too old to be recorded as what was there."""
        if self._age_s <= MAX_AGE_S:
            return None
        why = f" ({self._sensors.faults})" if self._sensors.faults else ""
        return (
            f"{self._subject} were last seen {self._age_s:.2f} s ago, and {MAX_AGE_S:g} s are allowed; look at what tells "
            f"of them{why}"
        )

    def is_stale(self) -> bool:
        """Return whether a servo did not answer this time: what stands for it is of a step before."""
        return not self._oldest_s <= 0.5 / self.control_hz

    def held(self) -> str | None:
        """Return why the arm went to HOLD by itself; let it follow again when that has been over for `RESUME_S`.

        Raises:
            FaultError: It is in FAULT, and follows no more.
        """
        cause = self._arm.fault
        if self._arm.state is State.FAULT:
            raise FaultError(f"the arm is in FAULT because {cause}; the session ends")
        if not self._holds_by_itself():
            return None
        assert cause is not None
        self._beat()
        self._calm_steps = 0 if self.is_stale() else self._calm_steps + 1
        if self._calm_steps < RESUME_S * self.control_hz:
            return cause
        self._calm_steps = 0
        try:
            self._arm.activate()
        except FaultError:  # it is not over
            return cause
        return None

    def act(self, action: Array) -> Array:
        """Send targets, cut by the safety chain against where the joints were last seen; nothing where it holds by itself."""
        assert self._present is not None, "observe comes first"
        self._beat()
        if self._holds_by_itself():
            return self._present
        sent = self._checked(np.asarray(action, np.float32), self._present)
        self._arm.command(sent)
        self._sent = sent
        return sent

    def done(self) -> bool | None:
        """Return whether the task is done, or None where nothing can tell."""
        return None if self._is_done is None else self._is_done()

    def stop(self) -> None:
        """Hold where it is."""
        self._arm.hold()

    def _holds_by_itself(self) -> bool:
        return self._arm.state is State.HOLD and self._arm.fault is not None
