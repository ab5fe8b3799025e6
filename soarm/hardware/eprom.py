"""Write EPROM registers: only those that differ, while the servo is limp and its lock open, and after a backup.

A servo has been bricked by a careless write before, and EPROM wears: so every write is compared first, read back after, and
the servo is locked again whatever happens. `phase` is never written but to clear its multi-turn bit.
"""

from __future__ import annotations

import contextlib
import datetime
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from soarm.errors import BusError, PortError
from soarm.hardware import packets
from soarm.hardware.backups import back_up, default_folder
from soarm.hardware.line import Line
from soarm.hardware.registers import BAUD_RATES, PHASE_MULTI_TURN, TABLE, Register, encode
from soarm.signals import deferred_signals

logger = logging.getLogger(__name__)

_LOCK = TABLE["lock"].address
_LAST = ("id", "baud_rate")
"""Written after everything else, in this order: after them the servo is another one to talk to."""


class Servos(Protocol):
    """What the EPROM needs of the bus; see `Bus`."""

    port: str
    servo_ids: tuple[int, ...]
    line: Line

    def read(self, servo_id: int, name: str) -> int:
        """Return the value of a register."""

    def read_block(self, servo_id: int, address: int, n_bytes: int) -> bytes:
        """Return the bytes of consecutive registers."""

    def write_block(self, servo_id: int, address: int, data: bytes) -> None:
        """Write bytes and wait for the acknowledgement."""


class Eprom:
    """The EPROM of the servos of one bus.

    Args:
        bus: The servos.
        folder: For the backups; None for `backups.default_folder()`.
    """

    def __init__(self, bus: Servos, folder: Path | None) -> None:
        self._bus = bus
        self._folder = folder
        self._open: set[int] = set()
        self._renamed: dict[int, int] = {}
        self._stored: set[int] = set()

    @contextlib.contextmanager
    def unlocked(self, servo_id: int) -> Iterator[None]:
        """Open a servo's EPROM in this block; see `Bus.unlocked`."""
        if servo_id in self._open:
            yield
            return
        if self._bus.read(servo_id, "torque_enable") != 0:
            raise BusError(f"servo {servo_id} has torque on; its EPROM is written only while limp: release the arm first")
        self._back_up_before(servo_id)
        try:
            self._bus.write_block(servo_id, _LOCK, b"\0")
            self._open.add(servo_id)
            yield
        finally:
            current = self._renamed.pop(servo_id, servo_id)
            self._open.discard(current)
            self._lock(current)

    def write(self, servo_id: int, register: Register, value: int) -> None:
        """Write a register; see `Bus.write`, which has checked the value."""
        if servo_id not in self._open:
            raise BusError(
                f"{register.name} (register {register.address}) of servo {servo_id} lies in EPROM, which is locked: use "
                "`bus.write_eprom`, or write inside `with bus.unlocked(servo_id)`"
            )
        if register.name == "phase":
            _check_phase(self._bus.read(servo_id, "phase"), value)
        if register.name == "id":
            self._rename(servo_id, register, value)
        elif register.name == "baud_rate":
            self._change_baud(servo_id, register, value)
        else:
            self._bus.write_block(servo_id, register.address, encode(register, value))

    def bring_to(self, servo_id: int, values: Mapping[str, int]) -> dict[str, tuple[int, int]]:
        """Write what differs; see `Bus.write_eprom`."""
        registers = _checked(values)
        old = {name: self._bus.read(servo_id, name) for name in registers}
        changes = {name: (old[name], values[name]) for name in registers if values[name] != old[name]}
        if not changes:
            return {}
        if "phase" in changes:
            _check_phase(*changes["phase"])
        with self.unlocked(servo_id):
            current = servo_id
            for name, (_, new) in changes.items():
                self.write(current, registers[name], new)
                current = new if name == "id" else current
            held = {name: self._bus.read(current, name) for name in changes}
        wrong = [f"{name} holds {held[name]} instead of {new}" for name, (_, new) in changes.items() if held[name] != new]
        if wrong:
            raise BusError(
                f"servo {current} did not take what was written: {'; '.join(wrong)}. Power it off and on, try again"
            )
        for name, (before, new) in changes.items():
            logger.info("servo %d: %s %d -> %d", servo_id, name, before, new)
        return changes

    def _rename(self, servo_id: int, register: Register, new: int) -> None:
        try:
            self._bus.write_block(servo_id, register.address, encode(register, new))
        except PortError:
            raise
        except BusError:  # the acknowledgement may be what was lost
            if self._bus.read(new, "id") != new:
                raise
        self._open.remove(servo_id)
        self._open.add(new)
        original = next((old for old, current in self._renamed.items() if current == servo_id), servo_id)
        self._renamed[original] = new

    def _change_baud(self, servo_id: int, register: Register, code: int) -> None:
        line, baud = self._bus.line, BAUD_RATES[code]
        before = line.baud
        if not line.speaks(baud):
            raise ValueError(f"the servo SDK does not speak {baud} baud: a servo set to it could not be reached any more")
        packet = packets.write(servo_id, register.address, encode(register, code))
        line.ask(lambda *_: packet, (servo_id,), 0, attempts=1)  # acknowledged at the old baud, the new one, or never
        line.set_baud(baud)
        try:
            self._bus.read(servo_id, "baud_rate")
        except PortError:
            raise
        except BusError:
            line.set_baud(before)
            raise

    def _lock(self, servo_id: int) -> None:
        if not self._bus.line.is_open:
            logger.error("servo %d was left with its EPROM open: the port was lost. Power it off and on", servo_id)
            return
        with deferred_signals():
            self._bus.write_block(servo_id, _LOCK, b"\1")
            if self._bus.read(servo_id, "lock") != 1:
                raise BusError(f"servo {servo_id} could not be locked again: its EPROM is open. Power it off and on")

    def _back_up_before(self, servo_id: int) -> None:
        if servo_id in self._stored:
            return
        servo_ids = [each for each in dict.fromkeys((servo_id, *self._bus.servo_ids)) if each not in self._stored]
        folder = default_folder() if self._folder is None else self._folder
        stamp = datetime.datetime.now().strftime("%Y%m%d-%H%M%S-%f")
        self._stored |= back_up(self._bus, servo_ids, folder / f"{stamp}-{Path(self._bus.port).name}.json")


def _checked(values: Mapping[str, int]) -> dict[str, Register]:
    """Return the registers in the order in which they are to be written."""
    faults, registers = [], {}
    for name, value in values.items():
        register = TABLE.get(name)
        if register is None or register.memory != "EPROM" or not register.writable:
            faults.append(f"{name} is no register in EPROM that this project writes")
            continue
        registers[name] = register
        try:
            encode(register, value)
        except ValueError as error:
            faults.append(str(error))
    if faults:
        raise ValueError("nothing was written:\n  " + "\n  ".join(faults))
    return dict(sorted(registers.items(), key=lambda item: _LAST.index(item[0]) if item[0] in _LAST else -1))


def _check_phase(old: int, new: int) -> None:
    if new not in (old, old & ~PHASE_MULTI_TURN):
        raise ValueError(
            f"phase (register 18) is {old} and may become {old & ~PHASE_MULTI_TURN} (multi-turn feedback off), not {new}: its "
            "other bits belong to the variant of the servo, and a wrong one makes it unusable"
        )
