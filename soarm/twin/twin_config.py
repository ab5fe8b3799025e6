"""How an arm is emulated, and the servos that follow from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from soarm import arm
from soarm.errors import TwinError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.twin.actuator import ActuatorName
from soarm.twin.hand import NEW
from soarm.twin.servo import FirmwareAssumptions, Servo
from soarm.twin.wire_log import WireLog

MOST_DELAY_S = 10.0
"""Greatest delay of an emulated adapter [s]."""
AS_SIMULATED: Mapping[str, int] = {"overload_torque": 100}
"""Registers of servos that are the simulator's own actuators, which know no overload."""


@dataclasses.dataclass(frozen=True)
class TwinConfig:
    """How the arm is emulated.

    Attributes:
        servo_model: How servos make torque; see `soarm.twin.actuator`.
        clock: What moves the physics; see `soarm.twin.twin`.
        volts: Of the supply [V]. The parts for 7.4 V bear 4.0 to 8.0 V.
        calibration: How the servos are mounted, and what they remember of it.
        registers: Registers of every servo that differ from the factory's.
        new: The follower's servos come from the factory: all with id 1, none calibrated, one of them at another baud; they are
            plugged in one at a time (`soarm.twin.hand.Bench`).
        hand: While an arm is limp, somebody holds it and does as `soarm calibrate` asks (`soarm.twin.hand.Hand`).
        extra_servos: Ids of further servos on the follower's bus, new ones that move nothing; an id of the arm's own is a
            second servo with that id, as where a new one was plugged in.
        arms: 2 adds a leader without a scene: it is where `lead` puts it.
        line_timing: Replies take the time that the bytes need on the line.
        usb_delay_s: What the adapter adds to every reply [s].
        assumptions: What is not settled about real servos.
        paths: Where the ports are to be found, one per arm; temporary ones by default.
        wire_log: Gets every byte of the follower's line, as the host sees it.

    Raises:
        TwinError: A value is not allowed.
    """

    servo_model: ActuatorName = "position"
    clock: Literal["lockstep", "wall"] = "lockstep"
    volts: float = 7.4
    calibration: Calibration = dataclasses.field(default_factory=Calibration.nominal)
    registers: Mapping[str, int] = dataclasses.field(default_factory=dict)
    new: bool = False
    hand: bool = False
    extra_servos: tuple[int, ...] = ()
    arms: Literal[1, 2] = 1
    line_timing: bool = False
    usb_delay_s: float = 0.0
    assumptions: FirmwareAssumptions = dataclasses.field(default_factory=FirmwareAssumptions)
    paths: tuple[Path, ...] = ()
    wire_log: WireLog | None = None

    def __post_init__(self) -> None:
        faults = []
        if self.servo_model not in ("position", "sts3215"):
            faults.append(f"servo_model is {self.servo_model!r}; known are 'position' and 'sts3215'")
        if self.clock not in ("lockstep", "wall"):
            faults.append(f"clock is {self.clock!r}; known are 'lockstep' and 'wall'")
        if not 0 <= self.volts <= 25.4:
            faults.append(f"volts is {self.volts}; a servo can report 0 to 25.4")
        if not 0 <= self.usb_delay_s <= MOST_DELAY_S:
            faults.append(f"usb_delay_s is {self.usb_delay_s}; it must be in 0..{MOST_DELAY_S:g}")
        if not all(0 <= servo_id < 254 for servo_id in self.extra_servos):
            faults.append(f"extra_servos are {self.extra_servos}; ids go from 0 to 253")
        if self.paths and len(self.paths) != self.arms:
            faults.append(f"{len(self.paths)} paths for {self.arms} arms; name one for each")
        if len(set(self.paths)) < len(self.paths):
            faults.append(f"two arms on one path, {self.paths[0]}; name another for each")
        if faults:
            raise TwinError("; ".join(faults))


def patient(usual: ArmConfig) -> ArmConfig:
    """Return a driver's settings on a twin of its own.

    The machine may be busy, so answers may be late and an arm may recover as often as it likes. How long a gripper presses is
    counted by the wall's clock, which is not that of a twin in lockstep, and a gripper that lost its torque to that would be
    weak in the scenes that follow.
    """
    return dataclasses.replace(usual, timeout_s=10.0, stall_s=60.0, recoveries=1_000_000)


def driver_config(usual: ArmConfig, servo_model: ActuatorName) -> ArmConfig:
    """Return `patient` settings for servos of a model: the simulator's own know no share of torque, and no bound on speed."""
    if servo_model == "sts3215":
        return patient(usual)
    gains = dataclasses.replace(usual.gains, torque_limit=(1000,) * 6, velocity=(0,) * 6)
    return dataclasses.replace(patient(usual), gains=gains)


def servos_of(config: TwinConfig, *, new: bool) -> list[Servo]:
    """Return the six servos as the calibration left them, or as they leave the factory."""
    if new:
        slow = arm.JOINT_NAMES.index("elbow_flex")
        return [
            Servo(1, {**NEW, "baud_rate": int(i == slow), **config.registers}, config.assumptions) for i in range(arm.N_JOINTS)
        ]
    joints = config.calibration.joints
    return [Servo(joint.servo_id, joint.registers | dict(config.registers), config.assumptions) for joint in joints]
