"""An arm as an environment of Gymnasium: a step is a control period of `soarm drive`'s loop, a reset a new scene.

The loop is `soarm.runtime.loop`, with its watchdogs and safety chain, and an action from outside in the place of a network's.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.envs.interface import HasLimit, Interface, refuse_options, scene_seed
from soarm.errors import FaultError, ObservationError, OnlineError
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.online.intervention import Intervention, Nobody
from soarm.online.operator import Judgement, Operator
from soarm.policy import Array, Observation
from soarm.runtime.deadman import nobody
from soarm.runtime.limits import Limits
from soarm.runtime.lockstep import SyncInference
from soarm.runtime.loop import BegunTick, Loop, LoopConfig
from soarm.runtime.persist import bring_back, travel
from soarm.runtime.schedule import Schedule
from soarm.runtime.sensors import first_values
from soarm.runtime.standing import Box, boxes
from soarm.runtime.success import SuccessMonitor
from soarm.runtime.watchdogs import WatchdogLimits
from soarm.spec import ENVIRONMENT_STATE, STATE

logger = logging.getLogger(__name__)
_WAIT_S = 0.05
"""Between two looks at an arm that holds while somebody is waited for [s]."""


@dataclasses.dataclass
class Cell:
    """An arm that is active, who stands beside it, and the clock.

    Attributes:
        arm: The driver.
        operator: Who lays scenes out and judges.
        limits: Of the safety chain.
        now: The clock [s].
        sleep: Waits so many seconds.
        beat: Called in every step: to the dead man's switch.
        intervention: Who may take over.
        stop: Whether everything is to end.
        senses_success: Whether sensors end an episode when the task is done.
        bus_hz: Commands per second [Hz]; None for one per control step.
        around: What stands on the table, as far as is known; kept for whoever parks the arm.
    """

    arm: Arm
    operator: Operator
    limits: Limits
    now: Callable[[], float]
    sleep: Callable[[float], None]
    beat: Callable[[], None] = nobody
    intervention: Intervention = dataclasses.field(default_factory=Nobody)
    stop: Callable[[], bool] = lambda: False
    senses_success: bool = True
    bus_hz: int | None = None
    around: tuple[Box, ...] = ()

    def each(self) -> None:
        """Beat, and end what is under way where everything is to end; called in every step of a move.

        Raises:
            OnlineError: Somebody said stop.
        """
        self.beat()
        if self.stop():
            raise OnlineError("somebody said stop; start again to go on")

    def wait(self) -> None:
        """Let a moment pass while the arm holds."""
        self.each()
        try:
            self.arm.observe()
        except FaultError as error:
            logger.warning("%s", error)
            bring_back(self.arm, self.each)
        self.sleep(_WAIT_S)


class ArmEnv(HasLimit, gymnasium.Env[dict[str, Any], Array]):
    """A task on an arm, with joint-position targets.

    Spaces, keys and units are those of `soarm.envs.single.SoArmEnv`: what runs on `SoArm/PickPlace-v0` runs here.

    ## A step

    The action is sent as soon as `step` is called, cut by the safety chain, and the next observation is what the arm and the
    sensors say a control period later; whoever thinks meanwhile has that period for it, less what the servos take to answer.
    `info["executed"]` is what was sent, shape (6,) [deg x 5, percent], which is what a replay buffer should hold;
    `info["intervention"]` says whether a person drove it.

    ## Reward and end

    1 when the task is done, else 0. The sensors say so, or whoever stands beside the arm (`Operator`), who may also say that
    it is not, or that the episode is to be discarded (`info["discarded"]`). `truncated` comes after `spec.max_episode_steps`,
    and where the arm stopped or held by itself (`info["stopped"]` says why).

    At the end `info["late_s"]` says how late the loop's ticks began, 99 % of them no later [s].

    ## Reset

    The arm goes out of the way, whoever stands beside it lays out the scene that is named, and the arm goes to where episodes
    start. A cable that was pulled is waited for.

    Args:
        interface: Task, spaces, limit of an episode.
        cell: The arm and what is around it.
        opened: Is closed with the environment.
    """

    metadata: dict[str, Any] = {"render_modes": [], "render_fps": 30}  # noqa: RUF012 - Gymnasium's way
    render_mode = None

    def __init__(self, interface: Interface, cell: Cell, opened: ExitStack | None = None) -> None:
        self._interface, self._cell, self._opened = interface, cell, opened or ExitStack()
        self.action_space, self.observation_space = interface.action_space, interface.observation_space
        self.metadata = {**self.metadata, "render_fps": interface.params.control_hz}
        self._task = interface.params.sim_task.task
        self._features: Observation = {}
        self._run: _Run | None = None
        self._n_steps = 0

    @property
    def cell(self) -> Cell:
        """The arm and what is around it."""
        return self._cell

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Have the scene of `seed` laid out; without one, a scene drawn from the environment's own generator.

        Raises:
            ParamsError: Options were given; there are none.
            HardwareError: The arm cannot be brought to where episodes start.
            OnlineError: Somebody said stop.
        """
        super().reset(seed=seed)
        refuse_options(options)
        self._cell.arm.bus.line.adopt()  # a learner may step in one thread, and reset in another
        self._end_run()
        scene = scene_seed(self.np_random) if seed is None else seed
        cell, sim = self._cell, self._interface.params
        bring_back(cell.arm, cell.each)
        if cell.operator.needs_room:
            travel(cell.arm, cell.arm.config.park, cell.limits, cell.each, cell.around)
        sensors = cell.operator.lay_out(scene, cell.wait)
        cell.intervention.start(scene)
        first = first_values(sensors, WatchdogLimits().stop_age_s, cell.now, cell.arm.observe().q)
        cell.around = boxes(self._task, first[ENVIRONMENT_STATE].value)
        if cell.operator.needs_room:
            travel(cell.arm, np.asarray(sim.task.home), cell.limits, cell.each, cell.around)
        hold_s = sim.task.success_hold_s
        success = SuccessMonitor(self._task, hold_s) if cell.senses_success else None
        self._run = _Run(cell, self._interface, sensors, first, success)
        self._n_steps = 0
        if not self._advance():
            raise FaultError(f"the episode was not begun: {self._run.cause}")
        return self._interface.observation(self._features), {"is_success": False}

    def step(self, action: ArrayLike) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Execute one control step.

        Raises:
            ObservationError: The action is not of shape (6,), or `reset` was not called.
        """
        if self._run is None:
            raise ObservationError("step was called before reset, or after the episode ended; call reset first")
        cell, run = self._cell, self._run
        cell.arm.bus.line.adopt()
        targets = self._interface.targets(action, self.action_space.shape or ())
        by_hand = cell.intervention.targets(self._features)
        goes_on = self._advance(targets if by_hand is None else by_hand)
        self._n_steps += 1
        said = cell.operator.said()
        out_of_time = self._n_steps >= self._interface.max_steps
        info: dict[str, Any] = {
            "executed": run.executed,
            "intervention": by_hand is not None,
            "is_success": False,
            "temperature_c": run.temperature_c,
        }
        if goes_on and said is None and not out_of_time:
            return self._interface.observation(self._features), 0.0, False, False, info
        self._end_run()
        if said is None and not goes_on and not run.is_done:
            info["stopped"] = run.cause
        if said is None:
            said = Judgement.FAILURE if "stopped" in info else cell.operator.judge(run.is_done, cell.wait)
        success = said is Judgement.SUCCESS
        info |= {"is_success": success, "discarded": said is Judgement.DISCARDED, "late_s": run.late_s}
        return self._interface.observation(self._features), float(success), success, not success, info

    def close(self) -> None:
        """Park and release the arm; may be called again."""
        self._cell.arm.bus.line.adopt()
        self._end_run()
        self._opened.close()

    def _advance(self, targets: Array | None = None) -> bool:
        """Command targets and go on to the next control step; None only observes. Return whether the episode goes on."""
        assert self._run is not None
        features = self._run.advance(targets)
        self._features = features or self._features
        return features is not None

    def _end_run(self) -> None:
        if self._run is not None:
            self._run.close()
            self._run = None


class _Told:
    """A network whose answer is what it is told: the action of the environment's caller."""

    targets: Array

    def predict_chunks(self, observation: Observation) -> Array:
        """Return one action, shape (1, 1, 6)."""
        return self.targets[None, None]


