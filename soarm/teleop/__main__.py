"""`python -m soarm.teleop`: drive an arm by hand and record demonstrations into a LeRobot dataset.

    python -m soarm.teleop --follower sim --leader keyboard --dataset datasets/mine --episodes 50
    python -m soarm.teleop --follower sim --leader expert --dataset datasets/demo --episodes 2 --fast
    python -m soarm.teleop --follower arm --port PORT --calibration arm.json --objects objects.json
        --leader arm --leader-port PORT --leader-calibration leader.json --dataset datasets/mine
    python -m soarm.teleop --leader replay --replay data/record --replay-episode 3 --dataset datasets/again
    python -m soarm.teleop --from-log run.log --dataset datasets/mine

The dataset has the features and the robot type of `soarm.recording`: `dvc exp run -S dataset=datasets/mine` trains on it as it
is. A folder that a stage of the chain owns (`data/record`) is refused: the stage would delete it. An arm that follows needs
neither simulator nor params.yaml, and no pyarrow either while nothing is recorded.
"""

from __future__ import annotations

from soarm import entry

if __name__ == "__main__":  # before the other imports: Ctrl-C while they load ends as it does later
    entry.start("soarm.teleop.__main__")

import argparse
import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from soarm import ownership
from soarm.errors import SoarmError, TeleopError, how_to_install
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.runtime import log
from soarm.runtime.lockstep import Clock
from soarm.runtime.objects import FileObjects
from soarm.signals import StopRequests, recorded_signals
from soarm.smallfile import require_writable, write_atomically
from soarm.spec import DEFAULT_TASK, ENVIRONMENT_STATE
from soarm.tasks.registry import TASKS, find
from soarm.tasks.task import Task
from soarm.teleop import arms, recording
from soarm.teleop.cartesian import leads
from soarm.teleop.convert import pieces
from soarm.teleop.follower import Follower, SimFollower
from soarm.teleop.gamepad import Gamepad
from soarm.teleop.keyboard import HELP, HeldKeys, Keyboard, Terminal
from soarm.teleop.leader import Leader
from soarm.teleop.replayer import Replayer, actions_of
from soarm.teleop.session import COMMAND_HELP, COMMAND_KEYS, Command, Report, Session, SessionParams
from soarm.teleop.teleoperator import Teleoperator

if TYPE_CHECKING:
    from soarm.dataset.recorder import Recorder

