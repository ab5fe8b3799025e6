"""From what somebody chose to a session: who leads, what follows, and where episodes go.

The dataset has the features and the robot type of `soarm.recording`: `soarm train --dataset datasets/mine` trains on it as it
is. A folder that a stage of the chain owns (`data/record`) is refused: the stage would delete it. An arm that follows needs
neither simulator nor params.yaml, and no pyarrow either while nothing is recorded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from soarm import ownership
from soarm.errors import TeleopError, how_to_install
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.runtime import log
from soarm.runtime.lockstep import Clock
from soarm.runtime.placed import sensor as sensor_of_objects
from soarm.runtime.sensors import Sensor
from soarm.signals import StopRequests, recorded_signals
from soarm.smallfile import require_writable
from soarm.spec import DEFAULT_TASK, ENVIRONMENT_STATE, Feature
from soarm.tasks.registry import find
from soarm.tasks.task import Task
from soarm.teleop import arms, cameras, recording
from soarm.teleop.cameras import CameraChoice
from soarm.teleop.cartesian import leads
from soarm.teleop.convert import pieces
from soarm.teleop.display import Display, OpenDisplay, commands_typed, told_twice
from soarm.teleop.follower import Follower, SimFollower
from soarm.teleop.gamepad import Gamepad
from soarm.teleop.keyboard import HELP, HeldKeys, Keyboard, Terminal
from soarm.teleop.leader import Leader
from soarm.teleop.replayer import Replayer, actions_of
from soarm.teleop.session import COMMAND_HELP, Command, Report, Session, SessionParams
from soarm.teleop.teleoperator import Teleoperator

if TYPE_CHECKING:
    from soarm.dataset.recorder import Recorder

logger = logging.getLogger("soarm.teleop")
_SIMULATOR = f"{how_to_install('twin')}; --follower arm with another --leader does without"
_HOW = {"keyboard": HELP, "gamepad": "sticks and triggers move the arm", "arm": "the leader moves the arm"}
CONTROL_HZ = 30
"""Of an arm that follows, where nothing else is asked for [Hz]: LeRobot's usual rate, and that of params.yaml."""


@dataclasses.dataclass(frozen=True)
class ControlConfig:
    """What is driven, what drives it, and what is recorded.

    Attributes:
        leader: What drives: a person's keyboard, gamepad or second arm, the scripted expert, or a recorded episode.
        follower: What is driven: the simulated arm, or an arm on a bus, real or emulated.
        dataset: Folder of the dataset, which is continued where it exists; None records nothing.
        episodes: How many to keep, or to play where nothing is recorded.
        task: Name of the task; None takes that of `params`, or the usual one for an arm on a bus.
        instruction: What the robot is asked to do, in words; None for the task's own.
        seed: Scene of the first episode; None takes as many as the dataset has episodes, so that going on brings new scenes.
        port: Of the arm that follows.
        calibration: Of the arm that follows.
        leader_port: Of the arm that leads.
        leader_calibration: Of the arm that leads.
        settings: File with the settings of both arms; None for the usual ones.
        objects: File that says where the objects are, to record them.
        cameras: Those that are recorded, as `soarm.teleop.cameras.choices` reads them.
        replay: Dataset, or log of a run, of which an episode is played.
        replay_episode: Which one.
        replay_units: Unit of that dataset, where it does not say it.
        params: File that describes the simulator; None takes the params.yaml of this folder, or else the package's.
        control_hz: Steps per second of an arm on a bus [Hz].
        fast: Do not wait for the clock.
    """

    leader: Literal["keyboard", "gamepad", "arm", "expert", "replay"] = "keyboard"
    follower: Literal["sim", "arm"] = "sim"
    dataset: Path | None = None
    episodes: int = 10
    task: str | None = None
    instruction: str | None = None
    seed: int | None = None
    port: str | None = None
    calibration: Path | None = None
    leader_port: str | None = None
    leader_calibration: Path | None = None
    settings: Path | None = None
    objects: Path | None = None
    cameras: tuple[str, ...] = ()
    replay: Path | None = None
    replay_episode: int = 0
    replay_units: str | None = None
    params: Path | None = None
    control_hz: int | None = None
    fast: bool = False

    @property
    def drives_alone(self) -> bool:
        """Whether no person drives: episodes begin and end by themselves, with or without a dataset."""
        return self.leader in ("expert", "replay")

    def fault(self) -> str | None:
        """Return what does not go together, as it is typed on the command line; None where all does."""
        if self.fast and not self.drives_alone:
            return "--fast is for --leader expert and replay: a hand needs the clock"
        if self.cameras and self.dataset is None:
            return "--camera records, and needs --dataset"
        if self.control_hz is not None and self.follower != "arm":
            return "--control-hz is for --follower arm; the simulator has its own, in --params"
        of_arm = {"--port": self.port, "--calibration": self.calibration}
        recorded = self.dataset is not None and not self.cameras  # or else nothing but joints would be recorded
        of_arm |= {"--objects": self.objects} if recorded or self.leader == "expert" else {}
        needed = of_arm if self.follower == "arm" else {}
        needed |= {"--leader-port": self.leader_port} if self.leader == "arm" else {}
        needed |= {"--leader-calibration": self.leader_calibration} if self.leader == "arm" else {}
        needed |= {"--replay": self.replay} if self.leader == "replay" else {}
        missing = [name for name, value in needed.items() if value is None]
        return f"{', '.join(missing)} must be given as well" if missing else None


