"""The arm's commands; each is also `soarm COMMAND`.

    soarm find-port [--also LINK]
    soarm setup-motors --port PORT
    soarm calibrate --port PORT arm.json
    soarm check-pose --port PORT --calibration arm.json [--rest | --pose 0 0 0 0 0 0]
    soarm doctor --port PORT [--calibration arm.json] [--settings arm_settings.json]
    soarm release --port PORT
    soarm restore-registers --port PORT [FILE]
    soarm import-calibration LEROBOT.json arm.json
    soarm export-calibration arm.json LEROBOT.json

Also `python -m soarm.hardware`, for a host that has soarm without any extra.
"""

from __future__ import annotations

from soarm import entry

if __name__ == "__main__":  # before the other imports: Ctrl-C while they load ends as it does later
    entry.start("soarm.hardware.__main__")

import argparse
import contextlib
import logging
import select
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from soarm import arm
from soarm.errors import CalibrationError, PortError, SoarmError
from soarm.hardware import backups, doctor, guide, ports, restoring, sweep
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.lerobot_file import read_lerobot, write_lerobot
from soarm.hardware.setup import set_id
from soarm.signals import StopRequested, raised_once
from soarm.smallfile import read_bytes, require_writable, write_atomically

logger = logging.getLogger("soarm.hardware")
Ask = Callable[[str], str]
_PATIENT_S = 0.1
"""Of a question to a servo [s]: no command here is in a hurry, and a stall of the computer must not look like a dead servo."""
POSE_TOLERANCE = 5.0
"""A pose held by hand is good to a few degrees; a horn one tooth off is 14 [deg, percent]."""


class LiveLine:
    """A line of a terminal that is written in the place of the one before; what is printed after it replaces it."""

    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal

    def __call__(self, text: str) -> None:
        """Show it, cut to the width of the terminal."""
        width = shutil.get_terminal_size().columns
        with contextlib.suppress(OSError):  # the terminal was closed; SIGHUP says so
            self._terminal.write(f"\r{text[: width - 1]}\x1b[K\r")
            self._terminal.flush()


