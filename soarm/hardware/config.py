"""How an arm is to be driven: gains, supply, temperatures, patience. Each number with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from soarm import arm
from soarm.errors import FaultError, ParamsError, SmallFileError
from soarm.hardware.registers import TABLE
from soarm.params import changed, misfits
from soarm.quantities import Allowed, Whole, within
from soarm.smallfile import load_json

Six = tuple[int, int, int, int, int, int]
VOLTS: Mapping[str, tuple[float, float]] = {"7.4": (4.5, 8.4), "12": (9.5, 14.0)}
"""Part of the servo -> supplies it may have [V]. The 7.4 V part runs from 5 V in many kits; the 12 V part at 5 V is too weak
to lift the arm, the 7.4 V part at 12 V burns (lerobot issues 1010, 2387, 3394)."""
MOST_MISSES = 1000
"""Cycles without an answer that may pass until the arm stops: a quarter of a minute at 60 Hz."""
MOST_PARK_SPEED = 300.0
"""What a servo can do at most, 3400 ticks/s [deg/s, percent/s]: a goal that runs away from the arm is no slow move."""


def _fits(name: str) -> Allowed:
    """Return the demand that numbers of the six joints fit into a register."""
    register = TABLE[name]
    low, high = max(0, register.lowest), register.highest
    text = f"whole numbers {low} to {high}, which register {register.address} takes"
    return Allowed(text, lambda values: all(low <= value <= high for value in values))


_Celsius = Annotated[int, within(above=0, most=70)]
_Misses = Annotated[int, within(least=1, most=MOST_MISSES)]
_POSE = Allowed("6 numbers in -360..360", lambda pose: len(pose) == arm.N_JOINTS and all(abs(one) <= 360 for one in pose))
_Wait = Annotated[float, within(above=0, most=60)]


def _require(faults: list[str]) -> None:
    if faults:
        raise ValueError("; ".join(faults))


@dataclasses.dataclass(frozen=True)
class Gains:
    """Registers of the six servos, in the order of the joints.

    Attributes:
        p: Register 21. The factory has 32 and LeRobot writes 16, which sags 6 degrees with the arm stretched.
        d: Register 22.
        i: Register 23.
        torque_limit: Register 48 [0.1 %]. The gripper's is half, as in LeRobot: a full one cooks its servo.
        acceleration: Register 41 [100 ticks/s2], 0 is no limit.
        velocity: Register 46 [ticks/s], 0 is no limit; a cap that still holds when this computer hangs.
    """

    p: Annotated[Six, _fits("p_coefficient")] = (32, 32, 32, 32, 32, 32)
    d: Annotated[Six, _fits("d_coefficient")] = (32, 32, 32, 32, 32, 32)
    i: Annotated[Six, _fits("i_coefficient")] = (0, 0, 0, 0, 0, 0)
    torque_limit: Annotated[Six, _fits("torque_limit")] = (1000, 1000, 1000, 1000, 1000, 500)
    acceleration: Annotated[Six, _fits("acceleration")] = (254, 254, 254, 254, 254, 254)
    velocity: Annotated[Six, _fits("goal_velocity")] = (3400, 3400, 3400, 3400, 3400, 3400)

    def __post_init__(self) -> None:
        _require(misfits(self, "gains"))

    def eprom(self, joint: int) -> dict[str, int]:
        """Return what of a joint lies in EPROM: register -> value."""
        return {"p_coefficient": self.p[joint], "d_coefficient": self.d[joint], "i_coefficient": self.i[joint]}

    def ram(self, joint: int) -> dict[str, int]:
        """Return what of a joint lies in RAM: register -> value."""
        return {
            "torque_limit": self.torque_limit[joint],
            "acceleration": self.acceleration[joint],
            "goal_velocity": self.velocity[joint],
        }


@dataclasses.dataclass(frozen=True)
class ArmConfig:
    """An arm's settings.

    Attributes:
        gains: Of the servos.
        part: `7.4` or `12`: which servos these are; see `VOLTS`.
        warn_c: From here on a hot servo is reported [degC].
        derate_c: From here on it gets half its torque.
        stop_c: From here on the arm stops and this servo is released; it cuts itself off at 70.
        hold_after_misses: Cycles without an answer of a joint until the arm holds.
        stop_after_misses: Until it stops.
        stall_a: Current of a gripper that pushes against something [A].
        stall_s: How long it may, until it gets a quarter of its torque [s] (phosphobot issue 241: burnt after 30 to 60 s).
        park: Where the arm is put before it is released [deg x 5, percent].
        park_speed: Of that, and of every move that is no policy's [deg/s, percent/s].
        wait_s: How long a move that is no policy's waits for a silent joint, the supply or the port [s]; the arm holds
            meanwhile. An adapter that is plugged in again needs 1 to 3 s, a servo that restarts less.
        recoveries: How often the arm may be brought back from a fault in `recovery_s`.
        recovery_s: See above [s].
        timeout_s: Of a question on the bus; None for `soarm.hardware.bus.TIMEOUT_S` [s].
    """

    gains: Gains = Gains()
    part: Literal["7.4", "12"] = "7.4"
    warn_c: _Celsius = 55
    derate_c: _Celsius = 60
    stop_c: _Celsius = 65
    hold_after_misses: _Misses = 3
    stop_after_misses: _Misses = 10
    stall_a: Annotated[float, within(above=0, most=10, why="a stalled servo draws 3 A")] = 0.8
    stall_s: _Wait = 5.0
    park: Annotated[tuple[float, ...], _POSE] = (0.0, -95.0, 90.0, 70.0, 0.0, 10.0)
    park_speed: Annotated[float, within(above=0, most=MOST_PARK_SPEED)] = 40.0
    wait_s: _Wait = 5.0
    recoveries: Whole = 3
    recovery_s: Annotated[float, within(above=0, most=86_400)] = 300.0
    timeout_s: Annotated[float, within(above=0, most=10)] | None = None

    def __post_init__(self) -> None:
        _require(misfits(self, "settings"))
        faults = []
        if not self.warn_c < self.derate_c < self.stop_c:
            faults.append(f"temperatures are {self.warn_c}, {self.derate_c}, {self.stop_c}; they must rise")
        if not self.hold_after_misses < self.stop_after_misses:
            misses = self.hold_after_misses, self.stop_after_misses
            faults.append(f"hold_after_misses {misses[0]} must be below stop_after_misses {misses[1]}")
        _require(faults)

    @property
    def volts(self) -> tuple[float, float]:
        """Supplies these servos may have [V]."""
        return VOLTS[self.part]

    @classmethod
    def load(cls, path: Path) -> ArmConfig:
        """Read settings from JSON; what the file does not name keeps its default.

        Raises:
            FaultError: The file is missing, no JSON, or names what does not exist or is out of bounds; lists every fault.
        """
        try:
            return changed(DEFAULT, load_json(path, finite=False), "settings")  # not finite is named with its bounds
        except (SmallFileError, ParamsError) as error:
            names = ", ".join(field.name for field in dataclasses.fields(cls))
            raise FaultError(f"{path} holds no settings that can drive an arm: {error}\nAn object may name {names}") from None


DEFAULT = ArmConfig()
