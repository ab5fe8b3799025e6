"""The control table of the Feetech STS3215 as data, and the one place where its bytes become numbers.

Knows no port and no packet. Values are little-endian; a signed register holds sign and magnitude, not two's complement: one
bit (`sign_bit`) is the sign, the bits below it the magnitude. Names are LeRobot's, in snake case.

`writable` is this project's whitelist and narrower than the servo's: factory registers stay as they left the factory, and
`torque_enable` takes 0 and 1 only, because 128 re-centres the servo, which rewrites its offset.
"""

from __future__ import annotations

import enum
import operator
import struct
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

MODEL = 777
"""Model number of the STS3215, registers 3 and 4."""
TICKS_PER_TURN = 4096
TELEMETRY_ADDRESS, TELEMETRY_BYTES = 56, 15
"""The block read of every servo in every tick: present_position (56) to present_current (69, 70)."""
BAUD_RATES: Mapping[int, int] = MappingProxyType(
    {0: 1_000_000, 1: 500_000, 2: 250_000, 3: 128_000, 4: 115_200, 5: 76_800, 6: 57_600, 7: 38_400}
)
"""Value of `baud_rate` -> baud, as the vendor's tables have it; LeRobot's table leaves out 76800."""
PHASE_MULTI_TURN = 0b0001_0000
"""The bit of `phase` that makes positions run on past one turn; the only one that may be touched, and only to clear it."""
MA_PER_UNIT = 6.5

Memory = Literal["EPROM", "RAM"]


class Register(NamedTuple):
    """One entry of the control table.

    Attributes:
        name: LeRobot's name in snake case.
        address: Of its first byte.
        n_bytes: 1 or 2.
        sign_bit: The bit that holds the sign, or None for an unsigned register.
        unit: Of one step of its value.
        memory: EPROM survives a power cycle, and takes a write only while `lock` is 0.
        writable: Whether this project ever writes it.
        default: As it leaves the factory; None where that varies or is not known.
        lowest: Smallest value that may be written.
        highest: Largest value that may be written.
    """

    name: str
    address: int
    n_bytes: int
    sign_bit: int | None
    unit: str
    memory: Memory
    writable: bool
    default: int | None
    lowest: int
    highest: int


def _setting(
    name: str, address: int, n_bytes: int, unit: str, default: int | None, limits: tuple[int, int], sign_bit: int | None = None
) -> Register:
    return Register(name, address, n_bytes, sign_bit, unit, "EPROM", True, default, *limits)


def _command(
    name: str, address: int, n_bytes: int, unit: str, limits: tuple[int, int], sign_bit: int | None = None
) -> Register:
    return Register(name, address, n_bytes, sign_bit, unit, "RAM", True, 0, *limits)


def _fact(
    name: str, address: int, n_bytes: int, unit: str, memory: Memory, sign_bit: int | None = None, default: int | None = None
) -> Register:
    highest = (1 << (8 * n_bytes if sign_bit is None else sign_bit)) - 1
    return Register(
        name, address, n_bytes, sign_bit, unit, memory, False, default, 0 if sign_bit is None else -highest, highest
    )


