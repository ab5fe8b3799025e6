"""Registers of servos in a file: saved before the first write to EPROM, and found again when they are to be restored.

    {"port": ..., "written": local time, "registers": {"1": {"firmware_major": 3, ...}, "2": null, ...}}

`null` stands for a servo that did not answer. `calibrate` opens limits and offsets for its sweep: a file saved while they were
open (or of new servos, which look the same) restores nothing, so it is never taken unless it is named.
"""

from __future__ import annotations

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
        try:
            data: Any = json.loads(path.read_text(encoding="utf-8"))
            held = {joint.servo_id: _settings(data["registers"][str(joint.servo_id)]) for joint in arm.JOINTS}
            return cls(path, str(data["port"]), str(data["written"]), held)
        except OSError as error:
            raise CalibrationError(f"{path} cannot be read ({error.strerror})") from None
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise CalibrationError(
                f"{path} does not hold the registers of the six servos of an arm ({type(error).__name__}: {error})"
            ) from None

    @property
    def open_servos(self) -> list[int]:
        """Servos whose offset and limits are open in it."""
        return [servo_id for servo_id, values in self.registers.items() if OPEN.items() <= values.items()]


def default_folder() -> Path:
    """Return the folder for backups of registers: soarm/registers in the user's folder for state (XDG)."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "soarm" / "registers"


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
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise BusError(
            f"the registers cannot be saved to {path} ({error.strerror}), and no EPROM is written before they are; make room "
            "there, or name another folder in XDG_STATE_HOME"
        ) from None
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
    """Return the EPROM of one servo, each value checked against its register's range."""
    held = {name: values[name] for name, register in TABLE.items() if register.memory == "EPROM"}
    for name, value in held.items():
        if type(value) is not int:
            raise ValueError(f"{name} is {value!r}, not a whole number")
        if TABLE[name].writable:
            encode(TABLE[name], value)
    return held


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
