"""What the servos' telemetry means: a pure judgement per tick, joint by joint.

Knows no bus. A verdict has a severity, and the driver decides what follows from it.
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
    """What a verdict asks for; LET_GO is a fault that takes this servo's torque as well."""

    NOTE = 0
    DERATE = 1
    HOLD = 2
    FAULT = 3
    LET_GO = 4


class Verdict(NamedTuple):
    """One complaint: how bad, which joint (an index), and the cause in words."""

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

    def judge(self, t_s: float, telemetry: Sequence[Telemetry], misses: Sequence[int]) -> list[Verdict]:
        """Return what is wrong now.

        Args:
            t_s: Time [s].
            telemetry: Of the six servos; of one that is silent the last it said.
            misses: Cycles each has been silent; what a silent one said is not judged again.
        """
        verdicts = []
        for joint in range(arm.N_JOINTS):
            verdicts += self._silent(joint, misses[joint])
            if misses[joint] == 0:
                verdicts += self._status(joint, telemetry[joint])
                verdicts += self._heat(joint, telemetry[joint])
                verdicts += self._volts(joint, telemetry[joint])
        if misses[arm.GRIPPER] == 0:
            verdicts += self._stall(t_s, telemetry[arm.GRIPPER])
        return verdicts

    def _silent(self, joint: int, n: int) -> list[Verdict]:
        if n >= self._config.stop_after_misses:
            return [Verdict(Severity.FAULT, joint, f"did not answer for {n} cycles")]
        if n >= self._config.hold_after_misses:
            return [Verdict(Severity.HOLD, joint, f"did not answer for {n} cycles")]
        return []

    def _status(self, joint: int, telemetry: Telemetry) -> list[Verdict]:
        bad = telemetry.status & (Status.OVERLOAD | Status.CURRENT | Status.ANGLE)
        return [Verdict(Severity.FAULT, joint, f"reports {bad.name}")] if bad else []

    def _heat(self, joint: int, telemetry: Telemetry) -> list[Verdict]:
        config, heat_c = self._config, telemetry.temperature_c
        warm = self._once(joint, f"is warm, {config.warn_c} degC or more", heat_c >= config.warn_c)
        if heat_c >= config.stop_c or telemetry.status & Status.HEAT:
            said = "reports HEAT and has" if telemetry.status & Status.HEAT else "has"
            return [Verdict(Severity.LET_GO, joint, f"{said} {heat_c} degC, the limit is {config.stop_c}")]
        if heat_c >= config.derate_c and joint not in self.derated:
            self.derated[joint] = DERATED
            return [Verdict(Severity.DERATE, joint, f"has {heat_c} degC and gets half its torque from {config.derate_c} on")]
        if heat_c < config.derate_c - _COOL_C and self.derated.get(joint) == DERATED:
            del self.derated[joint]
            return [Verdict(Severity.DERATE, joint, f"has cooled to {heat_c} degC and gets its torque back")]
        return warm

    def _volts(self, joint: int, telemetry: Telemetry) -> list[Verdict]:
        (low, high), volts = self._config.volts, telemetry.voltage_v
        if volts > high:
            return [Verdict(Severity.FAULT, joint, f"has {volts:.1f} V, more than the {high:g} V its servo bears")]
        if volts < low or telemetry.status & Status.VOLTAGE:
            return [Verdict(Severity.HOLD, joint, f"has {volts:.1f} V, below {low:g} V or its own limit: the supply sags")]
        return []

    def _stall(self, t_s: float, telemetry: Telemetry) -> list[Verdict]:
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
        return [
            Verdict(Severity.DERATE, arm.GRIPPER, f"pushed for {pushed_s:.1f} s with {telemetry.current_ma:.0f} mA or more")
        ]

    def _once(self, joint: int, text: str, wrong: bool) -> list[Verdict]:
        key = (joint, text)
        if not wrong:
            self._noted.discard(key)
            return []
        if key in self._noted:
            return []
        self._noted.add(key)
        return [Verdict(Severity.NOTE, joint, text)]
