"""A session of learning on an arm: episodes, with the learner beside them, until enough steps are made or somebody stops.

    train_on_arm(ArmTraining(...))

Killed, cut off or stopped at any instant, it goes on where it was when it is started again with the same folder.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import numpy as np

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
from soarm.online.collecting import Collector
from soarm.online.folder import RunFolder
from soarm.online.followed_actor import FollowedActor
from soarm.online.intervention import ByHand, Intervention, Nobody, TypedKeys
from soarm.online.make import TWIN, ArmOptions, arm_cell, twin_cell
from soarm.online.params import OnlineParams
from soarm.online.steps import StepFile
from soarm.online.tally import Tally
from soarm.residual.exploration import Explorer
from soarm.residual.td3bc import ResidualTD3BC
from soarm.seeds import scene_seeds
from soarm.signals import StopRequests, recorded_signals
from soarm.sim.params import SimParams
from soarm.spec import DEFAULT_TASK, PolicySpec
from soarm.teleop import arms
from soarm.teleop.cartesian import leads
from soarm.teleop.gamepad import Gamepad
from soarm.teleop.keyboard import HELP, HeldKeys, Keyboard, Terminal
from soarm.teleop.leader import Leader
from soarm.teleop.teleoperator import Teleoperator
from soarm.twin.twin_config import AS_SIMULATED, TwinConfig

logger = logging.getLogger(__name__)
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
    interface = Interface(task=model.spec.task or DEFAULT_TASK, params=loaded.section("sim", SimParams))
    _require_fitting(model.spec, interface)
    online = loaded.section("online", OnlineParams)
    run = layout.begin(config.out, config.residual, online, config.demonstrations, fresh=config.fresh, seed=config.seed)
    assert model.observation_space.shape is not None
    about = run.about
    if config.arm.calibration is not None:
        about |= {layout.CALIBRATION: Calibration.load(config.arm.calibration).hash}
    with StepFile(run.path / layout.STEPS, model.observation_space.shape[0], about) as steps:
        tally = Tally.of(run.path / layout.STEPS)
        if tally.n_steps < config.env_steps:
            try:
                _session(config, run, model, interface, steps, tally, keys)
            finally:
                if (run.path / layout.ACTOR).exists():
                    _write_bundle(run, model, loaded.section("export", ExportParams).opset, interface)
    logger.info("%d of %d steps are made; start again with the same folder to go on", tally.n_steps, config.env_steps)
    return tally


def _require_fitting(spec: PolicySpec, interface: Interface) -> None:
    """Refuse a policy that cannot learn on this arm."""
    if spec.cameras:
        raise OnlineError(
            f"the base looks through {', '.join(spec.cameras)}; on an arm only a residual learns whose base is told where the "
            "objects are"
        )
    if spec.control_hz != interface.params.control_hz:
        raise OnlineError(
            f"the residual acts at {spec.control_hz} Hz, and sim.control_hz is {interface.params.control_hz}; set it as in "
            "training"
        )


def _session(
    config: ArmTraining,
    run: RunFolder,
    model: ResidualTD3BC,
    interface: Interface,
    steps: StepFile,
    tally: Tally,
    keys: Callable[[], str] | None,
) -> None:
    """Open everything, and run episodes."""
    prefill_steps = run.params.exploration.prefill_steps if run.fresh else 0
    with recorded_signals() as stop, contextlib.ExitStack() as stack:
        learner = stack.enter_context(Beside(run))
        actor = FollowedActor(model.policy.actor.mu, run.path / layout.ACTOR)
        nobody_types = config.arm.port == TWIN and config.leader == "none"
        read = keys or ((lambda: "") if nobody_types else stack.enter_context(Terminal()).read)
        typed, by_hand = taking_over(config, read, interface.params.control_hz, stack)
        cell = stack.enter_context(_cell(config, interface.params, typed, by_hand, stop))
        explorer = Explorer(1, run.params.exploration, np.random.default_rng([config.seed, steps.n_episodes]))
        env, prefills = ArmEnv(interface, cell), lambda: tally.n_steps < prefill_steps
        collector = Collector(env, model.base_model, model.spec, actor, explorer, steps, prefills)
        scenes = scene_seeds("residual", config.seed)
        while tally.n_steps < config.env_steps and not cell.stop():
            learner.require_alive()
            try:
                report = collector.episode(scenes[steps.n_episodes], actor.refresh)
            except OnlineError:
                if cell.stop():
                    return
                raise
            tally.add(report)
            logger.info("%s", tally.line(report, interface.params.control_hz))
            _cool_down(cell, report.temperature_c)


def _cell(
    config: ArmTraining, sim: SimParams, keys: TypedKeys, by_hand: Intervention, stop: StopRequests
) -> AbstractContextManager[Cell]:
    """Return the arm that is asked for, to be opened."""
    if config.arm.port != TWIN:
        return arm_cell(config.arm, sim, keys, by_hand, stop)
    return twin_cell(sim, TwinConfig(clock="wall", registers=AS_SIMULATED), by_hand, keys, stop)


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


def taking_over(
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