_ROWS = (
    _fact("firmware_major", 0, 1, "", "EPROM"),
    _fact("firmware_minor", 1, 1, "", "EPROM"),
    _fact("model_number", 3, 2, "", "EPROM", default=MODEL),
    _setting("id", 5, 1, "", 1, (0, 253)),
    _setting("baud_rate", 6, 1, "code, see BAUD_RATES", 0, (0, 7)),
    _setting("return_delay_time", 7, 1, "2 us", None, (0, 254)),
    _setting("response_level", 8, 1, "0 only reads answered, 1 all", 1, (0, 1)),
    _setting("min_position_limit", 9, 2, "tick", 0, (0, 4095)),
    _setting("max_position_limit", 11, 2, "tick", 4095, (0, 4095)),
    _setting("max_temperature_limit", 13, 1, "degC", 70, (0, 100)),
    _setting("max_voltage_limit", 14, 1, "0.1 V", None, (0, 254)),
    _setting("min_voltage_limit", 15, 1, "0.1 V", 40, (0, 254)),
    _setting("max_torque_limit", 16, 2, "0.1 %", 1000, (0, 1000)),
    _setting("phase", 18, 1, "bits", None, (0, 255)),
    _setting("unloading_condition", 19, 1, "bits of Status", None, (0, 255)),
    _setting("p_coefficient", 21, 1, "", 32, (0, 254)),
    _setting("d_coefficient", 22, 1, "", 32, (0, 254)),
    _setting("i_coefficient", 23, 1, "", 0, (0, 254)),
    _setting("minimum_startup_force", 24, 2, "0.1 %", 16, (0, 1000)),
    _setting("cw_dead_zone", 26, 1, "tick", 1, (0, 32)),
    _setting("ccw_dead_zone", 27, 1, "tick", 1, (0, 32)),
    _setting("protection_current", 28, 2, "6.5 mA", None, (0, 511)),
    _fact("angular_resolution", 30, 1, "", "EPROM", default=1),
    _setting("homing_offset", 31, 2, "tick", 0, (-2047, 2047), sign_bit=11),
    _setting("operating_mode", 33, 1, "0 position, 1 velocity, 2 PWM, 3 step", 0, (0, 3)),
    _setting("protective_torque", 34, 1, "1 %", 20, (0, 100)),
    _setting("protection_time", 35, 1, "10 ms", 200, (0, 254)),
    _setting("overload_torque", 36, 1, "1 %", 80, (0, 100)),
    _setting("over_current_protection_time", 38, 1, "10 ms", 200, (0, 254)),
    _command("torque_enable", 40, 1, "0 off, 1 on", (0, 1)),
    _command("acceleration", 41, 1, "100 ticks/s2, 0 is no limit", (0, 254)),
    _command("goal_position", 42, 2, "tick", (0, TICKS_PER_TURN - 1), sign_bit=15),
    _command("goal_time", 44, 2, "ms", (0, 65535)),
    _command("goal_velocity", 46, 2, "tick/s, 0 is no limit", (0, 32767), sign_bit=15),
    Register("torque_limit", 48, 2, None, "0.1 %", "RAM", True, None, 0, 1000),
    Register("lock", 55, 1, None, "0 EPROM may be written, 1 not", "RAM", True, 1, 0, 1),
    _fact("present_position", 56, 2, "tick", "RAM", sign_bit=15),
    _fact("present_velocity", 58, 2, "tick/s", "RAM", sign_bit=15),
    _fact("present_load", 60, 2, "0.1 % of PWM duty", "RAM", sign_bit=10),
    _fact("present_voltage", 62, 1, "0.1 V", "RAM"),
    _fact("present_temperature", 63, 1, "degC", "RAM"),
    _fact("status", 65, 1, "bits of Status", "RAM"),
    _fact("moving", 66, 1, "0 or 1", "RAM"),
    _fact("present_current", 69, 2, "6.5 mA", "RAM", sign_bit=15),
    _fact("maximum_velocity", 84, 1, "50 ticks/s", "EPROM"),
    _setting("maximum_acceleration", 85, 1, "100 ticks/s2", None, (0, 254)),
)
TABLE: Mapping[str, Register] = MappingProxyType({row.name: row for row in _ROWS})
"""Name -> register."""


def named(name: str) -> Register:
    """Return a register.

    Raises:
        ValueError: There is none of that name.
    """
    try:
        return TABLE[name]
    except KeyError:
        raise ValueError(f"there is no register {name!r}; known are {', '.join(TABLE)}") from None


def writable(name: str) -> Register:
    """Return a register that may be written.

    Raises:
        ValueError: There is no such register, or it is not on the whitelist.
    """
    register = named(name)
    if not register.writable:
        allowed = ", ".join(entry.name for entry in TABLE.values() if entry.writable)
        raise ValueError(f"{name} (register {register.address}) is not written by this project; allowed are {allowed}")
    return register


class Status(enum.IntFlag):
    """What a servo complains of, in every reply and in register 65; a bit stays set until its cause is gone."""

    VOLTAGE = 1
    ANGLE = 2
    HEAT = 4
    CURRENT = 8
    OVERLOAD = 32


