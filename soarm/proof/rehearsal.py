"""The evaluation on the twin: the simulator puts the things on their spots, and presses the key.

In lockstep, so that no result depends on the machine: the clock passes where the loop waits, and every goal that is written
moves the twin on by one control period. Each trial begins alike: the arm folded, its servos cool.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import params as params_file
from soarm.evaluation.evaluator import EvaluationParams
from soarm.export.setting import seen_as
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.sweep import REST
from soarm.proof.attempt import DISCARDED
from soarm.proof.plan import Spot, things
from soarm.proof.session import Answer, Ask
from soarm.proof.trial import Setup, as_placed
from soarm.runtime.bundle import Bundle
from soarm.runtime.carried import followed
from soarm.runtime.lockstep import lockstep
from soarm.runtime.protocols import Pace
from soarm.runtime.sensors import Sensor
from soarm.seeds import scene_seeds
from soarm.sim.params import SimParams
from soarm.tasks.task import Task
from soarm.twin.actuator import ActuatorName
from soarm.twin.rendering import RenderedCameras
from soarm.twin.sensing import Scene, senses_of
from soarm.twin.twin import Twin
from soarm.twin.twin_config import TwinConfig, patient

OFF_DEG = 3.0
"""How far a hand turns a cube from the lines of its spot, standard deviation [deg]."""


class Hand(NamedTuple):
    """How exactly somebody puts a thing on its spot.

    Attributes:
        off_m: Standard deviation of x and y [m].
        off_deg: Of the yaw [deg].
    """

    off_m: float
    off_deg: float


class Simulated:
    """The simulator in the place of the person.

    Args:
        twin: Where the things lie.
        seed: Of the plan.
        hand: How exactly it puts them on their spots.
        knocked_away_m: A thing that was never handled counts as knocked away beyond this distance [m].
    """

    judges_stopped_runs = False

    def __init__(self, twin: Twin, seed: int, hand: Hand, knocked_away_m: float) -> None:
        self._twin, self._seed, self._hand, self._knocked_away_m = twin, seed, hand, knocked_away_m
        self._outcome: str | None = None

    def ready(self, ask: Ask) -> Answer:
        """See `Person`."""
        scene = scene_seeds("test")[self._seed * 1000 + ask.spot.number]
        rng = np.random.default_rng((self._seed, ask.trial))
        self._twin.reset(scene, _put(rng, self._twin.task, ask.spot, self._hand), REST)
        self._outcome = None
        return Answer.RUN

    def run_over(self) -> None:
        """See `Person`."""
        outcome = self._twin.outcome()
        assert outcome is not None, "the arm moved to where its episodes start"
        done = bool(outcome.state.held_steps)  # it lies there, whatever the loop thinks
        self._outcome = str(self._twin.task.classify({**outcome.info, "is_success": done}, self._knocked_away_m))

    def judge(self, trial: int, cause: str | None) -> str:
        """See `Person`."""
        if self._outcome is None:  # killed between run and judgement; the same run is done again
            return DISCARDED
        return self._outcome


def _put(rng: np.random.Generator, task: Task, spot: Spot, hand: Hand) -> NDArray[np.float64]:
    """Return where the things lie once a hand has put them on a spot; the other thing is aligned with care."""
    moved, _ = things(task)
    x, y, *yaw = spot.places[moved.name]
    off = hand.off_m * rng.normal(size=2), hand.off_deg * rng.normal()
    there = (x + off[0][0], y + off[0][1], *(one + off[1] for one in yaw))
    return dataclasses.replace(spot, places={**spot.places, moved.name: there}).objects(task)


def world(bundle: Bundle, path: Path | None) -> tuple[SimParams, float]:
    """Return the simulator of a bundle's task with the cameras that it wants, and `ScenesParams.knocked_away_m` [m].

    Args:
        bundle: What acts.
        path: A params file; that of this folder, or else the package's, by default.
    """
    params = params_file.load(path or params_file.here_or_packaged(), bundle.task.name)
    sim = params.section("sim", SimParams)
    sim = sim.told() if bundle.mounting is None else seen_as(sim, bundle.mounting)
    return sim, params.section("eval_base", EvaluationParams).knocked_away_m


@contextlib.contextmanager
def opened(
    bundle: Bundle, sim: SimParams, seconds: float, servo_model: ActuatorName, config: ArmConfig, *, tracked: bool
) -> Iterator[tuple[Twin, Setup]]:
    """Start a twin, and say how a trial is run on it.

    Args:
        bundle: Holds both policies.
        sim: The simulator.
        seconds: How long a trial lasts at most [s].
        servo_model: How its servos make torque.
        config: The arm's settings.
        tracked: Whether the simulator tells where the things are at every step, as a tracker would; if not, they lie on their
            spots until the hand takes them. A policy with an eye sees them.

    Raises:
        ObservationError: The task moves a thing that the gripper does not hold, and it is not tracked.
    """
    calibration = Calibration.nominal()
    config = patient(config)
    seen = tracked or bool(bundle.eye_cameras) or bool(bundle.cameras)
    if not seen:
        followed(bundle.task)
    with (
        Twin.start(sim, TwinConfig(servo_model=servo_model, calibration=calibration)) as twin,
        RenderedCameras(twin, sim) as cameras,
    ):
        source = senses_of(bundle)

        def senses(spot: Spot, pace: Pace) -> contextlib.AbstractContextManager[dict[str, Sensor]]:
            if not seen:
                return contextlib.nullcontext(as_placed(spot, bundle, pace))
            return contextlib.nullcontext(dict(source(Scene(bundle.task, twin.objects, cameras.take, pace.now))))

        hz = bundle.spec.control_hz
        yield twin, Setup(bundle, twin.ports[0], calibration, config, senses, seconds, pace=lockstep, bus_hz=hz, deadman=False)
