"""The arm's commands: `soarm find-port`, `setup-motors`, `doctor`, `import-calibration`, `export-calibration`.

    soarm find-port
    soarm setup-motors --port PORT
    soarm doctor --port PORT [--calibration arm.json]
    soarm import-calibration LEROBOT.json arm.json
    soarm export-calibration arm.json LEROBOT.json

Also `python -m soarm.hardware`, for a host that has no more than `pip install soarm`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from soarm import arm
from soarm.errors import SoarmError
from soarm.hardware import doctor, ports
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.lerobot_file import read_lerobot, write_lerobot
from soarm.hardware.setup import set_id

logger = logging.getLogger("soarm.hardware")
Ask = Callable[[str], str]


def main(arguments: Sequence[str] | None = None, ask: Ask = input) -> int:
    """Run the command line and return its exit status: 0 where all is well, 1 where something is wrong.

    Args:
        arguments: Without the program's name; None takes those of the process.
        ask: Shows a question and waits for the person.
    """
    parser = argparse.ArgumentParser(prog="soarm", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("find-port", help="unplug the adapter, and see which port it was")
    setup = commands.add_parser("setup-motors", help="give new servos their ids, one at a time")
    check = commands.add_parser("doctor", help="ask every servo, and say what is wrong")
    for command in (setup, check):
        command.add_argument("--port", required=True, help="serial port, as find-port names it")
    check.add_argument("--calibration", type=Path, help="what the servos' limits and offsets are held against")
    bring = commands.add_parser("import-calibration", help="read a calibration of LeRobot")
    take = commands.add_parser("export-calibration", help="write a calibration as LeRobot does")
    for command in (bring, take):
        command.add_argument("source", type=Path)
        command.add_argument("target", type=Path)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    try:
        if options.command == "find-port":
            return _find_port(ask)
        if options.command == "setup-motors":
            return _setup(options.port, ask)
        if options.command == "doctor":
            return _doctor(options.port, options.calibration)
        if options.command == "import-calibration":
            calibration = read_lerobot(options.source)
            calibration.save(options.target)
        else:
            calibration = Calibration.load(options.source)
            write_lerobot(calibration, options.target)
    except SoarmError as error:
        logger.error("%s", error)
        return 1
    logger.info("wrote %s (hash %s)", options.target, calibration.hash[:12])
    return 0


def _find_port(ask: Ask) -> int:
    before = ports.listed()
    for name, what in before.items():
        logger.info("%s  (%s)", name, what)
    ask("Unplug the USB cable of the arm's adapter, then press Enter. ")
    port = ports.unplugged(before, ports.listed())
    logger.info("the arm is on %s; plug it in again", port)
    return 0


def _setup(port: str, ask: Ask) -> int:
    for joint in reversed(arm.JOINTS):  # from the gripper on, as the cables run
        ask(f"Plug in the servo of {joint.name} alone, with its power, then press Enter. ")
        with Bus.open(port, ()) as bus:
            old, written = set_id(bus, joint.servo_id)
        logger.info("%s has the id %d now%s", joint.name, joint.servo_id, f" (was {old})" if written else " already")
    return 0


def _doctor(port: str, file: Path | None) -> int:
    calibration = None if file is None else Calibration.load(file)
    joints = arm.JOINTS if calibration is None else calibration.joints
    with Bus.open(port, [joint.servo_id for joint in joints]) as bus:
        findings = doctor.examine(bus, calibration)
    faults = [f"{finding.joint}: {fault}" for finding in findings for fault in finding.faults] + doctor.of_all(findings)
    for finding in findings:
        logger.info("%s", finding.line())
    for fault in faults:
        logger.error("%s", fault)
    if not faults:
        logger.info("nothing is wrong with this arm, as far as its servos can say")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
