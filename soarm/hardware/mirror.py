"""Mirror the servos' registers: goals and torque limits as they should be, and the settings in RAM that a restart forgets.

Nobody acknowledges a SYNC WRITE. One lost frame would leave a joint under way while the arm says that it stands, or a hot
servo at its full torque; so a goal or a torque limit that has to last is read back, and what differs is written anew, servo by
servo and acknowledged. A restart shows nowhere else: the servo answers on, and where torque is on after power-up (sources
disagree) it even moves on, without its speed cap and at its full torque. That is a fault.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from soarm.errors import BusError, PortError
from soarm.hardware import packets
from soarm.hardware.bus import Bus
from soarm.hardware.registers import TABLE, decode
from soarm.hardware.watch import Alarm, Severity

_REGISTERS = tuple(TABLE[name] for name in ("torque_enable", "acceleration", "goal_velocity", "goal_position", "torque_limit"))
_FIRST, _LAST = _REGISTERS[0], _REGISTERS[-1]
_N_BYTES = _LAST.address + _LAST.n_bytes - _FIRST.address
_ROUNDS = 2
"""How often in one cycle a register is read, resent and read again; what still differs waits for the next cycle."""


class Held(NamedTuple):
    """What a servo holds.

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


class RegisterMirror:
    """The registers of servos as they should be, and which of them have to be read back.

    Args:
        bus: Where the servos are.
        held: Servo -> what it holds, and is to go on holding; none for a servo of which that is not known.

    Attributes:
        goals: Servo -> the last goal that was sent to it [ticks].
        limits: Servo -> the torque limit that was sent to it [0.1 %].
        standing: Whether the goals are to last; those of an arm that follows commands do not, the next one is under way.
    """

    def __init__(self, bus: Bus, held: Mapping[int, Held] | None = None) -> None:
        held = held or {}
        self._bus = bus
        self.goals = {servo_id: one.goal for servo_id, one in held.items()}
        self.limits = {servo_id: one.torque_limit for servo_id, one in held.items()}
        self._settings = {servo_id: one.settings for servo_id, one in held.items()}
        self.standing = True
        self._doubts: set[int] = set()
        self._late: set[int] = set()  # servos that were silent when they should have been told to stay
        self._let_go: set[int] = set()
        self._next = 0

    @classmethod
    def of(cls, bus: Bus) -> RegisterMirror:
        """Return one of what the servos hold now; of a silent one, only its torque is known: it should be on."""
        found = {servo_id: _read(bus, servo_id) for servo_id in bus.servo_ids}
        return cls(bus, {servo_id: held for servo_id, held in found.items() if held is not None})

    def expect(self, goals: Mapping[int, int]) -> None:
        """Take these goals, and no others, for what the servos should hold; `prove` writes those that differ."""
        self.goals = dict(goals)
        self._doubts = set(goals)

    def follow(self, goals: Mapping[int, int]) -> None:
        """Send goals that the next ones replace."""
        self.standing = False
        self._bus.sync_write("goal_position", goals)
        self.goals |= goals

    def stay(self, goals: Mapping[int, int]) -> None:
        """Send goals that last; `prove` sees to it that they arrive. A servo that has none gets it from `stay_late`."""
        self.standing = True
        self._late = set(self._bus.servo_ids) - goals.keys() - self._let_go
        self._send(goals)

    def stay_late(self, goals: Mapping[int, int]) -> None:
        """Send goals to those that were silent when the others were told to stay: they would go on to their last one."""
        late = {servo_id: goal for servo_id, goal in goals.items() if servo_id in self._late}
        if self.standing and late:
            self._late -= late.keys()
            self._send(late)

    def limit(self, servo_id: int, torque_limit: int) -> None:
        """Take a torque limit [0.1 %]; `prove` writes it."""
        self.limits[servo_id] = torque_limit
        self._doubts.add(servo_id)

    def forget(self, servo_id: int) -> None:
        """Send a servo nothing any more: it was released, and a goal may switch its torque on."""
        self.goals.pop(servo_id, None)
        self.limits.pop(servo_id, None)
        self._doubts.discard(servo_id)
        self._late.discard(servo_id)
        self._let_go.add(servo_id)

    def audit(self, misses: Sequence[int]) -> list[Alarm]:
        """Read one servo back, all of them in turn, and return what is wrong; a goal or limit that differs is then in doubt.

        Args:
            misses: Cycles each has been silent; a silent one is not asked, its silence is judged elsewhere.

        Raises:
            PortError: The port was lost.
        """
        joint, self._next = self._next, (self._next + 1) % len(misses)
        servo_id = self._bus.servo_ids[joint]
        held = None if misses[joint] else _read(self._bus, servo_id)
        if held is None:
            return []
        if held.torque != 1:
            return [Alarm(Severity.FAULT, joint, "lost its torque by itself: it restarted, or protects itself")]
        settings = self._settings.get(servo_id, held.settings)
        if held.settings != settings:
            was, now = (f"acceleration {one[0]} and speed {one[1]}" for one in (settings, held.settings))
            return [Alarm(Severity.FAULT, joint, f"lost its settings: it restarted (it had {was}, now {now})")]
        if self._wrong(servo_id, held):
            self._doubts.add(servo_id)
        return []

    def prove(self, heard: Collection[int]) -> list[tuple[int, str]]:
        """Read back what is in doubt, and tell it again where it differs.

        Args:
            heard: Servos that have just answered; the others are not waited for.

        Returns:
            What had been lost: (servo, in words).

        Raises:
            PortError: The port was lost.
        """
        lost = []
        for _ in range(_ROUNDS):
            asked = tuple(servo_id for servo_id in self._bus.servo_ids if servo_id in self._doubts and servo_id in heard)
            if not asked:
                break
            replies = self._bus.line.ask(lambda ids, n: packets.sync_read(ids, _FIRST.address, n), asked, _N_BYTES)
            for servo_id, reply in replies.items():
                wrong = self._wrong(servo_id, _decode(reply.data))
                if not wrong:
                    self._doubts.discard(servo_id)
                for name, (found, wanted) in wrong.items():
                    lost.append((servo_id, f"{name} {found} instead of {wanted}"))
                    self._tell(servo_id, name, wanted)
        return lost

    def _send(self, goals: Mapping[int, int]) -> None:
        told = {servo_id: goal for servo_id, goal in goals.items() if servo_id not in self._let_go}
        if told:
            self._bus.sync_write("goal_position", told)
        self.goals |= told
        self._doubts |= self.goals.keys()

    def _wrong(self, servo_id: int, held: Held) -> dict[str, tuple[int, int]]:
        """Return register -> (found, wanted) of what differs."""
        found = {"torque_limit": (held.torque_limit, self.limits.get(servo_id, held.torque_limit))}
        if self.standing:
            found["goal_position"] = (held.goal, self.goals.get(servo_id, held.goal))
        return {name: pair for name, pair in found.items() if pair[0] != pair[1]}

    def _tell(self, servo_id: int, name: str, value: int) -> None:
        try:
            self._bus.write(servo_id, name, value)
        except PortError:
            raise
        except BusError:  # it stays in doubt, and is read back in the next cycle
            return


def _read(bus: Bus, servo_id: int) -> Held | None:
    try:
        return _decode(bus.read_block(servo_id, _FIRST.address, _N_BYTES))
    except PortError:
        raise
    except BusError:
        return None


def _decode(block: bytes) -> Held:
    starts = [(register, register.address - _FIRST.address) for register in _REGISTERS]
    return Held(*(decode(register, block[at : at + register.n_bytes]) for register, at in starts))
