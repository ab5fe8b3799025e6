"""Diagnose an arm that is plugged in. This only reads: no register is written and no joint moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm import arm
from soarm.errors import BusError, PortError
from soarm.hardware.bus import TIMEOUT_S, Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import VOLTS, ArmConfig
from soarm.hardware.discovery import SharedIdError
from soarm.hardware.packets import HIGHEST_ID
from soarm.hardware.registers import LATCHED, MODEL, NOTHING, PHASE_MULTI_TURN, Status

SCAN_TIMEOUT_S = TIMEOUT_S
"""For a question to an id that nobody may have [s]; there are 248 of them."""
HOT_C = 55
"""From here on a servo should rest; it switches itself off at 70."""
_ASKED = (
    "model_number",
    "firmware_major",
    "firmware_minor",
    "operating_mode",
    "phase",
    "torque_enable",
    "present_voltage",
    "min_voltage_limit",
    "max_voltage_limit",
    "present_temperature",
    "homing_offset",
    "min_position_limit",
    "max_position_limit",
    "p_coefficient",
    "present_position",
)


class Finding(NamedTuple):
    """One servo.

    Attributes:
        joint: Its joint.
        servo_id: Its id.
        values: What it said, register by register; empty if nothing of use came.
        faults: What is wrong with it.
        oddities: What is odd.
        shared: Whether another servo has the same id.
    """

    joint: str
    servo_id: int
    values: dict[str, int]
    faults: tuple[str, ...]
    oddities: tuple[str, ...] = ()
    shared: bool = False

    def line(self) -> str:
        """Return one line of a table."""
        v = self.values
        if not v:
            return f"{self.servo_id}  {self.joint:<14}{'two servos' if self.shared else 'silent'}"
        return (
            f"{self.servo_id}  {self.joint:<14}{v['present_position']:>5} ticks  {v['present_voltage'] / 10:>4.1f} V  "
            f"{v['present_temperature']:>3} C  firmware {v['firmware_major']}.{v['firmware_minor']}  P {v['p_coefficient']}  "
            f"torque {'on' if v['torque_enable'] else 'off'}"
        )


def examine(bus: Bus, calibration: Calibration | None, forgive: Status = NOTHING) -> list[Finding]:
    """Ask every servo of the arm.

    Args:
        bus: The open bus.
        calibration: What the servos' limits and offsets are held against; None looks at the rest alone.
        forgive: Complaints that are no fault, because somebody is about to clear them.
    """
    joints = [(joint.name, joint.servo_id) for joint in (arm.JOINTS if calibration is None else calibration.joints)]
    findings = []
    for i, (name, servo_id) in enumerate(joints):
        try:
            shared = _shared(bus, servo_id)
            if shared is not None:
                findings.append(Finding(name, servo_id, {}, (shared,), shared=True))
                continue
            values = {register: bus.read(servo_id, register) for register in _ASKED}
        except BusError as error:
            findings.append(Finding(name, servo_id, {}, (str(error),)))
            continue
        faults = _faults(values)
        if calibration is not None:
            faults += _against(values, calibration, i)
        complaint = bus.status.get(servo_id, NOTHING) & ~forgive
        if complaint:
            remedy = "`soarm release` clears that" if not complaint & ~LATCHED else "let it rest, then power it off and on"
            faults.append(f"it reports {complaint.name}: {remedy}")
        findings.append(Finding(name, servo_id, values, tuple(faults), tuple(_oddities(values, calibration, i))))
    return findings


def against_settings(findings: Sequence[Finding], config: ArmConfig) -> list[str]:
    """Return which servos have a supply that their part, as the settings name it, must not have."""
    low, high = config.volts
    faults = []
    for finding in findings:
        volts = finding.values.get("present_voltage", 0) / 10
        if finding.values and not low <= volts <= high:
            faults.append(
                f"{finding.joint} (servo {finding.servo_id}): it has {volts:.1f} V; servos for {config.part} V may have "
                f"{low:g} to {high:g} V. Look at the supply, or name the other part in the arm's settings"
            )
    return faults


def swapped(findings: Sequence[Finding], config: ArmConfig | None) -> list[str]:
    """Return, in words, whether this looks like the other arm's supply: a leader's 5 V for a follower of 12 V, or the reverse.

    Args:
        findings: Of all servos.
        config: Settings that name the part; None goes by the servos' own limits.
    """
    heard = [f.values for f in findings if f.values]
    if not heard:
        return []
    volts = max(values["present_voltage"] for values in heard) / 10
    most = min(values["max_voltage_limit"] for values in heard) / 10
    is_12_v = most > VOLTS["7.4"][1] + 1 if config is None else config.part == "12"
    if is_12_v and volts < VOLTS["12"][0]:
        return [f"these are servos for 12 V and have {volts:.1f} V: is the leader's supply on the follower? Swap the supplies"]
    if not is_12_v and volts >= VOLTS["12"][0]:
        return [
            f"these are servos for 7.4 V and have {volts:.1f} V, which burns them: pull the plug. Is the supply of an arm of "
            "12 V on this one? Swap the supplies"
        ]
    return []


def foreign(bus: Bus) -> list[str]:
    """Return, in words, which servos answer that are not the arm's; asks every other id (two seconds)."""
    patient_s, bus.line.timeout_s = bus.line.timeout_s, SCAN_TIMEOUT_S
    try:
        there = bus.scan(servo_id for servo_id in range(HIGHEST_ID + 1) if servo_id not in bus.servo_ids)
    except SharedIdError as error:
        return [f"beside the arm's servos: {error}"]
    finally:
        bus.line.timeout_s = patient_s
    if not there:
        return []
    return [
        f"servos {sorted(there)} answer as well, and are none of this arm's {list(bus.servo_ids)}: unplug what is not of this "
        "arm, or give the servo its id (`soarm setup-motors`)"
    ]


