"""How an arm is to be driven: gains, supply, temperatures, patience. Each number with its source."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from soarm import arm
from soarm.errors import FaultError, SmallFileError
from soarm.hardware.registers import TABLE
from soarm.smallfile import load_json, shown

Six = tuple[int, int, int, int, int, int]
VOLTS: Mapping[str, tuple[float, float]] = {"7.4": (4.5, 8.4), "12": (9.5, 14.0)}
"""Part of the servo -> supplies it may have [V]. The 7.4 V part runs from 5 V in many kits; the 12 V part at 5 V is too weak
to lift the arm, the 7.4 V part at 12 V burns (lerobot issues 1010, 2387, 3394)."""
_REGISTERS = {
    "p": "p_coefficient",
    "d": "d_coefficient",
    "i": "i_coefficient",
    "torque_limit": "torque_limit",
    "acceleration": "acceleration",
    "velocity": "goal_velocity",
}
MOST_MISSES = 1000
"""Cycles without an answer that may pass until the arm stops: a quarter of a minute at 60 Hz."""
TURN = 360.0
"""No joint is parked farther from zero [deg, percent]."""
_WHOLE = ("warn_c", "derate_c", "stop_c", "hold_after_misses", "stop_after_misses", "recoveries")
_WAITS = {"stall_a": 10.0, "stall_s": 60.0, "recovery_s": 86_400.0, "timeout_s": 10.0}
"""Greatest current [A] and waits [s]; a stalled servo draws 3 A, and burns after 30 to 60 s."""
MOST_PARK_SPEED = 300.0
"""What a servo can do at most, 3400 ticks/s [deg/s, percent/s]: a goal that runs away from the arm is no slow move."""


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

    p: Six = (32, 32, 32, 32, 32, 32)
    d: Six = (32, 32, 32, 32, 32, 32)
    i: Six = (0, 0, 0, 0, 0, 0)
    torque_limit: Six = (1000, 1000, 1000, 1000, 1000, 500)
    acceleration: Six = (254, 254, 254, 254, 254, 254)
    velocity: Six = (3400, 3400, 3400, 3400, 3400, 3400)

    def faults(self) -> list[str]:
        """Return what the registers of the servos cannot hold; empty for good ones."""
        found = []
        for kind, name in _REGISTERS.items():
            values, register = getattr(self, kind), TABLE[name]
            low, high = max(0, register.lowest), register.highest
            if not isinstance(values, tuple):
                found.append(f"gains.{kind} is {shown(values)}; it needs {arm.N_JOINTS} whole numbers {low} to {high}")
                continue
            if len(values) != arm.N_JOINTS:
                found.append(f"gains.{kind} has {len(values)} values; it needs {arm.N_JOINTS}")
            bad = [value for value in values if type(value) is not int or not low <= value <= high]
            if bad:
                found.append(f"gains.{kind} has {shown(bad)}; register {register.address} takes whole numbers {low} to {high}")
        return found

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
        stop_c: From here on the arm stops and this servo is let go; it cuts itself off at 70.
        hold_after_misses: Cycles without an answer of a joint until the arm holds.
        stop_after_misses: Until it stops.
        stall_a: Current of a gripper that pushes against something [A].
        stall_s: How long it may, until it gets a quarter of its torque [s] (phosphobot issue 241: burnt after 30 to 60 s).
        park: Where the arm is put before it is let go [deg x 5, percent].
        park_speed: Of that, and of every move that is no policy's [deg/s, percent/s].
        recoveries: How often the arm may be brought back from a fault in `recovery_s`.
        recovery_s: See above [s].
        timeout_s: Of a question on the bus; None for `soarm.hardware.bus.TIMEOUT_S` [s].
    """

    gains: Gains = Gains()
    part: str = "7.4"
    warn_c: int = 55
    derate_c: int = 60
    stop_c: int = 65
    hold_after_misses: int = 3
    stop_after_misses: int = 10
    stall_a: float = 0.8
    stall_s: float = 5.0
    park: tuple[float, ...] = (0.0, -95.0, 90.0, 70.0, 0.0, 10.0)
    park_speed: float = 40.0
    recoveries: int = 3
    recovery_s: float = 300.0
    timeout_s: float | None = None

    def __post_init__(self) -> None:
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if isinstance(values["gains"], Gains):
            faults = self.gains.faults()
        else:
            faults = [f"gains is {shown(values['gains'])}; it must name some of {', '.join(_REGISTERS)}"]
        if values["part"] not in list(VOLTS):
            faults.append(f"part is {shown(self.part)}; known are {', '.join(VOLTS)}")
        wrong = {name for name in _WHOLE if type(values[name]) is not int}
        faults += [f"{name} is {shown(values[name])}; it must be a whole number" for name in sorted(wrong)]
        if not wrong & {"warn_c", "derate_c", "stop_c"} and not 0 < self.warn_c < self.derate_c < self.stop_c <= 70:
            faults.append(f"temperatures are {self.warn_c}, {self.derate_c}, {self.stop_c}; they must rise, to 70 at most")
        misses = self.hold_after_misses, self.stop_after_misses
        if not wrong & {"hold_after_misses", "stop_after_misses"} and not 0 < misses[0] < misses[1] <= MOST_MISSES:
            faults.append(
                f"hold_after_misses {misses[0]} must be above 0 and below stop_after_misses {misses[1]}, which is at most "
                f"{MOST_MISSES}"
            )
        if "recoveries" not in wrong and not self.recoveries >= 0:
            faults.append(f"recoveries is {self.recoveries}; it must be 0 or more")
        if not _is_pose(values["park"]):
            faults.append(f"park is {shown(self.park)}; it needs {arm.N_JOINTS} finite numbers in -{TURN:g}..{TURN:g}")
        if not _is_number(values["park_speed"]) or not 0 < self.park_speed <= MOST_PARK_SPEED:
            faults.append(f"park_speed is {shown(self.park_speed)}; allowed is above 0, to {MOST_PARK_SPEED:g} deg/s")
        for name, most in _WAITS.items():
            wait = values[name]
            if not (name == "timeout_s" and wait is None) and not (_is_number(wait) and 0 < wait <= most):
                faults.append(f"{name} is {shown(wait)}; it must be finite and above 0, to {most:g}")
        if faults:
            raise FaultError("these settings cannot drive an arm:\n  " + "\n  ".join(faults))

    @property
    def volts(self) -> tuple[float, float]:
        """Supplies these servos may have [V]."""
        return VOLTS[self.part]

    @classmethod
    def load(cls, path: Path) -> ArmConfig:
        """Read settings from JSON; what the file does not name keeps its default.

        Raises:
            FaultError: The file is missing, no JSON, or names what does not exist.
        """
        fields = [field.name for field in dataclasses.fields(cls)]
        try:
            data = load_json(path, finite=False)  # a number that is not finite is named below, with its bounds
            _require_known(data, fields, "settings")
            gains = data.pop("gains", {})
            if isinstance(gains, dict):
                _require_known(gains, list(_REGISTERS), "gains")
                gains = Gains(**{kind: _as_tuple(values) for kind, values in gains.items()})
        except SmallFileError as error:
            raise FaultError(f"{path} is no file of settings ({error}); a JSON object may name {', '.join(fields)}") from None
        try:
            return cls(gains=gains, **{name: _as_tuple(value) for name, value in data.items()})
        except FaultError as error:
            raise FaultError(f"{path}: {error}") from None


def _require_known(data: Mapping[str, Any], known: Sequence[str], what: str) -> None:
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise SmallFileError(f"it names {shown(unknown)}, which {what} do not have; known are {', '.join(known)}")


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_pose(value: Any) -> bool:
    """Whether it is six numbers within a turn."""
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != arm.N_JOINTS:
        return False
    return all((isinstance(one, np.floating) or _is_number(one)) and abs(one) <= TURN for one in value)


DEFAULT = ArmConfig()
