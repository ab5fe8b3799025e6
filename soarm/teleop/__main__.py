"""`python -m soarm.teleop`: drive an arm by hand and record demonstrations into a LeRobot dataset.

    python -m soarm.teleop --follower sim --leader keyboard --dataset data/record --episodes 50
    python -m soarm.teleop --follower sim --leader expert --dataset demo --episodes 2 --fast
    python -m soarm.teleop --follower arm --port PORT --calibration arm.json --objects objects.json
        --leader arm --leader-port PORT --leader-calibration leader.json --dataset data/record
    python -m soarm.teleop --leader replay --replay data/record --replay-episode 3 --dataset again
    python -m soarm.teleop --from-log run.log --dataset data/record

The dataset has the features and the robot type of `soarm.recording`, so `train_act` takes it as it is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from soarm import params as params_file
from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.errors import SoarmError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.recording import FEATURES, RecordParams
from soarm.runtime import log
from soarm.runtime.objects import FileObjects
from soarm.sim.env import PickPlaceEnv
from soarm.sim.expert import Expert
from soarm.sim.params import SimParams
from soarm.teleop import arms
from soarm.teleop.convert import pieces
from soarm.teleop.follower import Follower, SimFollower
from soarm.teleop.gamepad import Gamepad
from soarm.teleop.keyboard import HELP, HeldKeys, Keyboard, Terminal
from soarm.teleop.leader import Leader
from soarm.teleop.replayer import Replayer, actions_of
from soarm.teleop.session import COMMAND_HELP, COMMAND_KEYS, Command, Report, Session, SessionParams
from soarm.teleop.stopping import Stop, noted
from soarm.teleop.teleoperator import PolicyTeleoperator, Teleoperator

logger = logging.getLogger("soarm.teleop")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 if an episode was kept, 1 otherwise."""
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
    parser.add_argument("--replay-episode", type=int, default=0, help="which one (%(default)s)")
    parser.add_argument("--settings", type=Path, help="of both arms; see soarm.hardware.config.ArmConfig")
    parser.add_argument("--objects", type=Path, help="file that says where cube and bin are; see soarm.runtime.objects")
    parser.add_argument("--from-log", type=Path, help="no driving: the log of `soarm drive` becomes episodes")
    parser.add_argument("--dataset", type=Path, required=True, help="folder; an existing dataset is continued")
    parser.add_argument("--episodes", type=int, default=10, help="how many to keep (%(default)s)")
    parser.add_argument("--task", default="Pick up the cube and place it in the bin.", help="in words")
    parser.add_argument("--seed", type=int, default=0, help="scene of the first episode (%(default)s)")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"), help="where the simulator is described")
    parser.add_argument("--fast", action="store_true", help="do not wait for the clock; with --leader expert")
    options = parser.parse_args(arguments)
    if options.fast and options.leader not in ("expert", "replay"):
        parser.error("--fast is for --leader expert and replay: a hand needs the clock")
    missing = _missing(options)
    if missing:
        parser.error(f"{', '.join(missing)} must be given as well")
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if options.from_log is not None:
            return _convert(options)
        report = _record(options)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    late = sum(timing.late + timing.missed for timing in report.kept)
    logger.info("kept %d episodes in %s; %d late or missed steps in them", len(report.kept), options.dataset, late)
    return 0 if report.kept else 1


def _record(options: argparse.Namespace) -> Report:
    loaded = params_file.load(options.params)
    sim = loaded.section("sim", SimParams)
    # The arm is met last and left first: nothing that can fail or take long happens while it is live for nothing.
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(noted())
        recorder = stack.enter_context(_recorder(options.dataset, sim.control_hz, options.task))
        leader, commands = _leader(options, loaded, sim, stack)
        follower = _follower(options, sim, stop, stack)
        settings = SessionParams(
            1 if options.leader == "replay" else options.episodes, options.seed, automatic=options.leader == "expert"
        )
        clock = _NoClock() if options.fast else None
        now, sleep = (clock.now, clock.sleep) if clock else (time.monotonic, time.sleep)
        session = Session(follower, leader, recorder, settings, commands, now, sleep, stopped=lambda: bool(stop))
        try:
            session.run()
        finally:
            if stop:
                logger.info("%s: the episode that ran is dropped, the kept ones are safe", stop.came[0])
            _write_timing(options.dataset, session.report)
        return session.report


