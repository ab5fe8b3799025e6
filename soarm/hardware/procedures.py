"""What a person does with an arm that is plugged in: find its port, set ids, calibrate, check, release, restore.

What is asked of the person goes through `ask`, which shows a question and waits for Enter; what is found is logged. Every
procedure returns an exit status where it can end in two ways: 0 if all is well, 1 if something is wrong.
"""

from __future__ import annotations

import contextlib
import logging
import select
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TextIO

from soarm import arm
from soarm.errors import CalibrationError, PortError
from soarm.hardware import backups, doctor, guide, ports, restoring, sweep
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.setup import set_id
from soarm.smallfile import read_bytes, require_writable, write_atomically

logger = logging.getLogger(__name__)
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


def find_port(also: Sequence[str], ask: Ask) -> str:
    """Return the port of the arm: the one that goes away when its cable is unplugged.

    Args:
        also: Ports that the system does not list.
        ask: Asks the person to unplug it.

    Raises:
        PortError: No port went away, or several.
    """
    before = ports.listed() | ports.existing(also)
    for name, what in before.items():
        logger.info("%s  (%s)", name, what)
    for text in ports.stealers():
        logger.warning("%s", text)
    ask("Unplug the USB cable of the arm's adapter, then press Enter. ")
    return ports.unplugged(before, ports.listed() | ports.existing(also))


def setup_motors(port: str, ask: Ask) -> None:
    """Give new servos their ids, one at a time."""
    for joint in reversed(arm.JOINTS):  # from the gripper on, as the cables run
        ask(f"Plug in the servo of {joint.name} alone, with its power, then press Enter. ")
        with Bus.open(port, (), timeout_s=_PATIENT_S) as bus:
            old, written = set_id(bus, joint.servo_id)
        logger.info("%s has the id %d now%s", joint.name, joint.servo_id, f" (was {old})" if written else " already")


class Examination(NamedTuple):
    """What is wrong with an arm.

    Attributes:
        findings: One per servo.
        warnings: What is odd, or may disturb.
        faults: What is wrong.
    """

    findings: list[doctor.Finding]
    warnings: list[str]
    faults: list[str]


def examine(port: str, calibration: Calibration | None, config: ArmConfig | None) -> Examination:
    """Ask every servo, and compare it with a calibration and with settings; nothing is written.

    Args:
        port: Serial port of the arm.
        calibration: What the servos' limits and offsets are compared with; None leaves them out.
        config: What the supply is compared with; None leaves it out.
    """
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
    odd = [f"{finding.joint}: {text}" for finding in findings for text in finding.oddities]
    return Examination(findings, ports.stealers() + odd + doctor.swapped(findings, config), faults)


def calibrate(port: str, target: Path, ask: Ask) -> Calibration:
    """Measure zero and range of every joint by hand, and write the calibration; a file that is there is kept beside it.

    Raises:
        CalibrationError: The file cannot be written, or a joint was not swept as it must be.
    """
    if not target.parent.is_dir():
        raise CalibrationError(f"there is no folder {target.parent} for {target.name}; make it first")
    require_writable(target, CalibrationError)  # before a sweep of minutes

    def save(calibration: Calibration) -> None:
        if target.exists():
            write_atomically(target.with_name(target.name + ".old"), read_bytes(target), CalibrationError)
        calibration.save(target)

    live = LiveLine(sys.stdout) if sys.stdout.isatty() else None
    with Bus.open(port, [joint.servo_id for joint in arm.JOINTS], timeout_s=_PATIENT_S) as bus:
        return guide.calibrate(bus, ask, lambda text: logger.info("%s", text), enter_was_pressed, show=live, save=save)


def enter_was_pressed() -> bool:
    """Return whether the person has pressed Enter; raises EOFError where the input has ended."""
    if not select.select([sys.stdin], [], [], 0.0)[0]:
        return False
    if not sys.stdin.readline():
        raise EOFError
    return True


def check_pose(port: str, calibration: Calibration, pose: Sequence[float] | None, ask: Ask) -> int:
    """Compare a calibration with a pose that the arm is put into by hand.

    Args:
        port: Serial port of the arm.
        calibration: The calibration.
        pose: Of the six joints [deg x 5, percent]; None is the folded pose, in which the arm rests.
        ask: Asks the person to put the arm there.
    """
    tolerance = POSE_TOLERANCE
    if pose is None:
        pose, tolerance = sweep.REST.tolist(), sweep.REST_TOLERANCE
    at = [round(x, 1) for x in pose]
    ask(f"Put the arm by hand into the pose {at} (its joints' middles at zero; gripper closed), then press Enter. ")
    with Bus.open(port, calibration.servo_ids, timeout_s=_PATIENT_S) as bus:
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


def release(port: str) -> int:
    """Switch torque off, and report which servo did not confirm it."""
    ids = [joint.servo_id for joint in arm.JOINTS]
    with Bus.open(port, ids, exclusive=False) as bus:
        live = bus.torque_off()
    if live:
        logger.error("the servos %s may still be live: cut their power", list(live))
    else:
        logger.info("the torque of all servos is off; each one confirmed it")
    return 1 if live else 0


def restore_registers(port: str, file: Path | None, ask: Ask) -> int:
    """Write back into the servos what was saved before it was overwritten.

    Args:
        port: Serial port of the arm.
        file: What was saved; None takes the newest that fits.
        ask: Asks whether to write.
    """
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
