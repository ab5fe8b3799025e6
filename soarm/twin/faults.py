"""Scripted faults: what goes wrong, with whom, from when, and how often.

A fault waits for its time (`at_s`, of the twin's physics) or for a number of goal writes (`after_writes`), and then acts
`count` times on replies, or once on the arm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from soarm.errors import TwinError
from soarm.twin.wire import status

ON_REPLIES: Mapping[str, str] = MappingProxyType(
    {
        "mute": "the reply is not sent",
        "delay": "the reply comes `value` seconds late",
        "corrupt": "a bit of the reply's checksum is wrong",
        "truncate": "only the first `value` bytes of the reply come",
        "wrong_length": "the reply has `value` bytes of data fewer, checksum right",
        "wrong_id": "another servo's id stands in the reply",
        "noise": "`value` random-looking bytes come before the reply",
        "duplicate": "a second servo with the same id answers over the reply",
        "error": "the error byte is `value`",
    }
)
"""Faults of replies; `servo_id` None means every servo."""
ON_THE_ARM: Mapping[str, str] = MappingProxyType(
    {
        "echo": "the adapter sends back what it is sent, from now on",
        "deaf": "the servo ignores every write, from now on",
        "frozen": "the encoder stands still, from now on",
        "multi_turn": "the servo reports positions beyond one turn",
        "overload": "the servo latches its overload",
        "sag": "the supply falls to `value` volts",
        "heat": "the servo's temperature is `value` degC",
        "reboot": "the servo restarts: its RAM has the defaults",
        "unplug": "the port is gone",
        "push": "somebody pushes the joint with `value` N m",
    }
)
"""Faults of servos, supply and adapter."""
_MOST = {"servo_id": 253, "value": 1e4, "at_s": 1e6, "after_writes": 1e9, "count": 1e9}
"""Field of a fault -> its greatest number; only a push may be below 0."""
_NEEDS_SERVO = ("deaf", "frozen", "multi_turn", "overload", "heat", "reboot", "push")
_NEEDS_VALUE = ("delay", "truncate", "wrong_length", "noise", "error", "sag", "heat", "push")


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        kind: A key of `ON_REPLIES` or `ON_THE_ARM`.
        servo_id: Whose; None for all, where that makes sense.
        value: Amount, in the unit the kind says.
        at_s: When, in the twin's time since the last `reset` [s].
        after_writes: When, in goal writes from now.
        count: Replies that it spoils; None for ever.

    Raises:
        TwinError: Unknown kind, or one that needs a servo or a value and has none.
    """

    kind: str
    servo_id: int | None = None
    value: float | None = None
    at_s: float = 0.0
    after_writes: int = 0
    count: int | None = 1

    def __post_init__(self) -> None:
        known = {**ON_REPLIES, **ON_THE_ARM}
        if self.kind not in known:
            raise TwinError(f"there is no fault {self.kind!r}; known are {', '.join(known)}")
        for name, most in _MOST.items():
            amount, least = getattr(self, name), -most if name == "value" else 0
            if amount is not None and not least <= amount <= most:
                raise TwinError(f"{name} of the fault {self.kind!r} is {amount}; it must be in {least:g}..{most:g}")
        if self.kind in _NEEDS_SERVO and self.servo_id is None:
            raise TwinError(f"the fault {self.kind!r} happens to one servo: say which, as in {self.kind}:servo_id=3")
        if self.kind in _NEEDS_VALUE and self.value is None:
            raise TwinError(f"the fault {self.kind!r} needs a value: {known[self.kind]}, as in {self.kind}:value=4.6")

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read `kind:key=value,key=value`, as in `mute:servo_id=3,after_writes=120,count=5`.

        Raises:
            TwinError: It is not written so.
        """
        kind, _, rest = text.partition(":")
        types: dict[str, Callable[[str], float]] = {
            "servo_id": int, "value": float, "at_s": float, "after_writes": int, "count": int
        }  # fmt: skip
        values: dict[str, float | None] = {}
        for pair in filter(None, rest.split(",")):
            key, _, value = pair.partition("=")
            if key == "count" and value == "forever":
                values[key] = None
                continue
            try:
                values[key] = types[key](value)
            except (KeyError, ValueError):
                raise TwinError(f"cannot read {pair!r} in the fault {text!r}; allowed are {', '.join(types)}") from None
        return cls(kind, **values)  # type: ignore[arg-type]


class TimedReply(bytes):
    """A status packet.

    Attributes:
        wait_s: How long the servo waits before it speaks; the line waits with it [s].
        late_s: How late the adapter is with it [s].
    """

    wait_s: float
    late_s: float

    def __new__(cls, data: bytes, wait_s: float = 0.0, late_s: float = 0.0) -> TimedReply:
        """Make one."""
        reply = super().__new__(cls, data)
        reply.wait_s, reply.late_s = wait_s, late_s
        return reply


class Script:
    """The faults that wait, and those that act on replies."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Fault, int]] = []
        self._acting: list[tuple[Fault, int | None]] = []

    def add(self, fault: Fault, writes: int) -> None:
        """Take a fault; `writes` is how many goals were written so far."""
        self._waiting.append((fault, writes + fault.after_writes))

    def due(self, time_s: float, writes: int) -> list[Fault]:
        """Return the faults of the arm that are due now; those of replies begin to act."""
        due = [time_s >= fault.at_s and writes >= at for fault, at in self._waiting]
        ready = [fault for (fault, _), now in zip(self._waiting, due, strict=True) if now]
        self._waiting = [entry for entry, now in zip(self._waiting, due, strict=True) if not now]
        self._acting += [(fault, fault.count) for fault in ready if fault.kind in ON_REPLIES]
        return [fault for fault in ready if fault.kind in ON_THE_ARM]

    def clear(self) -> None:
        """Forget every fault."""
        self._waiting, self._acting = [], []

    def spoil(self, servo_id: int, error: int, data: bytes) -> TimedReply | None:
        """Return a reply as it comes, None for one that does not."""
        for i, (fault, left) in enumerate(self._acting):
            if fault.servo_id in (None, servo_id):
                if left is not None:
                    self._acting[i] = (fault, left - 1)
                    if left == 1:
                        del self._acting[i]
                return _spoilt(fault, servo_id, error, data)
        return TimedReply(status(servo_id, error, data))


def _spoilt(fault: Fault, servo_id: int, error: int, data: bytes) -> TimedReply | None:
    packet, value = status(servo_id, error, data), fault.value or 0.0
    amount = int(value)
    if fault.kind == "mute":
        return None
    if fault.kind == "delay":
        return TimedReply(packet, late_s=value)
    if fault.kind == "error":
        return TimedReply(status(servo_id, amount, data))
    made = {
        "corrupt": packet[:-1] + bytes((packet[-1] ^ 0x10,)),
        "truncate": packet[:amount],
        "wrong_length": status(servo_id, error, data[: max(0, len(data) - amount)]),
        "wrong_id": status(servo_id % 6 + 1, error, data),
        "noise": bytes((37 * i + 11) % 256 for i in range(amount)) + packet,
        "duplicate": packet[:4] + bytes(one & other for one, other in zip(packet[4:], packet[5:] + b"\x55", strict=True)),
    }
    return TimedReply(made[fault.kind])