def main(arguments: Sequence[str] | None = None, ask: Ask = input) -> int:
    """Run the command line and return its exit status: 0 if all is well, 1 if something is wrong, 128 + n after a signal n.

    Args:
        arguments: Without the program's name; None takes those of the process.
        ask: Shows a question and waits for the person.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        with raised_once():
            return _run(options, ask)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    except EOFError:
        logger.error("the input ended before a question was answered; `%s` was not finished, begin it again", options.command)
        return 1
    except KeyboardInterrupt as error:
        logger.error("stopped; `%s` was not finished, begin it again", options.command)
        return 128 + (error.signum if isinstance(error, StopRequested) else signal.SIGINT)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soarm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    find = commands.add_parser("find-port", help="unplug the adapter, and see which port it was")
    find.add_argument(
        "--also", action="append", default=[], metavar="LINK", help="one that the system does not list, as a twin's"
    )
    setup = commands.add_parser("setup-motors", help="give new servos their ids, one at a time")
    check = commands.add_parser("doctor", help="ask every servo, and say what is wrong")
    measure = commands.add_parser("calibrate", help="measure zero and range of every joint, by hand")
    measure.add_argument("target", type=Path, help="file for the calibration; one that is there is kept beside it")
    pose = commands.add_parser("check-pose", help="hold a calibration against a pose the arm is put into by hand")
    pose.add_argument("--calibration", type=Path, required=True)
    pose.add_argument(
        "--pose",
        type=entry.number(-360, 360),
        nargs=6,
        default=[0.0] * 6,
        help="of the six joints [deg, percent]; the middle of all by default",
    )
    pose.add_argument("--rest", action="store_true", help="the folded pose instead")
    release = commands.add_parser("release", help="switch torque off, and prove it")
    back = commands.add_parser("restore-registers", help="give the servos back what was saved before it was overwritten")
    back.add_argument("file", type=Path, nargs="?", help="one of `soarm/registers` in ~/.local/state (the newest that fits)")
    for command in (setup, check, measure, pose, release, back):
        command.add_argument("--port", required=True, help="serial port, as find-port names it")
    check.add_argument("--calibration", type=Path, help="what the servos' limits and offsets are held against")
    check.add_argument("--settings", type=Path, help="JSON that names the servos' part; the supply is held against it")
    bring = commands.add_parser("import-calibration", help="read a calibration of LeRobot")
    take = commands.add_parser("export-calibration", help="write a calibration as LeRobot does")
    for command in (bring, take):
        command.add_argument("source", type=Path)
        command.add_argument("target", type=Path)
    return parser


def _run(options: argparse.Namespace, ask: Ask) -> int:
    if options.command == "find-port":
        return _find_port(options.also, ask)
    if options.command == "setup-motors":
        return _setup(options.port, ask)
    if options.command == "doctor":
        return _doctor(options.port, options.calibration, options.settings)
    if options.command == "calibrate":
        return _calibrate(options.port, options.target, ask)
    if options.command == "check-pose":
        at, tolerance = (sweep.REST.tolist(), sweep.REST_TOLERANCE) if options.rest else (options.pose, POSE_TOLERANCE)
        return _check_pose(options.port, Calibration.load(options.calibration), at, tolerance, ask)
    if options.command == "release":
        return _release(options.port)
    if options.command == "restore-registers":
        return _restore(options.port, options.file, ask)
    if options.command == "import-calibration":
        calibration = read_lerobot(options.source)
        calibration.save(options.target)
    else:
        calibration = Calibration.load(options.source)
        write_lerobot(calibration, options.target)
    logger.info("wrote %s (hash %s)", options.target, calibration.hash[:12])
    return 0


def _find_port(also: Sequence[str], ask: Ask) -> int:
    before = ports.listed() | ports.existing(also)
    for name, what in before.items():
        logger.info("%s  (%s)", name, what)
    for text in ports.stealers():
        logger.warning("%s", text)
    ask("Unplug the USB cable of the arm's adapter, then press Enter. ")
    port = ports.unplugged(before, ports.listed() | ports.existing(also))
    logger.info("the arm is on %s; plug it in again", port)
    return 0


def _setup(port: str, ask: Ask) -> int:
    for joint in reversed(arm.JOINTS):  # from the gripper on, as the cables run
        ask(f"Plug in the servo of {joint.name} alone, with its power, then press Enter. ")
        with Bus.open(port, (), timeout_s=_PATIENT_S) as bus:
            old, written = set_id(bus, joint.servo_id)
        logger.info("%s has the id %d now%s", joint.name, joint.servo_id, f" (was {old})" if written else " already")
    return 0


def _doctor(port: str, file: Path | None, settings: Path | None) -> int:
    calibration = None if file is None else Calibration.load(file)
    config = None if settings is None else ArmConfig.load(settings)
    why = ports.forbidden(port)
    if why is not None:
        raise PortError(why)
    joints = arm.JOINTS if calibration is None else calibration.joints
    with Bus.open(port, [joint.servo_id for joint in joints], timeout_s=_PATIENT_S) as bus:
        findings = doctor.examine(bus, calibration)
        faults = [f"{finding.joint}: {fault}" for finding in findings for fault in finding.faults]
        faults += doctor.of_all(findings) + doctor.foreign(bus)
    if config is not None:
        faults += doctor.against_settings(findings, config)
    for finding in findings:
        logger.info("%s", finding.line())
    odd = [f"{finding.joint}: {text}" for finding in findings for text in finding.oddities]
    for text in ports.stealers() + odd + doctor.swapped(findings, config):
        logger.warning("%s", text)
    for fault in faults:
        logger.error("%s", fault)
    if not faults:
        logger.info("nothing is wrong with this arm, as far as its servos can say")
    return 1 if faults else 0


def _calibrate(port: str, target: Path, ask: Ask) -> int:
    if not target.parent.is_dir():
        raise CalibrationError(f"there is no folder {target.parent} for {target.name}; make it first")
    require_writable(target, CalibrationError)  # before a sweep of minutes

    def save(calibration: Calibration) -> None:
        if target.exists():
            write_atomically(target.with_name(target.name + ".old"), read_bytes(target), CalibrationError)
        calibration.save(target)

    live = LiveLine(sys.stdout) if sys.stdout.isatty() else None
    with Bus.open(port, [joint.servo_id for joint in arm.JOINTS], timeout_s=_PATIENT_S) as bus:
        calibration = guide.calibrate(bus, ask, lambda text: logger.info("%s", text), _enter_was_pressed, show=live, save=save)
    logger.info("wrote %s (hash %s); hold it against a pose you know: soarm check-pose", target, calibration.hash[:12])
    return 0


def _enter_was_pressed() -> bool:
    if not select.select([sys.stdin], [], [], 0.0)[0]:
        return False
    if not sys.stdin.readline():
        raise EOFError
    return True


def _check_pose(port: str, calibration: Calibration, pose: Sequence[float], tolerance: float, ask: Ask) -> int:
    at = [round(x, 1) for x in pose]
    ask(f"Put the arm by hand into the pose {at} (its joints' middles at zero; gripper closed), then press Enter. ")
    with Bus.open(port, [joint.servo_id for joint in calibration.joints], timeout_s=_PATIENT_S) as bus:
        ticks = [bus.read(joint.servo_id, "present_position") for joint in calibration.joints]
    errors = sweep.pose_errors(calibration, ticks, pose)
    for name, error, unit in zip(arm.JOINT_NAMES, errors, arm.UNITS, strict=True):
        logger.info("%-14s %+6.1f %s", name, error, unit)
    far = [name for name, error in zip(arm.JOINT_NAMES, errors, strict=True) if not abs(error) <= tolerance]
    if far:
        logger.error(
            "%s are more than %g away: was the pose hit? Then they were calibrated wrongly, or the horn sits one tooth off "
            "(a tooth is 14.4 degrees); calibrate again",
            ", ".join(far),
            tolerance,
        )
    return 1 if far else 0


def _release(port: str) -> int:
    ids = [joint.servo_id for joint in arm.JOINTS]
    with Bus.open(port, ids, exclusive=False) as bus:
        live = bus.torque_off()
    if live:
        logger.error("the servos %s may still be live: cut their power", list(live))
    else:
        logger.info("the torque of all servos is off; each one confirmed it")
    return 1 if live else 0


def _restore(port: str, file: Path | None, ask: Ask) -> int:
    saved = backups.newest(port, backups.default_folder()) if file is None else backups.Backup.load(file)
    logger.info("%s, saved on %s at %s", saved.path, saved.port, saved.written)
    with Bus.open(port, [joint.servo_id for joint in arm.JOINTS], timeout_s=_PATIENT_S) as bus:
        changes = restoring.compare(bus, saved)
        for servo_id, differ in changes.items():
            for name, (now, then) in differ.items():
                logger.info("servo %d: %s %d -> %d", servo_id, name, now, then)
        if not changes:
            logger.info("the servos hold all that is in it; nothing is to be restored")
            return 0
        ask("Enter writes this into the servos, Ctrl-C leaves them as they are. ")
        restoring.restore(bus, changes)
    logger.info("restored, and read back: %d servos", len(changes))
    return 0
