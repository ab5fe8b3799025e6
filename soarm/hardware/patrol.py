"""Whether the servos still have what they were given: their torque, and the settings in RAM that a restart forgets.

A restart shows nowhere else: the servo answers on, and where torque is on after power-up (sources disagree) it even moves on,
without its speed cap and at its full torque.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm import arm
from soarm.errors import BusError, PortError
from soarm.hardware.bus import Bus
from soarm.hardware.registers import TABLE, decode
from soarm.hardware.watch import Severity, Verdict

_FIRST, _LAST = TABLE["torque_enable"], TABLE["goal_velocity"]
_N_BYTES = _LAST.address + _LAST.n_bytes - _FIRST.address


class Memory(NamedTuple):
    """What a restart changes: torque 0 or 1, acceleration [100 ticks/s2], cap of the speed [ticks/s]."""

    torque: int
    acceleration: int
    velocity: int


class Patrol:
    """Asks one servo per tick, all of them in turn.

    Args:
        known: What each servo held when it had been set up; None for one of which that is not known.
    """

    def __init__(self, known: Sequence[Memory | None] = (None,) * arm.N_JOINTS) -> None:
        self._known = tuple(known)
        self._next = 0

    @classmethod
    def of(cls, bus: Bus) -> Patrol:
        """Return one that takes what the servos hold now for what they are to keep; of a silent one, its torque alone."""
        return cls([_ask(bus, servo_id) for servo_id in bus.servo_ids])

    def step(self, bus: Bus, misses: Sequence[int]) -> list[Verdict]:
        """Ask the next servo.

        Args:
            bus: Of servos that should have torque.
            misses: Cycles each has been silent; a silent one is not asked, its silence is judged elsewhere.

        Raises:
            PortError: The port was lost.
        """
        joint, self._next = self._next, (self._next + 1) % len(self._known)
        found = None if misses[joint] else _ask(bus, bus.servo_ids[joint])
        if found is None:
            return []
        if found.torque != 1:
            return [Verdict(Severity.FAULT, joint, "lost its torque by itself: it restarted, or protects itself")]
        known = self._known[joint]
        if known is not None and found[1:] != known[1:]:
            return [Verdict(Severity.FAULT, joint, f"lost its settings: it restarted (it had {known}, now {found})")]
        return []


def _ask(bus: Bus, servo_id: int) -> Memory | None:
    try:
        block = bus.read_block(servo_id, _FIRST.address, _N_BYTES)
    except PortError:
        raise
    except BusError:
        return None
    values = []
    for name in ("torque_enable", "acceleration", "goal_velocity"):
        register = TABLE[name]
        at = register.address - _FIRST.address
        values.append(decode(register, block[at : at + register.n_bytes]))
    return Memory(*values)
