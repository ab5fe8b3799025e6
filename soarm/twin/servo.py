"""One STS3215 as its registers: what a write does, what a read gives, what a power cycle keeps.

Written from the control table and the vendor's documents, not with the bus under test. Knows neither joints nor physics: where
the shaft is comes from outside, in ticks of the encoder.
"""

from __future__ import annotations

import dataclasses

from soarm.hardware.registers import TABLE, TICKS_PER_TURN, Status, decode, encode

N_REGISTERS = 128
FIRMWARE = (3, 10)
UNLOADING = Status.OVERLOAD | Status.CURRENT | Status.HEAT
"""Which complaints take the torque away, as the servo leaves the factory (register 19)."""
RECENTRE = 128
"""Written to `torque_enable`: make the present position the middle."""
_EPROM = [name for name, register in TABLE.items() if register.memory == "EPROM"]
_IN_EPROM = {TABLE[name].address + i for name in _EPROM for i in range(TABLE[name].n_bytes)}
_FROM_FACTORY = {
    "firmware_major": FIRMWARE[0],
    "firmware_minor": FIRMWARE[1],
    "return_delay_time": 0,
    "phase": 0b0000_1100,
    "unloading_condition": UNLOADING.value,
    "protection_current": 500,
    "maximum_velocity": 68,
    "maximum_acceleration": 254,
}
_RESET_C = 31


@dataclasses.dataclass(frozen=True)
class FirmwareAssumptions:
    """What sources disagree on, or what nobody has measured on a real servo: each is a switch.

    Attributes:
        torque_at_power_up: Torque is on after power-up (PickNik's README) or off (the vendor's table).
        goal_enables_torque: Writing a goal switches torque on.
        sync_read_after_missing: Servos after a silent one still answer a SYNC READ.
        return_delay: Register 7 delays replies.
        torque_limit_obeyed: Register 48 is obeyed at run time.
    """

    torque_at_power_up: bool = False
    goal_enables_torque: bool = False
    sync_read_after_missing: bool = True
    return_delay: bool = False
    torque_limit_obeyed: bool = True


