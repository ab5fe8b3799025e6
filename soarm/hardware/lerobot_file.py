"""LeRobot's calibration files: read into ours where every joint was swept, and written where no joint moves by it.

LeRobot (0.4 and later) keeps `id`, `drive_mode`, `homing_offset`, `range_min` and `range_max` per joint. Its degrees are

    (ticks - (range_min + range_max) / 2) * 360 / 4095

so its zero is the middle of the range that was swept, its unit is 4095 and not 4096 ticks per turn, and `drive_mode` is
ignored. What it calls one degree is 1.00024 of ours. We read its zero and its signs as they are and count 4096 ticks to a
turn, as the encoder does; over half a range of 120 degrees the two differ by 0.03 degrees, a third of a tick.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import CalibrationError
from soarm.hardware.calibration import TICKS_PER_DEG, Calibration, JointCalibration
from soarm.hardware.registers import TICKS_PER_TURN
from soarm.hardware.sweep import SPAN_TICKS, bounds
from soarm.smallfile import read_json, shown, write_atomically

logger = logging.getLogger(__name__)
FIELDS = ("id", "drive_mode", "homing_offset", "range_min", "range_max")

LEAST_SWEPT = 0.25
"""A range below this share of the model's is of a joint that was not swept; a leader's trigger goes less far."""
MOST_SWEPT_TICKS = round(0.9 * TICKS_PER_TURN)
"""A range beyond this is LeRobot's 0..4095, or nearly: of a joint that was not swept, or whose sweep crossed the seam of the
encoder. No joint but wrist_roll has stops so far apart."""
ROUNDING_TICKS = 1.0
"""What whole ticks in the place of ours may move a joint by; the ends of a range are rounded by less than one each."""
_ROLL = "wrist_roll"
"""LeRobot never sweeps it, and writes the whole turn."""


def read_lerobot(path: Path) -> Calibration:
    """Read a calibration that LeRobot wrote for an SO-100 or SO-101, follower or leader.

    A gripper with `drive_mode` 1 opens with falling ticks.

    Raises:
        CalibrationError: The file is missing, of another robot, of the format before June 2025, or a joint was not swept or
            cannot be driven; names every one.
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
    if isinstance(data, dict) and isinstance(data.get("joints"), list) and "version" in data:
        raise CalibrationError(
            f"{path} is a calibration of soarm already, and is used as it is; `soarm export-calibration` writes LeRobot's"
        )
    if isinstance(data, dict) and isinstance(data.get("joints"), dict) and not set(data) & set(arm.JOINT_NAMES):
        others = sorted(set(data) - {"joints"})
        logger.info(
            "the joints of %s lie under the key `joints`; they are read from there%s",
            path,
            f", and {', '.join(map(shown, others))} is left out" if others else "",
        )
        data = data["joints"]
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
    found = tuple(_joint(joint, data[joint]) for joint in arm.JOINT_NAMES)
    _refuse_unswept(found, name)
    return Calibration(found)


def write_lerobot(calibration: Calibration, path: Path) -> None:
    """Write a calibration as LeRobot does, and log joint by joint what its format cannot say.

    Raises:
        CalibrationError: Read back, it would move a joint by more than the rounding to whole ticks: a zero beside the middle
            of the range, or a joint that turns the other way.
    """
    data = {joint.name: _entry(joint) for joint in calibration.joints}
    moved, lost = [], []
    for ours in calibration.joints:
        theirs = _joint(ours.name, data[ours.name])
        ticks = np.array([*ours.range_ticks, ours.zero_ticks])
        away = float(np.abs(_units(ours, ticks) - _units(theirs, ticks)).max())
        unit = arm.UNITS[arm.JOINT_NAMES.index(ours.name)]
        as_read = (
            f"{ours.name}: zero {ours.zero_ticks:.2f}, sign {ours.sign}, {ours.ticks_per_unit:.4f} ticks per unit are read "
            f"back as {theirs.zero_ticks:.2f}, {theirs.sign}, {theirs.ticks_per_unit:.4f}: {away:.2f} {unit}"
        )
        if not away * ours.ticks_per_unit <= ROUNDING_TICKS:
            moved.append(as_read)
        elif away > 0.0:
            lost.append(as_read)
        if ours.firmware is not None:
            lost.append(f"{ours.name}: its firmware, {ours.firmware}, is not kept")
    if moved:
        raise CalibrationError(
            "\n  ".join([f"{path} was not written: LeRobot's format puts zero into the middle of the range, and", *moved])
            + "\nThese joints would stand elsewhere. `soarm calibrate` puts zero into the middle; for LeRobot on an arm with "
            "joints that turn the other way, run lerobot-calibrate"
        )
    write_atomically(path, json.dumps(data, indent=4) + "\n", CalibrationError)
    for text in lost:
        logger.info("LeRobot's format loses: %s", text)


def _units(joint: JointCalibration, ticks: NDArray[np.float64]) -> NDArray[np.float64]:
    units: NDArray[np.float64] = joint.sign * (ticks - joint.zero_ticks) / joint.ticks_per_unit
    return units


def _refuse_unswept(joints: Sequence[JointCalibration], name: str) -> None:
    """Raise CalibrationError where ids or ranges are not those of an arm that was swept; warn where a range is odd."""
    faults, odd = [], []
    for i, joint in enumerate(joints):
        (low, high), own_id = joint.range_ticks, arm.JOINTS[i].servo_id
        span, least, (shy, wide) = high - low, round(LEAST_SWEPT * SPAN_TICKS[i]), bounds(i)
        stops = f"its stops are about {SPAN_TICKS[i]} apart"
        said = f"{joint.name}: its range {low}..{high} spans {span} of {TICKS_PER_TURN} ticks, and {stops}"
        if span > MOST_SWEPT_TICKS and joint.name != _ROLL:
            faults.append(f"{said}: it was not swept, or its sweep crossed the encoder's seam")
        elif 0 < span < least:
            faults.append(f"{said}: it was not swept")
        else:
            faults += joint.faults()
            odd += [said] if span < shy or (span > wide and joint.name != _ROLL) else []
        if joint.servo_id != own_id:
            faults.append(f"{joint.name}: its servo has the id {joint.servo_id}; on an SO-ARM it is {own_id}")
        if joint.drive_mode not in (0, 1):
            faults.append(f"{joint.name}: drive_mode is {joint.drive_mode}, it must be 0 or 1")
    if faults:
        raise CalibrationError(
            "\n  ".join([f"{name} is not imported:", *faults])
            + "\nSweep these joints from stop to stop: `soarm calibrate` measures the arm anew, or run lerobot-calibrate and "
            "import its file"
        )
    for text in odd:
        logger.warning("%s; its zero may be off: check it against a known pose: soarm check-pose", text)


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
