"""LeRobot's own driver on the twin: does the emulated bus look like servos to a program that is not ours?

    pip install --no-deps --target DIR lerobot==0.4.4 'deepdiff<9' orderly-set
    PYTHONPATH=DIR:. python benchmarks/check_lerobot_bus.py

LeRobot is no dependency of this project; only its `lerobot.motors` is used. Names that it imports and never calls are stood
in for, so that its trainer's dependencies need not be installed.
"""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import numpy as np

from soarm import arm, params
from soarm.hardware.calibration import Calibration
from soarm.sim.params import SimParams
from soarm.twin.twin import Twin
from soarm.twin.twin_config import TwinConfig

for _package, _modules in (
    ("accelerate", ("accelerate",)),
    ("datasets", ("datasets", "datasets.utils", "datasets.utils.logging")),
):
    if importlib.util.find_spec(_package) is None:
        for _name in _modules:
            sys.modules[_name] = types.ModuleType(_name)
        for _unused in ("Accelerator", "disable_progress_bar", "enable_progress_bar"):
            setattr(sys.modules[_modules[-1]], _unused, object)

from lerobot.motors import Motor, MotorCalibration, MotorNormMode  # noqa: E402
from lerobot.motors.feetech import FeetechMotorsBus, OperatingMode  # noqa: E402


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