class Servo:
    """One servo.

    Args:
        servo_id: Its id.
        values: Registers that differ from the factory's, as a calibration or a user left them.
        assumptions: What is not settled.

    Attributes:
        actual_ticks: Where the shaft is, before the offset, 0..4095 [ticks].
        turns: Whole turns of the shaft since power-up; seen only with multi-turn feedback.
        deaf: Hears no write, as if the frame was lost.
    """

    def __init__(self, servo_id: int, values: dict[str, int], assumptions: FirmwareAssumptions) -> None:
        self._assumptions = assumptions
        self.memory = bytearray(N_REGISTERS)
        self.actual_ticks, self.turns, self.deaf = TICKS_PER_TURN // 2, 0, False
        for name, register in TABLE.items():
            if register.memory == "EPROM" and register.default is not None:
                self.put(name, register.default)
        for name, value in {**_FROM_FACTORY, "max_voltage_limit": 80, **values, "id": servo_id}.items():
            self.put(name, value)
        self._saved = bytes(self.memory)
        self.power_up()

    def get(self, name: str) -> int:
        """Return a register's value."""
        register = TABLE[name]
        return decode(register, bytes(self.memory[register.address : register.address + register.n_bytes]))

    def put(self, name: str, value: int) -> None:
        """Set a register as the servo itself does: no lock, no range."""
        register = TABLE[name]
        limit = (1 << (8 * register.n_bytes if register.sign_bit is None else register.sign_bit)) - 1
        assert abs(value) <= limit, f"{name} cannot hold {value}"
        wide = register._replace(lowest=-limit, highest=limit, writable=True)
        self.memory[register.address : register.address + register.n_bytes] = encode(wide, value)

    def power_up(self) -> None:
        """Start with what the EPROM kept; the RAM has its defaults."""
        eprom = self._saved
        self.memory = bytearray(eprom[i] if i in _IN_EPROM else 0 for i in range(N_REGISTERS))
        self.put("torque_limit", self.get("max_torque_limit"))
        self.put("lock", 1)
        self.put("torque_enable", int(self._assumptions.torque_at_power_up))
        self.put("present_temperature", _RESET_C)
        self.turns = 0
        self.place(self.actual_ticks)
        self.put("goal_position", min(max(self.present_ticks, 0), TICKS_PER_TURN - 1))

    @property
    def id(self) -> int:
        """Its id, as it is now."""
        return self.get("id")

    @property
    def live(self) -> bool:
        """Whether the motor drives: torque is on, and no complaint took it away."""
        return self.get("torque_enable") == 1 and not self.get("status") & self.get("unloading_condition") & ~Status.OVERLOAD

    @property
    def present_ticks(self) -> int:
        """The position it reports [ticks]."""
        return self.get("present_position")

    @property
    def goal_ticks(self) -> int:
        """Where it is to go, before the offset [ticks]: may be beyond one turn."""
        return self.get("goal_position") + self.get("homing_offset")

    @property
    def torque_share(self) -> float:
        """What of its torque it may use, 0..1: the limit in RAM, and what overload leaves."""
        limit = self.get("torque_limit" if self._assumptions.torque_limit_obeyed else "max_torque_limit") / 1000
        return min(limit, self.get("protective_torque") / 100) if self.get("status") & Status.OVERLOAD else limit

    def place(self, actual_ticks: int) -> None:
        """Tell it where its shaft is [ticks, before the offset]."""
        before, self.actual_ticks = self.actual_ticks, actual_ticks % TICKS_PER_TURN
        if abs(self.actual_ticks - before) > TICKS_PER_TURN // 2:
            self.turns += 1 if self.actual_ticks < before else -1
        present = (self.actual_ticks - self.get("homing_offset")) % TICKS_PER_TURN
        if self.get("phase") & 0b0001_0000:
            present += TICKS_PER_TURN * self.turns
        self.put("present_position", present)

    def read(self, address: int, n_bytes: int) -> bytes:
        """Return consecutive registers; what lies beyond the last is zero."""
        return bytes(self.memory[address : address + n_bytes]).ljust(n_bytes, b"\0")

    def write(self, address: int, data: bytes) -> None:
        """Take a WRITE or its part of a SYNC WRITE.

        The EPROM keeps what is written while `lock` is 0; with it at 1 the value holds until the next power cycle. A goal is
        cut to the position limits. Facts (position, voltage, status) cannot be written.
        """
        if self.deaf:
            return
        offset = self.get("homing_offset")
        for i, byte in enumerate(data):
            at = address + i
            if at < N_REGISTERS and not 56 <= at < 71:
                self.memory[at] = byte
        touched = range(address, address + len(data))
        if 42 in touched:
            self._cut_goal()
            if self._assumptions.goal_enables_torque:
                self.put("torque_enable", 1)
        if 40 in touched:
            self._switch()
        if not self.get("lock"):
            kept = bytearray(self._saved)
            for at in _IN_EPROM & set(touched):
                kept[at] = self.memory[at]
            self._saved = bytes(kept)
        if self.get("homing_offset") != offset:
            self.place(self.actual_ticks)

    def set_status(self, status: Status) -> None:
        """Latch complaints."""
        self.put("status", self.get("status") | status)

    def clear_status(self, status: Status) -> None:
        """Take complaints back: their cause is gone."""
        self.put("status", self.get("status") & ~status)

    def _cut_goal(self) -> None:
        low, high = self.get("min_position_limit"), self.get("max_position_limit")
        self.put("goal_position", min(max(self.get("goal_position"), low), high))

    def _switch(self) -> None:
        torque = self.memory[40]
        if torque == RECENTRE:
            offset = (self.actual_ticks - TICKS_PER_TURN // 2 + TICKS_PER_TURN // 2) % TICKS_PER_TURN - TICKS_PER_TURN // 2
            self.put("homing_offset", max(-2047, min(2047, offset)))
            kept = bytearray(self._saved)
            kept[31:33] = self.memory[31:33]
            self._saved = bytes(kept)
            self.put("torque_enable", 0)
            self.place(self.actual_ticks)
        elif torque == 0:
            self.clear_status(Status.OVERLOAD)
