"""A session of learning on an arm: episodes, with the learner beside them, until enough steps are made or somebody stops.

    train_on_arm(ArmTraining(...))

Killed, cut off or stopped at any instant, it goes on where it was when it is started again with the same folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes

from soarm import params as params_file
from soarm.envs.interface import Interface
from soarm.errors import OnlineError
from soarm.export.bundle import write_bundle
from soarm.export.params import ExportParams
from soarm.export.setting import training_arm_of
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.online import folder as layout
from soarm.online.arm_env import ArmEnv, Cell
from soarm.online.beside import Beside
from soarm.online.collecting import Collector, EpisodeReport
from soarm.online.folder import RunFolder
from soarm.online.intervention import ByHand, Intervention, Nobody, TypedKeys
from soarm.online.make import AS_SIMULATED, TWIN, ArmOptions, arm_cell, twin_cell
from soarm.online.params import OnlineParams
from soarm.online.steps import StepFile, read_all
from soarm.policy import Array
from soarm.residual.actor import ResidualActor
from soarm.residual.exploration import Explorer
from soarm.residual.td3bc import ResidualTD3BC
from soarm.seeds import scene_seeds
from soarm.signals import StopRequests, recorded_signals
from soarm.sim.params import SimParams
from soarm.spec import DEFAULT_TASK
from soarm.teleop import arms
from soarm.teleop.cartesian import leads
from soarm.teleop.gamepad import Gamepad
from soarm.teleop.keyboard import HELP, HeldKeys, Keyboard, Terminal
from soarm.teleop.leader import Leader
from soarm.teleop.teleoperator import Teleoperator
from soarm.twin.twin_config import TwinConfig

logger = logging.getLogger(__name__)
RECENT = 20
"""Episodes over which success is shown."""
WARM_C, COOL_C = 55, 48
"""A servo this warm makes the arm rest in its parking pose until all are this cool [degC]; at 70 they switch off."""
LeaderName = Literal["none", "keyboard", "gamepad", "arm"]


@dataclasses.dataclass(frozen=True)
class ArmTraining:
    """What is learnt, where, and who helps.

    Attributes:
        out: The folder.
        arm: Where the arm is.
        residual: The residual to start from.
        demonstrations: Folder of demonstrations that are mixed in; None for none.
        fresh: Whether to start from a residual of zero.
        env_steps: Steps of the arm in the folder at which it ends.
        seed: Of everything random; places of things among it.
        leader: Who may take over.
        leader_port: Of the arm that leads.
        leader_calibration: Of the arm that leads.
    """

    out: Path
    arm: ArmOptions
    residual: Path
    demonstrations: Path | None
    fresh: bool
    env_steps: int
    seed: int
    leader: LeaderName = "none"
    leader_port: str | None = None
    leader_calibration: Path | None = None


class FollowedActor:
    """The actor that a learner hands over, as it stands in a file; read again when the file has changed.

    Args:
        actor: A network of the same sizes.
        path: The file.
    """

    def __init__(self, actor: ResidualActor, path: Path) -> None:
        self._actor, self._path = actor.eval(), path
        self._seen = 0
        self.refresh()

    def refresh(self) -> None:
        """Take the newest actor."""
        stamp = self._path.stat().st_mtime_ns
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            self._actor.load_state_dict(from_bytes(self._path.read_bytes()))
        except (SafetensorError, RuntimeError) as error:
            raise OnlineError(f"{self._path} holds no actor of this residual ({error}); remove it and start again") from None

    def predict_residual(self, residual_observation: Array) -> Array:
        """See `soarm.policy.ResidualModel`."""
        return self._actor.predict_residual(residual_observation)


@dataclasses.dataclass
class Tally:
    """What happened so far, in all sessions of a folder.

    Attributes:
        n_episodes: Episodes with an end, discarded ones left out.
        n_steps: Their steps.
        n_human: Of these, those that a person drove.
        recent: Whether the last episodes succeeded.
        n_stopped: Episodes of this session in which the arm stopped.
    """

    n_episodes: int = 0
    n_steps: int = 0
    n_human: int = 0
    recent: deque[bool] = dataclasses.field(default_factory=lambda: deque(maxlen=RECENT))
    n_stopped: int = 0

    @classmethod
    def of(cls, path: Path) -> Tally:
        """Return what a file of steps holds."""
        tally = cls()
        for episode in read_all(path):
            tally._count(len(episode), int(episode.human.sum()), episode.success)
        return tally

    def add(self, report: EpisodeReport) -> None:
        """Account for an episode."""
        self.n_stopped += report.stopped is not None
        if not report.discarded:
            self._count(report.n_steps, report.n_human, report.success)

    def _count(self, n_steps: int, n_human: int, success: bool) -> None:
        self.n_episodes, self.n_steps, self.n_human = self.n_episodes + 1, self.n_steps + n_steps, self.n_human + n_human
        self.recent.append(success)

    def line(self, report: EpisodeReport, control_hz: int) -> str:
        """Return an episode and the state of things in a line."""
        how = "discarded" if report.discarded else "success" if report.success else report.stopped or "failure"
        share = 100 * self.n_human / max(self.n_steps, 1)
        success = f"{100 * np.mean(self.recent):.0f} %" if self.recent else "-"
        return (
            f"episode {self.n_episodes}: {how} after {report.n_steps / control_hz:.1f} s; success of the last "
            f"{len(self.recent)}: {success}; {self.n_steps} steps, {share:.0f} % by hand; warmest servo "
            f"{report.temperature_c} degC; stopped {self.n_stopped} times; ticks up to {1e3 * report.late_s:.1f} ms late"
        )


def train_on_arm(config: ArmTraining, keys: Callable[[], str] | None = None) -> Tally:
    """Learn on an arm.

    Args:
        config: What and where.
        keys: Returns what was typed since the last call; None reads the terminal.

    Raises:
        OnlineError: The folder, the residual or the learner is not as it must be.
        HardwareError: The arm must not or cannot be driven; every step is kept.
        TeleopError: A device is missing.
    """
    model = ResidualTD3BC.load(_residual_of(config), device="cpu")
    loaded = params_file.load(params_file.here_or_packaged(), model.spec.task)
    interface = Interface(task=model.spec.task or DEFAULT_TASK)
    demonstrations = config.demonstrations
    run = layout.begin(
        config.out,
        config.residual,
        loaded.section("online", OnlineParams),
        demonstrations,
        fresh=config.fresh,
        seed=config.seed,
    )
    n_observed = model.observation_space.shape
    assert n_observed is not None
    try:
        with recorded_signals() as stop, contextlib.ExitStack() as stack:
            steps = stack.enter_context(StepFile(run.path / layout.STEPS, n_observed[0], run.about))
            tally = Tally.of(run.path / layout.STEPS)
            learner = stack.enter_context(Beside(run))
            actor = FollowedActor(model.policy.actor.mu, run.path / layout.ACTOR)
            nobody_types = config.arm.port == TWIN and config.leader == "none"
            read = keys or ((lambda: "") if nobody_types else stack.enter_context(Terminal()).read)
            typed, by_hand = _taking_over(config, read, interface.params.control_hz, stack)
            cell = stack.enter_context(_cell(config, interface.params, typed, by_hand, stop))
            explorer = Explorer(1, run.params.exploration, np.random.default_rng([config.seed, tally.n_episodes]))
            collector = Collector(
                ArmEnv(interface, cell),
                model.base_model,
                model.spec,
                actor,
                explorer,
                steps,
                lambda: run.fresh and tally.n_steps < run.params.exploration.prefill_steps,
            )
            _run_episodes(config, collector, tally, cell, learner, actor)
    finally:
        if (run.path / layout.ACTOR).exists():
            _write_bundle(run, model, loaded.section("export", ExportParams).opset, interface)
    return tally


def _cell(
    config: ArmTraining, sim: SimParams, keys: TypedKeys, by_hand: Intervention, stop: StopRequests
) -> AbstractContextManager[Cell]:
    """Return the arm that is asked for, to be opened."""
    if config.arm.port != TWIN:
        return arm_cell(config.arm, sim, keys, by_hand, stop)
    return twin_cell(sim, TwinConfig(clock="wall", registers=AS_SIMULATED), by_hand, keys, stop)


def _run_episodes(
    config: ArmTraining, collector: Collector, tally: Tally, cell: Cell, learner: Beside, actor: FollowedActor
) -> None:
    scenes = scene_seeds("residual", config.seed)
    while tally.n_steps < config.env_steps and not cell.stop():
        learner.require_alive()
        try:
            report = collector.episode(scenes[collector.n_episodes], actor.refresh)
        except OnlineError:
            if cell.stop():
                break
            raise
        tally.add(report)
        logger.info("%s", tally.line(report, 30))
        _cool_down(cell, report.temperature_c)
    logger.info("%d of %d steps are made; start again with the same folder to go on", tally.n_steps, config.env_steps)


def _cool_down(cell: Cell, warmest_c: int) -> None:
    """Let an arm that is warm rest until it is cool."""
    if warmest_c < WARM_C:
        return
    logger.warning("a servo is %d degC warm: the arm rests until all are below %d", warmest_c, COOL_C)
    while warmest_c >= COOL_C and not cell.stop():
        cell.wait()
        seen = cell.arm.seen
        warmest_c = 0 if seen is None else max(one.temperature_c for one in seen.telemetry)


def _residual_of(config: ArmTraining) -> Path:
    """Return the residual to start from: that of the folder, once it was begun."""
    kept = config.out / layout.RESIDUAL
    return kept if kept.exists() else config.residual


def _taking_over(
    config: ArmTraining, read: Callable[[], str], control_hz: int, stack: contextlib.ExitStack
) -> tuple[TypedKeys, Intervention]:
    """Return the keys, and who may take over."""
    if config.leader == "none":
        return TypedKeys(read), Nobody()
    held = HeldKeys()
    typed = TypedKeys(read, held if config.leader == "keyboard" else None)
    settings = DEFAULT if config.arm.settings is None else ArmConfig.load(config.arm.settings)
    leading: Teleoperator
    if config.leader == "arm":
        if config.leader_port is None or config.leader_calibration is None:
            raise OnlineError("a leader arm needs --leader-port and --leader-calibration")
        arm = stack.enter_context(arms.leader(config.leader_port, Calibration.load(config.leader_calibration), settings))
        leading = Leader(arm, control_hz)
    else:
        ahead = leads(settings.gains.p)
        leading = Keyboard(held, control_hz, ahead) if config.leader == "keyboard" else Gamepad(control_hz, lead=ahead)
    leading.connect()
    stack.callback(leading.close)
    logger.info("space takes over and hands back%s", f"; {HELP}" if config.leader == "keyboard" else "")

    def handed_back() -> None:
        typed.by_hand = False

    return typed, ByHand(leading, lambda: typed.by_hand, handed_back)


def _write_bundle(run: RunFolder, model: ResidualTD3BC, opset: int, interface: Interface) -> None:
    """Write what was learnt as a bundle, in the place of the one that was there."""
    actor = model.policy.actor.mu
    FollowedActor(actor, run.path / layout.ACTOR)
    bundle = run.path / layout.BUNDLE
    bundle.mkdir(exist_ok=True)
    write_bundle(bundle, model.spec, model.base_model, actor, opset, None, training_arm_of(interface.params))
    logger.info("what was learnt: soarm drive %s", bundle)
