"""Giving a new servo its id. New servos all have id 1, so they are plugged in one at a time."""

from __future__ import annotations

from soarm.errors import BusError
from soarm.hardware.bus import Bus
from soarm.hardware.registers import MODEL, PHASE_MULTI_TURN
from soarm.hardware.signals import interrupts_held


def set_id(bus: Bus, new: int) -> tuple[int, dict[str, tuple[int, int]]]:
    """Give the one servo on the bus an id, and let its position end with the turn (bit 4 of `phase`).

    Args:
        bus: The open bus, with one servo plugged in.
        new: Its id from now on.

    Returns:
        The id it had, and what was written: register -> (old, new).

    Raises:
        BusError: No servo, several, or no STS3215; nothing was written.
    """
    there = bus.broadcast_ping()
    if len(there) != 1:
        raise BusError(
            f"{'no servo answers' if not there else f'servos {there} answer'} on {bus.port}; to set an id exactly one must be "
            "plugged in, with its power. Unplug the others from its cable"
        )
    (old,) = there
    model = bus.ping(old)
    if model != MODEL:
        raise BusError(f"the servo is of model {model}, not an STS3215 ({MODEL}); it was left as it is")
    phase = bus.read(old, "phase")
    with interrupts_held():
        return old, bus.write_eprom(old, {"phase": phase & ~PHASE_MULTI_TURN, "id": new})