def control(config: ControlConfig, open_display: OpenDisplay | None = None) -> Report:
    """Drive an arm, and record what is kept.

    Args:
        config: What is driven, what drives it, and what is recorded.
        open_display: Opens a window on the simulated arm; None goes without one.

    Raises:
        DatasetError: The dataset's folder belongs to a stage of the chain, or cannot be written.
        TeleopError: A device or a package is missing, or the session cannot go on.
        HardwareError: The arm must not or cannot be driven.
    """
    assert config.fault() is None
    if config.dataset is not None:
        ownership.require_free(config.dataset)
    report = _session(config, open_display)
    if config.dataset is not None:
        recording.remind_of_dvc(config.dataset)
        late = sum(timing.late + timing.missed for timing in report.kept)
        logger.info("kept %d episodes in %s; %d late or missed steps in them", len(report.kept), config.dataset, late)
    return report


def record_log(path: Path, dataset: Path, instruction: str | None = None) -> None:
    """Add the episodes of the log of a run to a dataset.

    Args:
        path: The log that `soarm drive` wrote.
        dataset: Folder of the dataset, which is continued where it exists.
        instruction: What the robot was asked to do, in words; None for the task's own.

    Raises:
        LogError: The log cannot be read.
        DatasetError: The folder belongs to a stage of the chain, or holds something else.
    """
    ownership.require_free(dataset)
    run = log.read(path)
    found = pieces(run)
    with _recorder(dataset, run.header["control_hz"], run.task, instruction) as recorder:
        for piece in found:
            recorder.save_episode(piece.observations, piece.actions)
    logger.info("%d episodes from %s in %s", len(found), path, dataset)
    recording.remind_of_dvc(dataset)


def _session(config: ControlConfig, open_display: OpenDisplay | None) -> Report:
    # The arm is met last and left first: nothing that can fail or take long happens while it is live for nothing.
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(recorded_signals())
        chosen = cameras.choices(config.cameras, simulated=config.follower == "sim")
        simulated = _simulated(config, chosen) if config.follower == "sim" else None
        control_hz = (config.control_hz or CONTROL_HZ) if simulated is None else simulated.control_hz
        task = find(config.task or DEFAULT_TASK, TeleopError) if simulated is None else simulated.task
        if config.dataset is not None:
            with contextlib.suppress(OSError):  # what stands in the way is named by the next line
                config.dataset.absolute().parent.mkdir(parents=True, exist_ok=True)
            require_writable(recording.timing_file(config.dataset), TeleopError)
        own = None if simulated is None else simulated.features
        recorded = own or recording.features(task, chosen, objects=config.objects is not None)
        recorder = (
            None
            if config.dataset is None
            else stack.enter_context(_recorder(config.dataset, control_hz, task, config.instruction, recorded))
        )
        if config.seed is None:
            config = dataclasses.replace(config, seed=0 if recorder is None else recorder.n_episodes)
        display = None
        if simulated is not None and open_display is not None:
            display = stack.enter_context(open_display(simulated.env, f"{_HOW.get(config.leader, '')}\n{_keys(config)}"))
            simulated.watch(display.show if display is not None else lambda: None)
        leader, commands = _leader(config, control_hz, stack, display)
        follower = simulated or _follower(config, task, control_hz, stop, stack, chosen)
        settings = SessionParams(
            1 if config.leader == "replay" else config.episodes,
            config.seed or 0,
            automatic=config.leader == "expert",
            rehearses=config.drives_alone,
        )
        clock = Clock() if config.fast else None
        now, sleep = (clock.now, clock.sleep) if clock else (time.monotonic, time.sleep)
        say = logger.info if display is None else told_twice(logger, display)
        session = Session(follower, leader, recorder, settings, commands, now, sleep, say, stopped=lambda: bool(stop))
        try:
            session.run()
        finally:
            if stop:
                logger.info("%s: the episode that ran is dropped, the kept ones are safe", stop.came[0])
            if config.dataset is not None and recorder is not None:
                recording.add_timing(config.dataset, recorder.n_episodes, session.report)
                recording.tell_of_waiting(recorder.waiting)
        return session.report