NOTHING = Status(0)
LATCHED = Status.OVERLOAD | Status.CURRENT
"""What a servo keeps complaining of until its torque is switched off, however long its cause is gone."""
STATUS: tuple[Status, ...] = tuple(Status(bits) for bits in range(256))
"""Byte -> Status; making a flag from a number is slow, and the bus needs twelve of them in every tick."""


class Telemetry(NamedTuple):
    """What one servo reports of itself.

    Attributes:
        position_ticks: Present position; 0..4095 unless multi-turn feedback is on.
        velocity_ticks_s: Present velocity [ticks/s].
        load: Duty of the motor's PWM, -1..1; not a torque.
        voltage_v: At the servo [V].
        temperature_c: Inside the servo [degC].
        status: What it complains of.
        moving: Whether it is under way to its goal.
        current_ma: Motor current [mA].
    """

    position_ticks: int
    velocity_ticks_s: int
    load: float
    voltage_v: float
    temperature_c: int
    status: Status
    moving: bool
    current_ma: float


TELEMETRY_LAYOUT = "HHHBBxBBxxH"
"""The registers 56..70 as `struct` writes it, low byte first: the numbers `decode_telemetry` takes after the error byte."""
_BLOCK = struct.Struct(f"<{TELEMETRY_LAYOUT}")
assert _BLOCK.size == TELEMETRY_BYTES


def telemetry(block: bytes, error: int = 0) -> Telemetry:
    """Decode the telemetry block.

    Args:
        block: The 15 bytes of the registers 56..70.
        error: Error byte of the answer that brought it; the status has its bits too.

    Raises:
        ValueError: It is not 15 bytes long.
    """
    if len(block) != TELEMETRY_BYTES:
        raise ValueError(f"a telemetry block has {TELEMETRY_BYTES} bytes (registers 56..70), this one has {len(block)}")
    return next(decode_telemetry([(error, *_BLOCK.unpack(block))]))


def decode_telemetry(servos: Iterable[tuple[int, ...]]) -> Iterator[Telemetry]:
    """Yield the telemetry of each servo, from its error byte and the numbers of `TELEMETRY_LAYOUT` as they came.

    One after the other, in one expression, past the constructor: the bus does this for six servos in every tick, and a list of
    all, or calls, would cost it a tenth of its rate.
    """
    make = tuple.__new__
    for error, position, velocity, load, voltage, temperature, status, moving, current in servos:
        yield make(
            Telemetry,
            (
                -(position & 0x7FFF) if position & 0x8000 else position,
                -(velocity & 0x7FFF) if velocity & 0x8000 else velocity,
                (-(load & 0x3FF) if load & 0x400 else load & 0x3FF) / 1000,
                voltage / 10,
                temperature,
                STATUS[status | error],
                moving != 0,
                (-(current & 0x7FFF) if current & 0x8000 else current) * MA_PER_UNIT,
            ),
        )


def encode(register: Register, value: int) -> bytes:
    """Return the bytes of a value, low byte first.

    Args:
        register: Says how many bytes, where the sign is and which values are allowed.
        value: In the register's unit.

    Raises:
        ValueError: The value is not a whole number in the register's range; nothing is clipped.
    """
    try:
        raw = operator.index(value)
    except TypeError:
        raw = register.highest + 1
    if not register.lowest <= raw <= register.highest:
        raise ValueError(
            f"{register.name} (register {register.address}) cannot be {value!r}: allowed are whole numbers "
            f"{register.lowest}..{register.highest} [{register.unit or 'no unit'}]"
        )
    if raw < 0:
        assert register.sign_bit is not None, "only a signed register allows negative values"
        raw = -raw | 1 << register.sign_bit
    return raw.to_bytes(register.n_bytes, "little")


def decode(register: Register, data: bytes) -> int:
    """Return the value of a register's bytes.

    Args:
        register: Says how many bytes and where the sign is.
        data: `register.n_bytes` bytes, low byte first.

    Raises:
        ValueError: The number of bytes is not the register's.
    """
    if len(data) != register.n_bytes:
        raise ValueError(f"{register.name} (register {register.address}) has {register.n_bytes} bytes, got {len(data)}")
    raw = int.from_bytes(data, "little")
    if register.sign_bit is None:
        return raw
    magnitude = raw & (1 << register.sign_bit) - 1
    return -magnitude if raw >> register.sign_bit & 1 else magnitude
