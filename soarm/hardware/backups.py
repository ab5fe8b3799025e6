"""Registers of servos in a file: saved before the first write to EPROM, and found again when they are to be restored.

    {"port": ..., "written": local time, "registers": {"1": {"firmware_major": 3, ...}, "2": null, ...}}

`null` stands for a servo that did not answer. `calibrate` opens limits and offsets for its sweep: a file saved while they were
open (or of new servos, which look the same) restores nothing, so it is never taken unless it is named.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import logging
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

from soarm import arm
from soarm.errors import BusError, CalibrationError, PortError
from soarm.hardware.ports import lasting
from soarm.hardware.registers import TABLE, TICKS_PER_TURN, decode, encode
from soarm.smallfile import read_json, shown, write_atomically

logger = logging.getLogger(__name__)
OPEN: Mapping[str, int] = {"homing_offset": 0, "min_position_limit": 0, "max_position_limit": TICKS_PER_TURN - 1}
"""Offset and limits of a servo whose encoder is to be seen as it is: during a sweep, and as it leaves the factory."""
_BLOCKS = ((0, 40), (40, 31), (84, 2))
"""Address and length of the reads that cover the table: EPROM, RAM, factory."""


class Readable(Protocol):
    """What a backup needs of the bus; see `Bus`."""

    port: str

    def read_block(self, servo_id: int, address: int, n_bytes: int) -> bytes:
        """Return the bytes of consecutive registers."""


@dataclasses.dataclass(frozen=True)
class Backup:
    """The registers of an arm's servos, as a file has them.

    Attributes:
        path: The file.
        port: Where the servos were, by its lasting name.
        written: When, in words.
        registers: Servo id -> register -> value, of all six servos of an arm.
    """

    path: Path
    port: str
    written: str
    registers: Mapping[int, Mapping[str, int]]

    @classmethod
    def load(cls, path: Path) -> Backup:
        """Read what `back_up` wrote.

        Raises:
            CalibrationError: The file cannot be read, or does not hold the EPROM of all six servos.
        """
        remedy = f"`soarm calibrate` saves such files in {default_folder()} before it writes"
        data = read_json(path, CalibrationError, remedy, what="a backup of registers")
        registers, faults = data.get("registers"), []
        held = {}
        for joint in arm.JOINTS:
            values = registers.get(str(joint.servo_id)) if isinstance(registers, dict) else None
            try:
                held[joint.servo_id] = _settings(values)
            except ValueError as error:
                faults.append(f"servo {joint.servo_id}: {error}")
        faults += [
            f"{key} is {shown(data.get(key))}, not a text" for key in ("port", "written") if type(data.get(key)) is not str
        ]
        if faults:
            raise CalibrationError("\n  ".join([f"{path} does not hold the registers of the six servos of an arm:", *faults]))
        return cls(path, data["port"], data["written"], held)

    @property
    def open_servos(self) -> list[int]:
        """Servos whose offset and limits are open in it."""
        return [servo_id for servo_id, values in self.registers.items() if OPEN.items() <= values.items()]


def default_folder() -> Path:
    """Return the folder for backups of registers: soarm/registers in the user's folder for state (XDG).

    Raises:
        BusError: Nobody knows where this user's folders are.
    """
    try:
        return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "soarm" / "registers"
    except RuntimeError:  # no HOME, and a user id without an entry, as in a container
        raise BusError(
            f"the user {os.getuid()} has no home folder for the registers, and no EPROM is written before they are saved: set "
            "HOME or XDG_STATE_HOME to a folder that can be written"
        ) from None


def back_up(bus: Readable, servo_ids: Iterable[int], path: Path) -> set[int]:
    """Write every register of servos to a JSON file; see the module.

    Args:
        bus: Where they are.
        servo_ids: Which.
        path: The file; its folder is made.

    Returns:
        Those whose registers are in the file.

    Raises:
        BusError: The file cannot be written.
    """
    registers = {servo_id: _read_all(bus, servo_id) for servo_id in servo_ids}
    written = datetime.datetime.now().isoformat(timespec="seconds")
    content = {"port": lasting(bus.port), "written": written, "registers": registers}
    with contextlib.suppress(OSError):  # what is in the way, the writer says
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(content, indent=1) + "\n", BusError)
    logger.info("registers of the servos %s are in %s", list(registers), path)
    return {servo_id for servo_id, values in registers.items() if values is not None}


def newest(port: str, folder: Path) -> Backup:
    """Return the newest file that was saved on a port with all six servos, none of them open.

    Raises:
        CalibrationError: There is none; names what there is, and why it does not do.
    """
    why = []
    for path in sorted(folder.glob("*.json"), reverse=True):
        try:
            backup = Backup.load(path)
        except CalibrationError as error:
            why.append(str(error))
            continue
        if backup.open_servos:
            why.append(f"{path}: offset and limits of the servos {backup.open_servos} are open in it, as during a sweep")
        elif backup.port != lasting(port):
            why.append(f"{path} was saved on {backup.port} at {backup.written}; if that is this arm, name the file")
        else:
            return backup
    known = "\n  ".join(why[:5]) or "there are no files at all"
    raise CalibrationError(f"nothing was saved in {folder} that restores an arm on {port}:\n  {known}")


def _settings(values: Any) -> dict[str, int]:
    """Return the EPROM of one servo; ValueError where a register is missing, or holds what it cannot."""
    if not isinstance(values, dict):
        raise ValueError(f"its registers are {shown(values)}")
    rows = [row for row in TABLE.values() if row.memory == "EPROM"]
    for row in rows:
        value = values.get(row.name)
        if type(value) is not int:
            raise ValueError(f"{row.name} is {shown(value)}, not a whole number")
        if row.writable:
            encode(row, value)
    return {row.name: values[row.name] for row in rows}


def _read_all(bus: Readable, servo_id: int) -> dict[str, int] | None:
    values = {}
    for address, n_bytes in _BLOCKS:
        try:
            block = bus.read_block(servo_id, address, n_bytes)
        except PortError:
            raise
        except BusError as error:
            logger.warning("backup: %s", error)
            return None
        for register in TABLE.values():
            start = register.address - address
            if start >= 0 and start + register.n_bytes <= n_bytes:
                values[register.name] = decode(register, block[start : start + register.n_bytes])
    return values
