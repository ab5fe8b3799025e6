"""Whether the servos still have what they were given: their torque, the settings in RAM that a restart forgets, their goals.

A restart shows nowhere else: the servo answers on, and where torque is on after power-up (sources disagree) it even moves on,
without its speed cap and at its full torque. A goal or a torque limit that is not what it was told is no fault: it is told
again (`soarm.hardware.keeping`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm import arm
from soarm.errors import BusError, PortError
from soarm.hardware.bus import Bus
from soarm.hardware.keeping import Keeping
from soarm.hardware.registers import TABLE, decode
from soarm.hardware.watch import Severity, Verdict

_FIRST, _LAST = TABLE["torque_enable"], TABLE["torque_limit"]
_N_BYTES = _LAST.address + _LAST.n_bytes - _FIRST.address


class Memory(NamedTuple):
    """What a servo was told.

    Attributes:
        torque: 0 or 1; this and the next two are what a restart changes.
        acceleration: [100 ticks/s2].
        velocity: Cap of the speed [ticks/s].
        goal: [ticks].
        torque_limit: [0.1 %].
    """

    torque: int
    acceleration: int
    velocity: int
    goal: int
    torque_limit: int

    @property
    def settings(self) -> tuple[int, int]:
        """Return what a restart forgets beside the torque."""
        return self.acceleration, self.velocity


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

    def keeping(self, bus: Bus) -> Keeping:
        """Return what the servos were told to keep: what they held when the watch began."""
        held = {servo_id: known for servo_id, known in zip(bus.servo_ids, self._known, strict=True) if known is not None}
        return Keeping(
            {servo_id: known.goal for servo_id, known in held.items()},
            {servo_id: known.torque_limit for servo_id, known in held.items()},
        )

    def step(self, bus: Bus, misses: Sequence[int], keeping: Keeping | None = None) -> list[Verdict]:
        """Ask the next servo.

        Args:
            bus: Of servos that should have torque.
            misses: Cycles each has been silent; a silent one is not asked, its silence is judged elsewhere.
            keeping: Is told what goal and what torque limit the servo holds.

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
        if known is not None and found.settings != known.settings:
            was, now = (f"acceleration {one.acceleration} and speed {one.velocity}" for one in (known, found))
            return [Verdict(Severity.FAULT, joint, f"lost its settings: it restarted (it had {was}, now {now})")]
        if keeping is not None:
            keeping.compare(bus.servo_ids[joint], found.goal, found.torque_limit)
        return []


def _ask(bus: Bus, servo_id: int) -> Memory | None:
    try:
        block = bus.read_block(servo_id, _FIRST.address, _N_BYTES)
    except PortError:
        raise
    except BusError:
        return None
    values = []
    for name in ("torque_enable", "acceleration", "goal_velocity", "goal_position", "torque_limit"):
        register = TABLE[name]
        at = register.address - _FIRST.address
        values.append(decode(register, block[at : at + register.n_bytes]))
    return Memory(*values)