def _leader(
    options: argparse.Namespace, loaded: params_file.Params, sim: SimParams, stack: contextlib.ExitStack
) -> tuple[Teleoperator, Callable[[], Iterable[Command]]]:
    """Return what drives, and where commands come from."""
    if options.leader == "expert":
        expert = Expert(loaded.section("record", RecordParams).expert, sim.control_hz)
        return PolicyTeleoperator(expert, options.seed), tuple
    if options.leader == "replay":
        player = Replayer(actions_of(options.replay, options.replay_episode, sim.control_hz), sim.control_hz)
        return player, player.commands
    held = HeldKeys()
    if options.leader == "arm":
        leading = arms.leader(options.leader_port, Calibration.load(options.leader_calibration), _settings(options))
        leader: Teleoperator = Leader(stack.enter_context(leading), sim.control_hz)
    else:
        leader = Keyboard(held, sim.control_hz) if options.leader == "keyboard" else Gamepad(sim.control_hz)
    terminal = stack.enter_context(Terminal())
    how = {"keyboard": HELP, "gamepad": "sticks and triggers move the arm", "arm": "the leader moves the arm"}
    logger.info("%s\n%s", how[options.leader], COMMAND_HELP)
    return leader, _typed(terminal, held)


def _missing(options: argparse.Namespace) -> list[str]:
    """Return the options that the others need."""
    needed = {"--port": options.port, "--calibration": options.calibration, "--objects": options.objects}
    missing = [name for name, value in needed.items() if value is None] if options.follower == "arm" else []
    leader = {"--leader-port": options.leader_port, "--leader-calibration": options.leader_calibration}
    missing += [name for name, value in leader.items() if value is None] if options.leader == "arm" else []
    return missing + (["--replay"] if options.leader == "replay" and options.replay is None else [])


def _settings(options: argparse.Namespace) -> ArmConfig:
    return DEFAULT if options.settings is None else ArmConfig.load(options.settings)


def _follower(options: argparse.Namespace, sim: SimParams, stop: Stop, stack: contextlib.ExitStack) -> Follower:
    if options.follower == "sim":
        return SimFollower(PickPlaceEnv(sim))
    calibration, objects = Calibration.load(options.calibration), FileObjects(options.objects)
    live = arms.follower(options.port, calibration, _settings(options), objects, sim.control_hz, stop)
    return stack.enter_context(live)


def _convert(options: argparse.Namespace) -> int:
    run = log.read(options.from_log)
    found = pieces(run)
    with _recorder(options.dataset, run.header["control_hz"], options.task) as recorder:
        for piece in found:
            recorder.save_episode(piece.observations, piece.actions)
    logger.info("%d episodes from %s in %s", len(found), options.from_log, options.dataset)
    return 0


def _recorder(folder: Path, control_hz: int, task: str) -> Recorder:
    if (folder / layout.INFO_PATH).exists() or (folder / layout.RECORDING).exists():
        return Recorder.resume(folder, task)
    return Recorder.create(folder, FEATURES, control_hz, layout.ROBOT_TYPE, task)


def _write_timing(folder: Path, report: Report) -> None:
    """Write how well each kept episode kept its rate, beside the dataset: its format has no place for it."""
    lines = [timing._asdict() for timing in report.kept]
    path = folder.with_name(folder.name + ".timing.json")
    path.write_text(json.dumps({"kept": lines, "tries": report.tries, "refused": report.refused}, indent=1) + "\n")


def _typed(terminal: Terminal, held: HeldKeys) -> Callable[[], Iterable[Command]]:
    def commands() -> Iterable[Command]:
        typed = terminal.read()
        held.hear(key for key in typed if key not in COMMAND_KEYS)
        return [COMMAND_KEYS[key] for key in typed if key in COMMAND_KEYS]

    return commands


class _NoClock:
    """A clock that passes when somebody waits."""

    def __init__(self) -> None:
        self._time_s = 0.0

    def now(self) -> float:
        return self._time_s

    def sleep(self, seconds: float) -> None:
        self._time_s += seconds


if __name__ == "__main__":
    sys.exit(main())
