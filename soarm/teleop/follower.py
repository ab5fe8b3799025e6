"""What is driven: the simulated arm, or an arm on a bus (real or emulated)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from soarm.policy import Array, Observation
from soarm.spec import ENVIRONMENT_STATE, STATE


class Follower(Protocol):
    """An arm that is told joint targets and says what it sees."""

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""

    def reset(self, seed: int) -> None:
        """Prepare the next episode: a new scene in a simulator, nothing on a real table."""

    def observe(self) -> Observation:
        """Return what a policy would see now: `observation.state` (6,) and `observation.environment_state` (7,)."""

    def act(self, action: Array) -> None:
        """Send joint targets, shape (6,) [deg x 5, percent]."""

    def done(self) -> bool | None:
        """Return whether the task is done, or None where nothing can tell."""

    def stop(self) -> None:
        """Hold where it is."""


class SimFollower:
    """`soarm.sim.env.PickPlaceEnv` behind the protocol.

    Args:
        env: The environment.
    """

    def __init__(self, env: Any) -> None:
        self._env = env
        self._seen: Observation = {}
        self._done = False

    @property
    def control_hz(self) -> int:
        """Control steps per second [Hz]."""
        rate: int = self._env.params.control_hz
        return rate

    def reset(self, seed: int) -> None:
        """Start the scene of a seed."""
        self._seen, _ = self._env.reset(seed=seed)
        self._done = False

    def observe(self) -> Observation:
        """Return the environment's last observation."""
        return self._seen

    def act(self, action: Array) -> None:
        """Step the environment; its time limit ends nothing here, the person does."""
        self._seen, _, terminated, _, _ = self._env.step(np.asarray(action, np.float32))
        self._done = self._done or bool(terminated)

    def done(self) -> bool | None:
        """Return whether the cube has lain in the bin."""
        return self._done

    def stop(self) -> None:
        """Nothing moves by itself."""


class Seen(NamedTuple):
    """What of the driver's observation is needed."""

    q: Array


class ArmLike(Protocol):
    """What of `soarm.hardware.driver.Arm` is needed."""

    def observe(self) -> Any:
        """Return an observation with `q`, shape (6,) [deg x 5, percent]."""

    def command(self, q: Array) -> Any:
        """Send joint targets."""

    def hold(self) -> None:
        """Hold where it is."""


class ArmFollower:
    """An arm on a bus behind the protocol; every target goes through the safety chain first.

    Args:
        arm: The driver, holding or active.
        objects: Returns cube and bin as in `soarm.spec.OBJECTS_FEATURE`, shape (7,).
        checked: The safety chain: wanted targets and the present position -> targets to send, both (6,).
        control_hz: Control steps per second [Hz].
        prepare: Called before each episode with its seed; None does nothing.
        is_done: Tells whether the task is done, where something can.
        beat: Called with every target: to the dead man's switch.
    """

    def __init__(
        self,
        arm: ArmLike,
        objects: Callable[[], Array],
        checked: Callable[[Array, Array], Array],
        control_hz: int,
        prepare: Callable[[int], None] | None = None,
        is_done: Callable[[], bool] | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._arm, self._objects, self._checked = arm, objects, checked
        self.control_hz = control_hz
        self._prepare, self._is_done, self._beat = prepare, is_done, beat
        self._present: Array | None = None

    def reset(self, seed: int) -> None:
        """Prepare the next episode."""
        if self._prepare is not None:
            self._prepare(seed)
        self._present = None

    def observe(self) -> Observation:
        """Read the servos and the objects."""
        self._present = np.asarray(self._arm.observe().q, np.float32)
        return {STATE: self._present, ENVIRONMENT_STATE: np.asarray(self._objects(), np.float32)}

    def act(self, action: Array) -> None:
        """Send targets, cut by the safety chain against where the joints were last seen."""
        assert self._present is not None, "observe comes first"
        self._beat()
        self._arm.command(self._checked(np.asarray(action, np.float32), self._present))

    def done(self) -> bool | None:
        """Return whether the task is done, or None where nothing can tell."""
        return None if self._is_done is None else self._is_done()

    def stop(self) -> None:
        """Hold where it is."""
        self._arm.hold()
