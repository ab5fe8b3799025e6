"""LeRobot's own driver on the twin: does the emulated bus look like servos to a program that is not ours?

    pip install --no-deps --target /tmp/lerobot lerobot==0.4.4 deepdiff orderly-set
    PYTHONPATH=/tmp/lerobot:. python benchmarks/check_lerobot_bus.py

LeRobot is no dependency of this project; only its `lerobot.motors` is imported, which needs neither torch nor cameras.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from lerobot.motors import Motor, MotorCalibration, MotorNormMode
from lerobot.motors.feetech import FeetechMotorsBus, OperatingMode

from soarm import arm, params
from soarm.hardware.calibration import Calibration
from soarm.sim.params import SimParams
from soarm.twin.twin import Twin, TwinConfig


def main() -> int:
    """Connect, configure, read, write and release as LeRobot's SO-100 follower does; return 1 if anything differs."""
    ours = Calibration.nominal()
    motors = {
        joint.name: Motor(
            joint.servo_id, "sts3215", MotorNormMode.RANGE_0_100 if joint.name == "gripper" else MotorNormMode.DEGREES
        )
        for joint in arm.JOINTS
    }
    calibration = {
        joint.name: MotorCalibration(joint.servo_id, 0, joint.homing_offset, *joint.range_ticks) for joint in ours.joints
    }
    sim = params.load(Path("params.yaml")).section("sim", SimParams)
    with Twin.start(sim, TwinConfig()) as twin:
        bus = FeetechMotorsBus(port=twin.ports[0], motors=motors, calibration=calibration)
        bus.connect()
        print("found", bus.broadcast_ping())
        print("calibrated as the file says:", bus.is_calibrated)
        with bus.torque_disabled():
            bus.configure_motors()
            for name in bus.motors:
                bus.write("Operating_Mode", name, OperatingMode.POSITION.value)
                bus.write("P_Coefficient", name, 16)
        start = bus.sync_read("Present_Position")
        gap = np.abs(np.array(list(start.values())) - twin.q())
        print("positions against the truth:", {name: round(float(value), 3) for name, value in zip(start, gap, strict=True)})
        goals = {name: value + 5.0 for name, value in start.items()}
        for _ in range(40):
            bus.sync_write("Goal_Position", goals)
            reached = bus.sync_read("Present_Position")
        error = np.abs(np.array([reached[name] - goals[name] for name in goals]))
        print("after 40 goals 5 units away:", {name: round(float(value), 2) for name, value in zip(goals, error, strict=True)})
        bus.disconnect(disable_torque=True)
        live = [servo_id for servo_id in twin.servos if twin.torque(servo_id)]
        print("torque left on:", live)
    return int(gap.max() > 0.2 or bool(live) or error.max() > 2.0)


if __name__ == "__main__":
    sys.exit(main())
