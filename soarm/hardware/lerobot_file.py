"""LeRobot's calibration files: read into ours, and written without loss.

LeRobot (0.4 and later) keeps `id`, `drive_mode`, `homing_offset`, `range_min` and `range_max` per joint. Its degrees are

    (ticks - (range_min + range_max) / 2) * 360 / 4095

so its zero is the middle of the range that was swept, its unit is 4095 and not 4096 ticks per turn, and `drive_mode` is
ignored. What it calls one degree is 1.00024 of ours. We read its zero and its signs as they are and count 4096 ticks to a
turn, as the encoder does; over half a range of 120 degrees the two differ by 0.03 degrees, a third of a tick.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from soarm import arm
from soarm.errors import CalibrationError
from soarm.hardware.calibration import TICKS_PER_DEG, Calibration, JointCalibration
from soarm.smallfile import read_json, shown, write_atomically

FIELDS = ("id", "drive_mode", "homing_offset", "range_min", "range_max")


def read_lerobot(path: Path) -> Calibration:
    """Read a calibration that LeRobot wrote for an SO-100 or SO-101, follower or leader.

    A gripper with `drive_mode` 1 opens with falling ticks.

    Raises:
        CalibrationError: The file is missing, of another robot, of the format before June 2025, or a joint cannot be driven.
    """
    data = read_json(
        path,
        CalibrationError,
        "LeRobot keeps calibrations below ~/.cache/huggingface/lerobot/calibration, in robots/ or teleoperators/, by the "
        "robot's type (so_follower since 0.4.4, so100_follower before)",
        what="LeRobot's calibration of an SO-ARM",
        kind=object,
    )
    if isinstance(data, dict) and "calib_mode" in data:
        raise CalibrationError(
            f"{path} has LeRobot's format from before June 2025 (calib_mode, homing_offset as a list), whose zeros are other "
            "poses: shoulder_lift = 90 - old, elbow_flex = old - 90. Calibrate anew: soarm calibrate"
        )
    return from_lerobot(data, str(path))


def from_lerobot(data: Any, name: str) -> Calibration:
    """Return ours from LeRobot's content; `name` stands in messages. Raises as `read_lerobot`."""
    joints = set(data) if isinstance(data, dict) else set()
    faults = [f"{joint} is missing" for joint in arm.JOINT_NAMES if joint not in joints]
    faults += [f"{joint} is no joint of this arm" for joint in sorted(joints - set(arm.JOINT_NAMES))]
    for joint in arm.JOINT_NAMES:
        if joint in joints and not _is_entry(data[joint]):
            faults.append(f"{joint} is {shown(data[joint])}; it must have {', '.join(FIELDS)}, whole numbers")
    if faults:
        raise CalibrationError("\n  ".join([f"{name} is not LeRobot's calibration of an SO-ARM:", *faults]))
    return Calibration(tuple(_joint(joint, data[joint]) for joint in arm.JOINT_NAMES))


def write_lerobot(calibration: Calibration, path: Path) -> None:
    """Write a calibration as LeRobot does.

    Raises:
        CalibrationError: LeRobot's format cannot say it: a zero beside the middle of the range, or a joint that turns the
            other way.
    """
    data = {joint.name: _entry(joint) for joint in calibration.joints}
    lost = [
        f"{ours.name}: zero {ours.zero_ticks:.1f}, sign {ours.sign}, {ours.ticks_per_unit:.4f} ticks per unit would be read "
        f"back as {theirs.zero_ticks:.1f}, {theirs.sign}, {theirs.ticks_per_unit:.4f}"
        for ours, theirs in zip(calibration.joints, from_lerobot(data, str(path)).joints, strict=True)
        if (ours.sign, round(ours.zero_ticks, 1), round(ours.ticks_per_unit, 4))
        != (theirs.sign, round(theirs.zero_ticks, 1), round(theirs.ticks_per_unit, 4))
    ]
    if lost:
        raise CalibrationError(
            "\n  ".join([f"{path} was not written: LeRobot's format puts zero into the middle of the range, and", *lost])
        )
    write_atomically(path, json.dumps(data, indent=4) + "\n", CalibrationError)


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, dict) and set(entry) == set(FIELDS) and all(type(entry[field]) is int for field in FIELDS)


def _joint(name: str, entry: dict[str, int]) -> JointCalibration:
    low, high = entry["range_min"], entry["range_max"]
    sign, zero, per_unit = 1, (low + high) / 2, TICKS_PER_DEG
    if name == arm.JOINT_NAMES[arm.GRIPPER]:
        sign = -1 if entry["drive_mode"] else 1
        zero, per_unit = float(high if entry["drive_mode"] else low), (high - low) / 100.0
    return JointCalibration(
        name, entry["id"], sign, zero, per_unit, (low, high), entry["homing_offset"], entry["drive_mode"], None
    )


def _entry(joint: JointCalibration) -> dict[str, int]:
    low, high = joint.range_ticks
    values = (joint.servo_id, joint.drive_mode, joint.homing_offset, low, high)
    return dict(zip(FIELDS, values, strict=True))
