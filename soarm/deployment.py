"""A bundle through the whole path of the robot: loop, safety chain, driver, servo bus, and an emulated arm behind the wire.

The same policy acts on the same scenes twice, in the simulator and through the wire. What drives there is the loop of `soarm
drive`, with one command per control tick, a network that answers at once, and a clock that stands still meanwhile: every goal
that is written moves the twin one control period on, and every wait of the loop the clock, so no result depends on how busy
the machine is. How long a tick took is measured beside it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import FaultError
from soarm.evaluation.summary import Summary
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig, Six
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.policy import ChunkModel, ResidualModel
from soarm.quantities import Count, Threads, within
from soarm.rollout import Episode
from soarm.runtime import drive
from soarm.runtime.bundle import Bundle
from soarm.runtime.lockstep import Clock, SyncInference
from soarm.runtime.loop import Loop, LoopConfig
from soarm.runtime.onnx_policy import OnnxBase, Which
from soarm.runtime.safety import Limits, Reason, names_of
from soarm.runtime.schedule import Schedule
from soarm.seeds import Scenes
from soarm.sim.episode import StepOutcome
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE, TRUE_OBJECTS
from soarm.twin.actuator import ActuatorName
from soarm.twin.rendering import RenderedCameras
from soarm.twin.sensing import Scene, Source, told
from soarm.twin.twin import Twin
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig, driver_config

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class DeployParams:
    """How a bundle is tried.

    Attributes:
        n_scenes: Held-out scenes, in the simulator and through the wire.
        n_servo_scenes: Of these, those that are run once more with the servos' electrical law.
        n_rows: Episodes at once in the simulator.
        n_threads: Threads of the batched simulation.
        n_replayed: Episodes whose actions are played again through the wire, for the gap per joint.
        p: P register of the servos under the electrical law.
        volts: Their supply [V].
    """

    n_scenes: Scenes
    n_servo_scenes: Scenes
    n_rows: Count
    n_threads: Threads
    n_replayed: Scenes
    p: Annotated[int, within(least=1, most=254)]
    volts: Annotated[float, within(above=0, most=24)]

    def __post_init__(self) -> None:
        if max(self.n_servo_scenes, self.n_replayed) > self.n_scenes:
            raise ValueError(
                f"n_servo_scenes {self.n_servo_scenes} and n_replayed {self.n_replayed} are taken from "
                f"the {self.n_scenes} scenes"
            )


@dataclasses.dataclass
class WireStats:
    """What happened on the way of all episodes through the wire.

    Attributes:
        steps: Control steps.
        clamped: Of these, those in which the safety chain cut a joint.
        reasons: Name of a reason -> steps in which it cut.
        missed: Answers of servos that did not come.
        stops: Why the arm stopped, one cause per episode that ended so; such an episode has failed.
        step_s: Time of each step but for the simulator's: observe, policy, safety, command [s].
    """

    steps: int = 0
    clamped: int = 0
    reasons: Counter[str] = dataclasses.field(default_factory=Counter)
    missed: int = 0
    step_s: list[float] = dataclasses.field(default_factory=list)
    stops: list[str] = dataclasses.field(default_factory=list)

    def add(self, record: NDArray[np.void], seconds: float) -> None:
        """Account for a tick of the loop."""
        self.steps += 1
        self.clamped += bool(record["refused"]) or bool(record["reasons"].any())
        self.reasons.update(names_of(record["reasons"].tolist()))
        self.missed += int(np.count_nonzero(record["misses"]))
        self.step_s.append(seconds)

    def to_dict(self, period_s: float) -> dict[str, Any]:
        """Return the metrics; a tick is late when its own work took longer than the control period."""
        took_ms = 1e3 * np.array(self.step_s)
        return {
            "ticks": self.steps,
            "clamped_fraction": self.clamped / self.steps,
            "clamped_by": {name.lower(): self.reasons[name] / self.steps for name in _REASONS},
            "missed_answers": self.missed,
            "stops": self.stops,
            "late_ticks": int(np.count_nonzero(took_ms > 1e3 * period_s)),
            "tick_ms": {"p50": _percentile(took_ms, 50), "p99": _percentile(took_ms, 99), "max": float(took_ms.max())},
        }


_REASONS = [reason.name or "" for reason in Reason if reason]


class DriveStack(NamedTuple):
    """What drives an episode: a network, the schedule of its chunks, and a residual with its bound, shape (6,)."""

    model: ChunkModel
    schedule: Schedule
    residual: tuple[ResidualModel, Floats] | None = None


def drive_stack(bundle: Bundle, which: Which) -> DriveStack:
    """Return what `soarm drive` drives with, but for the fade of one chunk into the next.

    That is for chunks that come late. Here they come at once, and without it the policy does what it did in training.
    """
    return DriveStack(OnnxBase(bundle), drive.make_schedule(bundle.spec, fade_s=0.0), drive.residual_of(bundle, which))


class WiredArm:
    """A twin in lockstep and the driver on its port."""

    def __init__(self, sim: SimParams, twin: Twin, driver: Arm, cameras: RenderedCameras) -> None:
        """Not for callers; see `wired`."""
        self._sim, self._twin, self._driver, self._cameras = sim, twin, driver, cameras
        self._limits = Limits.usual(driver.calibration.lower, driver.calibration.upper)

    def episodes(
        self, stack: Callable[[int], DriveStack], seeds: Iterable[int], stats: WireStats, source: Source = told
    ) -> Iterator[Episode]:
        """Run one episode per seed through the wire.

        Args:
            stack: Returns what drives the episode of a seed.
            seeds: Scenes.
            stats: Is told of every step.
            source: Makes the sensors of an episode; see `soarm.twin.sensing`.
        """
        for seed in seeds:
            self._twin.reset(seed)
            self._make_ready()
            yield self._episode(stack(seed), seed, stats, source)

    def follow(self, episode: Episode) -> Floats:
        """Play the actions of an episode again and return how far the joints are from where they were, (T - 1, 6).

        The scene is the same, nothing of the policy sees it: this is the arm alone [deg x 5, percent].
        """
        self._twin.reset(episode.seed)
        self._make_ready()
        low, high = self._driver.calibration.lower, self._driver.calibration.upper
        gaps = []
        for action, after in zip(episode.actions[:-1], episode.observations[STATE][1:], strict=True):
            self._driver.command(np.clip(action, low, high))
            gaps.append(np.abs(self._driver.observe().q - after))
        return np.array(gaps)

    def _episode(self, stack: DriveStack, seed: int, stats: WireStats, source: Source) -> Episode:
        clock, buffer = Clock(), _EpisodeBuffer(self._twin, self._driver, stats)
        hz, task = self._sim.control_hz, self._twin.task
        loop = Loop(
            self._driver,
            task,
            SyncInference(stack.model),
            stack.schedule,
            stack.residual,
            source(Scene(task, self._twin.objects, self._cameras.take, clock.now)),
            self._limits,
            LoopConfig(hz, hz),
            buffer,
            clock.now,
            clock.sleep,
            buffer.begin,
        )
        report = loop.run(math.inf, stop=lambda: buffer.over)
        buffer.settle()  # it held in the end: that goal belongs to this episode
        if not buffer.over:
            if not buffer.records:
                raise FaultError(f"scene {seed} was not begun: {report.cause}")
            stats.stops.append(report.cause)
        return buffer.episode(seed)

    def _make_ready(self) -> None:
        """Bring an arm back that stopped in the episode before: a person would have done so."""
        if self._driver.state is State.FAULT:
            self._driver.recover()
        self._driver.activate()


class _EpisodeBuffer:
    """The loop's log of an episode, and what the task said to every command."""

    incomplete: str | None = None

    def __init__(self, twin: Twin, driver: Arm, stats: WireStats) -> None:
        self._twin, self._driver, self._stats = twin, driver, stats
        self._began_s = 0.0
        self._truth = twin.true_objects()
        self._truths: list[NDArray[np.float32]] = []
        self.records: list[NDArray[np.void]] = []
        self._outcomes: list[StepOutcome] = []

    @property
    def over(self) -> bool:
        return bool(self._outcomes) and (self._outcomes[-1].terminated or self._outcomes[-1].truncated)

    def begin(self) -> None:
        self._truth, self._began_s = self._twin.true_objects(), time.perf_counter()

    def note(self, text: str) -> None:
        """Events of a run in lockstep are of no interest; why one ended is in its report."""

    def add(self, record: NDArray[np.void]) -> None:
        if not record["sent"]:
            return
        self._stats.add(record, time.perf_counter() - self._began_s)
        self.settle()
        outcome = self._twin.outcome()
        assert outcome is not None, "a command moves the twin on by one period"
        self.records.append(record)
        self._truths.append(self._truth)
        self._outcomes.append(outcome)

    def settle(self) -> None:
        """Wait until the twin has moved on: it answers nothing before."""
        self._driver.bus.ping(self._driver.calibration.joints[0].servo_id)

    def episode(self, seed: int) -> Episode:
        records, infos = np.stack(self.records), [outcome.info for outcome in self._outcomes]
        return Episode(
            seed=seed,
            observations={
                STATE: records["q_present"].astype(np.float32),
                ENVIRONMENT_STATE: records["objects"].astype(np.float32),
                TRUE_OBJECTS: np.stack(self._truths),
            },
            actions=records["q_sent"].astype(np.float32),
            rewards=np.array([float(outcome.reward) for outcome in self._outcomes]),
            info={key: np.array([info[key] for info in infos]) for key in infos[0]},
            terminated=bool(infos[-1]["is_success"]),
        )


