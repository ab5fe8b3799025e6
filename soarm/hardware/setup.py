"""Giving a new servo its id. New servos all have id 1, so they are plugged in one at a time."""

from __future__ import annotations

from soarm.errors import BusError
from soarm.hardware.bus import Bus
from soarm.hardware.registers import BAUD_RATES, MODEL, PHASE_MULTI_TURN
from soarm.signals import deferred_signals

_FACTORY_CODE = 0
"""Of `baud_rate`: 1 Mbaud."""


def set_id(bus: Bus, new: int) -> tuple[int, dict[str, tuple[int, int]]]:
    """Give the one servo on the bus an id and 1 Mbaud, and let its position end with the turn (bit 4 of `phase`).

    It is looked for at 1 Mbaud, as it leaves the factory, and where nobody answers at the other rates. The port is left at
    1 Mbaud.

    Args:
        bus: The open bus, with one servo plugged in.
        new: Its id from now on.

    Returns:
        The id it had, and what was written: register -> (old, new).

    Raises:
        BusError: No servo, several, or no STS3215; nothing was written.
    """
    try:
        old = _the_only_one(bus)
        model = bus.ping(old)
        if model != MODEL:
            raise BusError(f"the servo is of model {model}, not an STS3215 ({MODEL}); it was left as it is")
        phase = bus.read(old, "phase")
        with deferred_signals():
            return old, bus.write_eprom(old, {"phase": phase & ~PHASE_MULTI_TURN, "id": new, "baud_rate": _FACTORY_CODE})
    finally:
        if bus.line.is_open and bus.line.baud != BAUD_RATES[_FACTORY_CODE]:
            bus.line.set_baud(BAUD_RATES[_FACTORY_CODE])


def _the_only_one(bus: Bus) -> int:
    """Return the id of the one servo there is, and leave the port at its baud."""
    rates = [baud for baud in BAUD_RATES.values() if bus.line.speaks(baud)]
    for baud in rates:
        bus.line.set_baud(baud)
        there = bus.broadcast_ping()
        if len(there) == 1:
            return there[0]
        if there:
            raise BusError(
                f"servos {there} answer on {bus.port}; to set an id exactly one must be plugged in. Unplug the others from "
                "its cable"
            )
    raise BusError(
        f"no servo answers on {bus.port}, at none of {', '.join(map(str, rates))} baud; to set an id exactly one must be "
        "plugged in, with its power"
    )
