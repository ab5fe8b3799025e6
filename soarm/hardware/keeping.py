"""What the servos were told to keep: their goals while the arm stands, and their torque limits. Read back, and told again.

Nobody acknowledges a SYNC WRITE. One lost frame would leave a joint under way while the arm says that it stands, or a hot
servo at its full torque; so what has to last is read back, and what differs is written anew, servo by servo and acknowledged.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from soarm.errors import BusError, PortError
from soarm.hardware import packets
from soarm.hardware.bus import Bus
from soarm.hardware.registers import TABLE, decode

_GOAL, _LIMIT = TABLE["goal_position"], TABLE["torque_limit"]
_N_BYTES = _LIMIT.address + _LIMIT.n_bytes - _GOAL.address
_ROUNDS = 2
"""How often in one cycle it is read, told again, and read; what then still differs waits for the next cycle."""


class Keeping:
    """Goals and torque limits of servos, and which of them have to be read back.

    Args:
        goals: Servo -> the goal it has [ticks].
        limits: Servo -> the torque limit it has [0.1 %]; none for a servo of which that is not known.

    Attributes:
        goals: Servo -> the last goal it was told [ticks].
        limits: Servo -> the torque limit it was told [0.1 %].
        standing: Whether the goals are to last; those of an arm that follows commands do not, the next one is under way.
    """

    def __init__(self, goals: Mapping[int, int] | None = None, limits: Mapping[int, int] | None = None) -> None:
        self.goals, self.limits = dict(goals or {}), dict(limits or {})
        self.standing = True
        self._doubts: set[int] = set(self.goals)
        self._late: set[int] = set()  # servos that were silent when they should have been told to stay
        self._let_go: set[int] = set()

    def follow(self, bus: Bus, goals: Mapping[int, int]) -> None:
        """Send goals that the next ones replace."""
        self.standing = False
        bus.sync_write("goal_position", goals)
        self.goals |= goals

    def stay(self, bus: Bus, goals: Mapping[int, int]) -> None:
        """Send goals that last; `prove` sees to it that they arrive. A servo that has none gets it from `stay_late`."""
        self.standing = True
        self._late = set(bus.servo_ids) - goals.keys() - self._let_go
        self._send(bus, goals)

    def stay_late(self, bus: Bus, goals: Mapping[int, int]) -> None:
        """Send goals to those that were silent when the others were told to stay: they would go on to their last one."""
        late = {servo_id: goal for servo_id, goal in goals.items() if servo_id in self._late}
        if self.standing and late:
            self._late -= late.keys()
            self._send(bus, late)

    def limit(self, servo_id: int, torque_limit: int) -> None:
        """Take a torque limit [0.1 %]; `prove` writes it."""
        self.limits[servo_id] = torque_limit
        self._doubts.add(servo_id)

    def forget(self, servo_id: int) -> None:
        """Tell a servo nothing any more: it was let go, and a goal may switch its torque on."""
        self.goals.pop(servo_id, None)
        self.limits.pop(servo_id, None)
        self._doubts.discard(servo_id)
        self._late.discard(servo_id)
        self._let_go.add(servo_id)

    def compare(self, servo_id: int, goal: int, torque_limit: int) -> None:
        """Have a servo read back that was found to hold something else."""
        if self._wrong(servo_id, goal, torque_limit):
            self._doubts.add(servo_id)

    def prove(self, bus: Bus, heard: Collection[int]) -> list[tuple[int, str]]:
        """Read back what is in doubt, and tell it again where it differs.

        Args:
            bus: Where they are.
            heard: Servos that have just answered; the others are not waited for.

        Returns:
            What had been lost: (servo, in words).

        Raises:
            PortError: The port was lost.
        """
        lost = []
        for _ in range(_ROUNDS):
            asked = tuple(servo_id for servo_id in bus.servo_ids if servo_id in self._doubts and servo_id in heard)
            if not asked:
                break
            replies = bus.line.ask(lambda ids, n: packets.sync_read(ids, _GOAL.address, n), asked, _N_BYTES)
            for servo_id, reply in replies.items():
                goal = decode(_GOAL, reply.data[: _GOAL.n_bytes])
                torque_limit = decode(_LIMIT, reply.data[-_LIMIT.n_bytes :])
                wrong = self._wrong(servo_id, goal, torque_limit)
                if not wrong:
                    self._doubts.discard(servo_id)
                for name, (found, wanted) in wrong.items():
                    lost.append((servo_id, f"{name} {found} instead of {wanted}"))
                    _tell(bus, servo_id, name, wanted)
        return lost

    def _send(self, bus: Bus, goals: Mapping[int, int]) -> None:
        told = {servo_id: goal for servo_id, goal in goals.items() if servo_id not in self._let_go}
        if told:
            bus.sync_write("goal_position", told)
        self.goals |= told
        self._doubts |= self.goals.keys()

    def _wrong(self, servo_id: int, goal: int, torque_limit: int) -> dict[str, tuple[int, int]]:
        """Return register -> (found, wanted) of what differs."""
        found = {"torque_limit": (torque_limit, self.limits.get(servo_id, torque_limit))}
        if self.standing:
            found["goal_position"] = (goal, self.goals.get(servo_id, goal))
        return {name: pair for name, pair in found.items() if pair[0] != pair[1]}


def _tell(bus: Bus, servo_id: int, name: str, value: int) -> None:
    try:
        bus.write(servo_id, name, value)
    except PortError:
        raise
    except BusError:  # it stays in doubt, and is read back in the next cycle
        return