@contextmanager
def wired(sim: SimParams, params: DeployParams, servo_model: ActuatorName) -> Iterator[WiredArm]:
    """Start a twin with a model of its servos, connect the driver, and hold and activate the arm."""
    calibration = Calibration.nominal()
    gains, registers = ArmConfig().gains, AS_SIMULATED
    if servo_model == "sts3215":
        gains, registers = dataclasses.replace(gains, p=_all(params.p)), {}
    config = driver_config(ArmConfig(gains=gains), servo_model)
    twin_config = TwinConfig(servo_model=servo_model, volts=params.volts, calibration=calibration, registers=registers)
    with (
        Twin.start(sim, twin_config) as twin,
        RenderedCameras(twin, sim) as cameras,
        Arm.connect(twin.ports[0], calibration, config) as driver,
    ):
        driver.hold()
        driver.activate()
        yield WiredArm(sim, twin, driver, cameras)


def gap_per_joint(gaps: Sequence[Floats]) -> dict[str, float]:
    """Return the mean distance per joint over all steps of all episodes [deg, the gripper in percent]."""
    return dict(zip(arm.JOINT_NAMES, np.concatenate(gaps).mean(axis=0).tolist(), strict=True))


def brief(summary: Summary) -> dict[str, Any]:
    """Return what of a summary the metrics hold."""
    kept = ("n_scenes", "success_rate", "success_ci95", "time_to_success_s", "failures")
    return {name: value for name, value in dataclasses.asdict(summary).items() if name in kept}


def _all(value: int) -> Six:
    return (value, value, value, value, value, value)


def _percentile(values: Floats, share: float) -> float:
    return float(np.percentile(values, share))
