"""Giving servos back the registers of a backup: after a calibration that was killed, or whose cable did not come back.

A servo has no serial number. Another arm's file is known by what nobody writes (firmware, model, voltage limits), and, on
another port than that of the file, by offsets and limits that are neither the file's nor open.
"""

from __future__ import annotations

from collections.abc import Mapping

from soarm import arm
from soarm.errors import BusError, CalibrationError
from soarm.hardware.backups import OPEN, Backup
from soarm.hardware.bus import Bus
from soarm.hardware.ports import lasting
from soarm.hardware.registers import TABLE
from soarm.signals import deferred_signals

Changes = dict[int, dict[str, tuple[int, int]]]
"""Servo -> register -> (as it is, as the file has it)."""
_IDENTITY = ("model_number", "firmware_major", "firmware_minor", "min_voltage_limit", "max_voltage_limit")
_LEFT_ALONE = {"id", "baud_rate", "phase", *_IDENTITY}
"""Not restored: what `setup-motors` sets, and what tells one arm from another."""
_RESTORED = [name for name, row in TABLE.items() if row.memory == "EPROM" and row.writable and name not in _LEFT_ALONE]


def compare(bus: Bus, backup: Backup) -> Changes:
    """Return what of the servos differs from a backup; reads only.

    Raises:
        CalibrationError: The backup is another arm's; names every servo that says so.
        BusError: A servo does not answer.
    """
    faults: list[str] = []
    changes: Changes = {}
    for joint in arm.JOINTS:
        there = {name: bus.read(joint.servo_id, name) for name in (*_IDENTITY, *_RESTORED)}
        saved = backup.registers[joint.servo_id]
        other = [f"{name} {there[name]} instead of {saved[name]}" for name in _IDENTITY if there[name] != saved[name]]
        if not other and backup.port != lasting(bus.port):
            other = _neither(there, saved)
        if other:
            faults.append(f"servo {joint.servo_id} ({joint.name}) has {', '.join(other)}")
        differ = {name: (there[name], saved[name]) for name in _RESTORED if there[name] != saved[name]}
        if differ:
            changes[joint.servo_id] = differ
    if faults:
        raise CalibrationError(
            "\n  ".join([f"{backup.path}, saved on {backup.port}, is of another arm than the one on {bus.port}:", *faults])
            + "\nNothing was written. Name a file of this arm, or calibrate it anew: soarm calibrate"
        )
    return changes


def restore(bus: Bus, changes: Changes) -> None:
    """Write what differs, servo by servo, each read back; one that fails keeps no other from its registers.

    Raises:
        BusError: Servos that did not take theirs.
    """
    lost = []
    with deferred_signals():
        for servo_id, differ in changes.items():
            try:
                bus.write_eprom(servo_id, {name: new for name, (_, new) in differ.items()})
            except BusError as error:
                lost.append(f"servo {servo_id}: {error}")
    if lost:
        raise BusError("\n  ".join(["these were not restored; mend it and run this again:", *lost]))


def _neither(there: Mapping[str, int], saved: Mapping[str, int]) -> list[str]:
    """Return offset and limits that are neither the file's nor open."""
    names = list(OPEN)
    return [f"{name} {there[name]} instead of {saved[name]}" for name in names if there[name] not in (saved[name], OPEN[name])]