class _Run:
    """The loop of an episode, and the log that it writes."""

    incomplete: str | None = None

    def __init__(self, cell: Cell, interface: Interface, sensors: Any, first: Any, success: SuccessMonitor | None) -> None:
        hz, task = interface.params.control_hz, interface.params.sim_task.task
        self._cell, self._told = cell, _Told()
        self._loop = Loop(
            cell.arm,
            task,
            SyncInference(self._told),
            Schedule(hz, 1),
            None,
            sensors,
            cell.limits,
            LoopConfig(hz, cell.bus_hz or hz),
            self,
            cell.now,
            cell.sleep,
            cell.beat,
            success,
            first,
        )
        self._ticks: Iterator[BegunTick] = self._loop.ticks(math.inf, cell.stop)
        self._tick: BegunTick | None = None
        self.executed: NDArray[np.float64] = np.zeros(6)
        self.temperature_c = 0
        self._sent = True

    @property
    def cause(self) -> str:
        """Why it ended."""
        return self._loop.report.cause or f"the arm held by itself: {self._cell.arm.fault or 'a sensor was silent'}"

    @property
    def is_done(self) -> bool:
        """Whether the sensors say that the task is done."""
        return self._loop.report.success_s is not None

    @property
    def late_s(self) -> float:
        """How late its ticks began: 99 % of them no later than this [s]."""
        return float(np.percentile(self._loop.report.lateness_s or [0.0], 99))

    def advance(self, targets: Array | None) -> Observation | None:
        """Command targets, and every tick until the next control step; return what is then observed, None where it ended."""
        if targets is not None:
            assert self._tick is not None
            self._told.targets = targets
            self._loop.command(self._tick)
        for tick in self._ticks:
            self._tick = tick
            if tick.place == 0:
                seen: dict[str, Any] = {key: stamped.value for key, stamped in self._loop.latest.items()}
                held = not self._sent or self._cell.arm.state is not State.ACTIVE
                return None if held else {STATE: tick.observed.q.astype(np.float32), **seen}
            self._loop.command(tick)
        return None

    def add(self, record: NDArray[np.void]) -> None:
        """Take the record of a tick."""
        self.executed, self._sent = record["q_sent"].copy(), bool(record["sent"])
        self.temperature_c = int(record["temperature_c"].max())

    def note(self, text: str) -> None:
        """Take an event."""
        logger.debug("%s", text)

    def close(self) -> None:
        """Make the arm hold."""
        self._ticks.close()  # type: ignore[attr-defined]
