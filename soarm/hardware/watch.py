"""Judge telemetry tick by tick, joint by joint, and return alarms.

Knows no bus. An alarm has a severity, and the driver decides what follows from it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import NamedTuple

from soarm import arm
from soarm.hardware.config import ArmConfig
from soarm.hardware.registers import Status, Telemetry

DERATED, STALLED = 0.5, 0.25
"""What is left of the torque limit of a hot servo, and of a gripper that pushed too long."""
_COOL_C = 5
"""A derated servo gets its torque back this much below the threshold [K]."""


class Severity(enum.IntEnum):
    """What an alarm asks for; LET_GO is a fault that takes this servo's torque as well."""

    NOTE = 0
    DERATE = 1
    HOLD = 2
    FAULT = 3
    LET_GO = 4


class Alarm(NamedTuple):
    """One alarm: how bad, which joint (an index), and the cause in words."""

    severity: Severity
    joint: int
    cause: str


class Watch:
    """Judges telemetry over time; keeps how long the gripper has pushed, and who is derated.

    Args:
        config: Thresholds.
    """

    def __init__(self, config: ArmConfig) -> None:
        self._config = config
        self._pushing_since_s: float | None = None
        self._noted: set[tuple[int, str]] = set()
        self.derated: dict[int, float] = {}

    def judge(self, t_s: float, telemetry: Sequence[Telemetry], misses: Sequence[int]) -> list[Alarm]:
        """Return what is wrong now.

        Args:
            t_s: Time [s].
            telemetry: Of the six servos; of one that is silent the last it said.
            misses: Cycles each has been silent; what a silent one said is not judged again.
        """
        alarms = []
        for joint in range(arm.N_JOINTS):
            alarms += self._silent(joint, misses[joint])
            if misses[joint] == 0:
                alarms += self._status(joint, telemetry[joint])
                alarms += self._heat(joint, telemetry[joint])
                alarms += self._volts(joint, telemetry[joint])
        if misses[arm.GRIPPER] == 0:
            alarms += self._stall(t_s, telemetry[arm.GRIPPER])
        return alarms

    def _silent(self, joint: int, n: int) -> list[Alarm]:
        if n >= self._config.stop_after_misses:
            return [Alarm(Severity.FAULT, joint, f"did not answer for {n} cycles")]
        if n >= self._config.hold_after_misses:
            return [Alarm(Severity.HOLD, joint, f"did not answer for {n} cycles")]
        return []

    def _status(self, joint: int, telemetry: Telemetry) -> list[Alarm]:
        bad = telemetry.status & (Status.OVERLOAD | Status.CURRENT | Status.ANGLE)
        return [Alarm(Severity.FAULT, joint, f"reports {bad.name}")] if bad else []

    def _heat(self, joint: int, telemetry: Telemetry) -> list[Alarm]:
        config, heat_c = self._config, telemetry.temperature_c
        warm = self._once(joint, f"is warm, {config.warn_c} degC or more", heat_c >= config.warn_c)
        if heat_c >= config.stop_c or telemetry.status & Status.HEAT:
            said = "reports HEAT and has" if telemetry.status & Status.HEAT else "has"
            return [Alarm(Severity.LET_GO, joint, f"{said} {heat_c} degC, the limit is {config.stop_c}")]
        if heat_c >= config.derate_c and joint not in self.derated:
            self.derated[joint] = DERATED
            return [Alarm(Severity.DERATE, joint, f"has {heat_c} degC and gets half its torque from {config.derate_c} on")]
        if heat_c < config.derate_c - _COOL_C and self.derated.get(joint) == DERATED:
            del self.derated[joint]
            return [Alarm(Severity.DERATE, joint, f"has cooled to {heat_c} degC and gets its torque back")]
        return warm

    def _volts(self, joint: int, telemetry: Telemetry) -> list[Alarm]:
        (low, high), volts = self._config.volts, telemetry.voltage_v
        if volts > high:
            return [Alarm(Severity.FAULT, joint, f"has {volts:.1f} V, more than the {high:g} V its servo tolerates")]
        if volts < low or telemetry.status & Status.VOLTAGE:
            return [Alarm(Severity.HOLD, joint, f"has {volts:.1f} V, below {low:g} V or its own limit: the supply sags")]
        return []

    def _stall(self, t_s: float, telemetry: Telemetry) -> list[Alarm]:
        config = self._config
        if telemetry.current_ma < 1000 * config.stall_a:
            self._pushing_since_s = None  # a derated one stays so until the arm is held anew: less torque is less current
            return []
        if self._pushing_since_s is None:
            self._pushing_since_s = t_s
        pushed_s = t_s - self._pushing_since_s
        if pushed_s < config.stall_s or self.derated.get(arm.GRIPPER) == STALLED:
            return []
        self.derated[arm.GRIPPER] = STALLED
        return [Alarm(Severity.DERATE, arm.GRIPPER, f"pushed for {pushed_s:.1f} s with {telemetry.current_ma:.0f} mA or more")]

    def _once(self, joint: int, text: str, wrong: bool) -> list[Alarm]:
        key = (joint, text)
        if not wrong:
            self._noted.discard(key)
            return []
        if key in self._noted:
            return []
        self._noted.add(key)
        return [Alarm(Severity.NOTE, joint, text)]