def _leader(
    config: ControlConfig, control_hz: int, stack: contextlib.ExitStack, display: Display | None
) -> tuple[Teleoperator, Callable[[], Iterable[Command]]]:
    """Return what drives, and where commands come from."""
    held = HeldKeys()
    in_window = [] if display is None else [display.typed]
    if config.leader == "expert":
        with _installed("the expert", _SIMULATOR):
            from soarm.teleop import simulated
        return simulated.expert(config.params, control_hz, config.seed or 0, config.task), commands_typed(in_window, held)
    if config.leader == "replay":
        with _installed("a dataset", "pip install pyarrow, or play the log of a run"):
            assert config.replay is not None
            played = actions_of(config.replay, config.replay_episode, control_hz, config.replay_units)
        player, asked = Replayer(played, control_hz), commands_typed(in_window, held)
        return player, lambda: [*asked(), *player.commands()]
    if config.leader == "arm":
        assert config.leader_port is not None
        assert config.leader_calibration is not None
        leading = arms.leader(config.leader_port, Calibration.load(config.leader_calibration), _settings(config))
        leader: Teleoperator = Leader(stack.enter_context(leading), control_hz)
    else:
        lead = leads(_settings(config).gains.p)
        leader = Keyboard(held, control_hz, lead) if config.leader == "keyboard" else Gamepad(control_hz, lead=lead)
    typed = [stack.enter_context(Terminal()).read] if sys.stdin.isatty() or display is None else []
    logger.info("%s\n%s", _HOW[config.leader], _keys(config))
    return leader, commands_typed([*typed, *in_window], held)


def _keys(config: ControlConfig) -> str:
    return COMMAND_HELP if config.dataset else "q quits; nothing is recorded"


def _settings(config: ControlConfig) -> ArmConfig:
    return DEFAULT if config.settings is None else ArmConfig.load(config.settings)


def _simulated(config: ControlConfig, chosen: Sequence[CameraChoice]) -> SimFollower:
    with _installed("the simulated arm", _SIMULATOR):
        from soarm.teleop import simulated
    return simulated.follower(config.params, config.task, chosen, recorded=config.dataset is not None)


def _follower(
    config: ControlConfig,
    task: Task,
    control_hz: int,
    stop: StopRequests,
    stack: contextlib.ExitStack,
    chosen: Sequence[CameraChoice],
) -> Follower:
    assert config.port is not None
    assert config.calibration is not None
    calibration = Calibration.load(config.calibration)
    sensors: dict[str, Sensor] = dict(stack.enter_context(cameras.opened(chosen)))
    if config.objects is not None:
        sensors[ENVIRONMENT_STATE] = sensor_of_objects(task, config.objects, ())
    return stack.enter_context(arms.follower(config.port, calibration, _settings(config), task, sensors, control_hz, stop))


def _recorder(
    folder: Path, control_hz: int, task: Task, instruction: str | None, features: Mapping[str, Feature] | None = None
) -> Recorder:
    with _installed("recording", "pip install pyarrow av, or leave --dataset out and drive alone"):
        return recording.recorder(folder, control_hz, task, instruction, features)


@contextlib.contextmanager
def _installed(what: str, remedy: str) -> Iterator[None]:
    """Say in a line what is missing where a package is."""
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).startswith("soarm"):
            raise
        raise TeleopError(f"{what} needs {error.name}, which is not installed: {remedy}") from None