def of_all(findings: Sequence[Finding]) -> list[str]:
    """Return what is wrong with the arm as a whole."""
    firmware = {(f.values["firmware_major"], f.values["firmware_minor"]) for f in findings if f.values}
    faults = []
    if len(firmware) > 1:
        versions = ", ".join(f"{major}.{minor}" for major, minor in sorted(firmware))
        faults.append(
            f"the servos have different firmware ({versions}); LeRobot refuses that. Update them with Feetech's tool"
        )
    volts = [f.values["present_voltage"] / 10 for f in findings if f.values]
    if volts and max(volts) - min(volts) > 1.0:
        faults.append(f"the voltage falls from {max(volts):.1f} to {min(volts):.1f} V along the chain; look at the cables")
    return faults


def _shared(bus: Bus, servo_id: int) -> str | None:
    """Return what is wrong where two servos have this id: their answers come damaged, and look like silence."""
    try:
        bus.ping(servo_id)
    except SharedIdError as error:
        return str(error)
    except PortError:
        raise
    except BusError:  # a silent one is described by the questions that follow
        return None
    return None


def _faults(values: dict[str, int]) -> list[str]:
    faults = []
    if values["model_number"] != MODEL:
        faults.append(f"it is of model {values['model_number']}, not an STS3215 ({MODEL})")
    if values["operating_mode"] != 0:
        faults.append(f"its operating_mode is {values['operating_mode']}, not 0 (position); `soarm setup-motors`")
    if values["phase"] & PHASE_MULTI_TURN:
        faults.append("multi-turn feedback is on (phase, bit 4); `soarm setup-motors`")
    volts, low, high = (values[name] / 10 for name in ("present_voltage", "min_voltage_limit", "max_voltage_limit"))
    if not low <= volts <= high:
        faults.append(
            f"it has {volts:.1f} V, its own limits are {low:.1f} to {high:.1f}: is this the supply of these servos? There are "
            "parts for 7.4 V and for 12 V"
        )
    if values["present_temperature"] >= HOT_C:
        faults.append(f"it has {values['present_temperature']} C; release the arm and let it cool below {HOT_C}")
    return faults


def _against(values: dict[str, int], calibration: Calibration, i: int) -> list[str]:
    return [
        f"{name} is {values[name]}, the calibration says {want}: it was calibrated elsewhere since; calibrate it again"
        for name, want in calibration.joints[i].registers.items()
        if values[name] != want
    ]


def _oddities(values: dict[str, int], calibration: Calibration | None, i: int) -> list[str]:
    stored = None if calibration is None else calibration.joints[i].firmware
    found = f"{values['firmware_major']}.{values['firmware_minor']}"
    if stored in (None, found):
        return []
    return [
        f"its firmware is {found}, it was {stored} when it was calibrated: was it updated, or is it another servo? "
        "Check the calibration against a known pose (`soarm check-pose`), or calibrate it again"
    ]