logger = logging.getLogger("soarm.teleop")
_SIMULATOR = f"{how_to_install('twin')}; --follower arm with another --leader does without"
CONTROL_HZ = 30
"""Of an arm that follows, where nothing else is asked for [Hz]: LeRobot's usual rate, and that of params.yaml."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 if an episode was kept or none could be, 1 otherwise."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if options.dataset is not None:
            ownership.require_free(options.dataset)
        if options.from_log is not None:
            return _convert(options)
        report = _record(options)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    if options.dataset is None:
        return 0
    _remind_of_dvc(options.dataset)
    late = sum(timing.late + timing.missed for timing in report.kept)
    logger.info("kept %d episodes in %s; %d late or missed steps in them", len(report.kept), options.dataset, late)
    return 0 if report.kept else 1


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m soarm.teleop", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--follower", choices=["sim", "arm"], default="sim", help="what is driven (%(default)s)")
    parser.add_argument(
        "--leader", choices=["keyboard", "gamepad", "arm", "expert", "replay"], default="keyboard", help="what drives it"
    )
    parser.add_argument("--port", help="of the arm that follows; a twin's as well")
    parser.add_argument("--calibration", type=Path, help="of the arm that follows")
    parser.add_argument("--leader-port", help="of the arm that leads")
    parser.add_argument("--leader-calibration", type=Path, help="of the arm that leads")
    parser.add_argument("--replay", type=Path, help="dataset, or log of `soarm drive`, whose episode --leader replay plays")
    parser.add_argument(
        "--replay-units",
        choices=["degrees"],
        help="says that --replay is in degrees, where the dataset does not say its units",
    )
    parser.add_argument("--replay-episode", type=entry.whole(0, 1_000_000), default=0, help="which one (%(default)s)")
    parser.add_argument("--settings", type=Path, help="of both arms; see soarm.hardware.config.ArmConfig")
    parser.add_argument(
        "--objects", type=Path, help="file that says where the objects are, to record; see soarm.runtime.objects"
    )
    parser.add_argument("--from-log", type=Path, help="no driving: the log of `soarm drive` becomes episodes")
    parser.add_argument(
        "--dataset",
        type=Path,
        help="folder (datasets/mine); an existing dataset is continued; without one nothing is recorded",
    )
    parser.add_argument("--episodes", type=entry.whole(1, 1_000_000), default=10, help="how many to keep (%(default)s)")
    parser.add_argument("--objects-of", choices=TASKS, help=f"task whose objects --follower arm records ({DEFAULT_TASK})")
    parser.add_argument("--task", help="what the robot is asked to do, in words; those of the task by default")
    parser.add_argument("--seed", type=entry.whole(0, 2**31 - 1), default=0, help="scene of the first episode (%(default)s)")
    parser.add_argument("--params", type=Path, help="where the simulator is described (params.yaml, or the package's)")
    parser.add_argument("--control-hz", type=entry.whole(1, 1000), help=f"steps per second of --follower arm ({CONTROL_HZ})")
    parser.add_argument("--fast", action="store_true", help="do not wait for the clock; with --leader expert")
    options = parser.parse_args(arguments)
    if options.fast and options.leader not in ("expert", "replay"):
        parser.error("--fast is for --leader expert and replay: a hand needs the clock")
    if options.control_hz is not None and (options.follower != "arm" or options.control_hz <= 0):
        parser.error("--control-hz is for --follower arm, and above 0; the simulator has its own, in --params")
    if options.objects_of is not None and (options.follower != "arm" or options.from_log is not None):
        parser.error("--objects-of is for --follower arm; the simulator has its task in --params, a log its own")
    if options.task in TASKS:
        parser.error(f"--task is what the robot is asked to do, in words; the name {options.task} goes to --objects-of")
    missing = _missing(options)
    if missing:
        parser.error(f"{', '.join(missing)} must be given as well")
    return options


def _record(options: argparse.Namespace) -> Report:
    # The arm is met last and left first: nothing that can fail or take long happens while it is live for nothing.
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(recorded_signals())
        simulated = _simulated(options) if options.follower == "sim" else None
        control_hz = (options.control_hz or CONTROL_HZ) if simulated is None else simulated.control_hz
        task = find(options.objects_of or DEFAULT_TASK) if simulated is None else simulated.task
        if options.dataset is not None:
            with contextlib.suppress(OSError):  # what stands in the way is named by the next line
                options.dataset.absolute().parent.mkdir(parents=True, exist_ok=True)
            require_writable(_timing_file(options.dataset), TeleopError)
        recorder = None if options.dataset is None else stack.enter_context(_recorder(options, control_hz, task))
        leader, commands = _leader(options, control_hz, stack)
        follower = simulated or _follower(options, task, control_hz, stop, stack)
        settings = SessionParams(
            1 if options.leader == "replay" else options.episodes, options.seed, automatic=options.leader == "expert"
        )
        clock = Clock() if options.fast else None
        now, sleep = (clock.now, clock.sleep) if clock else (time.monotonic, time.sleep)
        session = Session(follower, leader, recorder, settings, commands, now, sleep, stopped=lambda: bool(stop))
        try:
            session.run()
        finally:
            if stop:
                logger.info("%s: the episode that ran is dropped, the kept ones are safe", stop.came[0])
            if recorder is not None:
                _write_timing(options.dataset, session.report)
        return session.report


def _leader(
    options: argparse.Namespace, control_hz: int, stack: contextlib.ExitStack
) -> tuple[Teleoperator, Callable[[], Iterable[Command]]]:
    """Return what drives, and where commands come from."""
    if options.leader == "expert":
        with _installed("the expert", _SIMULATOR):
            from soarm.teleop import simulated
        return simulated.expert(options.params, control_hz, options.seed), tuple
    if options.leader == "replay":
        with _installed("a dataset", "pip install pyarrow, or play the log of a run"):
            played = actions_of(options.replay, options.replay_episode, control_hz, options.replay_units)
        player = Replayer(played, control_hz)
        return player, player.commands
    held = HeldKeys()
    if options.leader == "arm":
        leading = arms.leader(options.leader_port, Calibration.load(options.leader_calibration), _settings(options))
        leader: Teleoperator = Leader(stack.enter_context(leading), control_hz)
    else:
        lead = leads(_settings(options).gains.p)
        leader = Keyboard(held, control_hz, lead) if options.leader == "keyboard" else Gamepad(control_hz, lead=lead)
    terminal = stack.enter_context(Terminal())
    how = {"keyboard": HELP, "gamepad": "sticks and triggers move the arm", "arm": "the leader moves the arm"}
    logger.info("%s\n%s", how[options.leader], COMMAND_HELP if options.dataset else "q quits; nothing is recorded")
    return leader, _typed(terminal, held)


def _missing(options: argparse.Namespace) -> list[str]:
    """Return the options that the others need."""
    needed = {"--port": options.port, "--calibration": options.calibration}
    needed |= {} if options.dataset is None else {"--objects": options.objects}
    missing = [name for name, value in needed.items() if value is None] if options.follower == "arm" else []
    leader = {"--leader-port": options.leader_port, "--leader-calibration": options.leader_calibration}
    missing += [name for name, value in leader.items() if value is None] if options.leader == "arm" else []
    scripted = options.leader in ("expert", "replay") or options.from_log is not None
    missing += ["--dataset"] if scripted and options.dataset is None else []
    return missing + (["--replay"] if options.leader == "replay" and options.replay is None else [])


def _settings(options: argparse.Namespace) -> ArmConfig:
    return DEFAULT if options.settings is None else ArmConfig.load(options.settings)


def _simulated(options: argparse.Namespace) -> SimFollower:
    with _installed("the simulated arm", _SIMULATOR):
        from soarm.teleop import simulated
    return simulated.follower(options.params)


def _follower(
    options: argparse.Namespace, task: Task, control_hz: int, stop: StopRequests, stack: contextlib.ExitStack
) -> Follower:
    calibration = Calibration.load(options.calibration)
    sensors = {} if options.objects is None else {ENVIRONMENT_STATE: FileObjects(task, options.objects)}
    return stack.enter_context(arms.follower(options.port, calibration, _settings(options), task, sensors, control_hz, stop))


def _convert(options: argparse.Namespace) -> int:
    run = log.read(options.from_log)
    found = pieces(run)
    with _recorder(options, run.header["control_hz"], run.task) as recorder:
        for piece in found:
            recorder.save_episode(piece.observations, piece.actions)
    logger.info("%d episodes from %s in %s", len(found), options.from_log, options.dataset)
    _remind_of_dvc(options.dataset)
    return 0


def _recorder(options: argparse.Namespace, control_hz: int, task: Task) -> Recorder:
    with _installed("recording", "pip install pyarrow, or leave --dataset out and drive alone"):
        return recording.recorder(options.dataset, control_hz, task, options.task)


@contextlib.contextmanager
def _installed(what: str, remedy: str) -> Iterator[None]:
    """Say in a line what is missing where a package is."""
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).startswith("soarm"):
            raise
        raise TeleopError(f"{what} needs {error.name}, which is not installed: {remedy}") from None


def _remind_of_dvc(folder: Path) -> None:
    """Say what a dataset that DVC tracks needs after it changed: `dvc exp apply` puts back by force what was added last."""
    if folder.with_name(folder.name + ".dvc").is_file():
        logger.warning("%s is tracked by DVC: `dvc add %s` now, or `dvc exp apply` deletes what is new in it", folder, folder)


def _write_timing(folder: Path, report: Report) -> None:
    """Write how well each kept episode kept its rate, beside the dataset: its format has no place for it."""
    lines = [timing._asdict() for timing in report.kept]
    content = json.dumps({"kept": lines, "tries": report.tries, "refused": report.refused}, indent=1) + "\n"
    write_atomically(_timing_file(folder), content, TeleopError)


def _timing_file(folder: Path) -> Path:
    where = folder.absolute()
    return where.with_name(where.name + ".timing.json")


def _typed(terminal: Terminal, held: HeldKeys) -> Callable[[], Iterable[Command]]:
    def commands() -> Iterable[Command]:
        typed = terminal.read()
        held.hear(key for key in typed if key not in COMMAND_KEYS)
        return [COMMAND_KEYS[key] for key in typed if key in COMMAND_KEYS]

    return commands
