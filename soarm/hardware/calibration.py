"""From encoder ticks to LeRobot's units and back, per joint, said explicitly.

    q = sign * (ticks - zero_ticks) / ticks_per_unit        [deg; percent for the gripper]

Ticks are those after the servo's own offset (register 31), as `present_position` gives them. LeRobot leaves sign and zero to
be guessed from two ends of a range (`soarm.hardware.lerobot_file`); here they are numbers that can be looked at, with a hash
that stands in the file, so that a change by hand is noticed, and travels into logs.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.errors import CalibrationError
from soarm.hardware.registers import TICKS_PER_TURN
from soarm.smallfile import read_json, shown, write_atomically

logger = logging.getLogger(__name__)
TICKS_PER_DEG = TICKS_PER_TURN / 360.0
MARGIN_TICKS = 20
"""The arm is not sent nearer than this to the ends of its measured range: a sweep by hand leans on the stops."""
MOST_ID = 253
"""Of a servo; 254 is the broadcast."""
MAX_OFFSET = 2047
"""Register 31 holds eleven bits and a sign."""
_AGAIN = "Calibrate it again: soarm calibrate"
_VERSION = 1


@dataclasses.dataclass(frozen=True)
class JointCalibration:
    """One joint.

    Attributes:
        name: LeRobot's name.
        servo_id: Of its servo.
        sign: +1 where more ticks are more of LeRobot's unit, -1 where they are less.
        zero_ticks: Where LeRobot's zero is [ticks]; the gripper's is closed.
        ticks_per_unit: Ticks per degree, or per percent of the gripper's opening; above 0.
        range_ticks: Ends of the mechanical range, as swept [ticks], the lower first.
        homing_offset: What register 31 of the servo holds [ticks].
        drive_mode: LeRobot's field of that name, kept as it was found.
        firmware: Of the servo when it was calibrated; None where nobody looked.
    """

    name: str
    servo_id: int
    sign: int
    zero_ticks: float
    ticks_per_unit: float
    range_ticks: tuple[int, int]
    homing_offset: int
    drive_mode: int = 0
    firmware: str | None = None

    @property
    def registers(self) -> dict[str, int]:
        """What the servo holds of it in EPROM: register -> value."""
        low, high = self.range_ticks
        return {"homing_offset": self.homing_offset, "min_position_limit": low, "max_position_limit": high}

    def faults(self) -> list[str]:
        """Return what keeps this joint from being driven; empty for a good one."""
        found = self._kinds()
        if found:
            return [f"{self.name} (servo {shown(self.servo_id)}): {fault}" for fault in found]
        low, high = self.range_ticks
        if not 0 <= self.servo_id <= MOST_ID:
            found.append(f"servo_id is {self.servo_id}, it must be in 0..{MOST_ID}")
        if self.sign not in (-1, 1):
            found.append(f"sign is {self.sign}, it must be 1 or -1")
        if not 0 < self.ticks_per_unit <= TICKS_PER_TURN or not abs(self.zero_ticks) <= 2 * TICKS_PER_TURN:
            found.append(
                f"{self.ticks_per_unit} ticks per unit from {self.zero_ticks}; both must be finite, the first above 0, to "
                f"{TICKS_PER_TURN}, the other within {2 * TICKS_PER_TURN} of 0"
            )
        if not 0 <= low < high < TICKS_PER_TURN:
            found.append(
                f"its range {low}..{high} is not inside 0..{TICKS_PER_TURN - 1}: the sweep crossed the encoder's seam, or the "
                "joint was not swept"
            )
        elif high - low <= 4 * MARGIN_TICKS:
            found.append(f"its range {low}..{high} is {high - low} ticks wide; it was not swept")
        if abs(self.homing_offset) > MAX_OFFSET:
            found.append(f"homing_offset is {self.homing_offset}; the servo holds -{MAX_OFFSET}..{MAX_OFFSET}")
        return [f"{self.name} (servo {self.servo_id}): {fault}" for fault in found]

    def _kinds(self) -> list[str]:
        """Return which fields are not of their kind."""
        whole = {
            "servo_id": self.servo_id,
            "sign": self.sign,
            "homing_offset": self.homing_offset,
            "drive_mode": self.drive_mode,
        }
        found = [
            f"{name} is {shown(value)}, it must be a whole number" for name, value in whole.items() if type(value) is not int
        ]
        for name in ("zero_ticks", "ticks_per_unit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                found.append(f"{name} is {shown(value)}, it must be a number")
        ends = self.range_ticks
        if not isinstance(ends, tuple) or len(ends) != 2 or any(type(end) is not int for end in ends):
            found.append(f"range_ticks is {shown(ends)}, it must be two whole numbers")
        firmware: object = self.firmware
        if not isinstance(firmware, str | None):
            found.append(f"firmware is {shown(firmware)}, it must be a text or null")
        return found


@dataclasses.dataclass(frozen=True)
class Calibration:
    """All six joints, in the order of `soarm.arm.JOINT_NAMES`.

    Raises:
        CalibrationError: Joints are missing, doubled or cannot be driven; names every fault.
    """

    joints: tuple[JointCalibration, ...]

    def __post_init__(self) -> None:
        names = tuple(joint.name for joint in self.joints)
        if names != arm.JOINT_NAMES:
            raise CalibrationError(
                f"a calibration has the joints {list(arm.JOINT_NAMES)}, in this order; this has {shown(list(names))}"
            )
        faults = [fault for joint in self.joints for fault in joint.faults()]
        ids = self.servo_ids
        if not faults and len(set(ids)) < len(ids):
            faults.append(f"servo ids are {list(ids)}; each joint needs its own")
        if faults:
            raise CalibrationError("\n  ".join(["these joints must not move:", *faults, _AGAIN]))

    @classmethod
    def nominal(cls) -> Calibration:
        """Return the calibration of an ideal arm: the model's ranges, their middles at the encoders' middle."""
        joints = []
        for joint, low, high in zip(arm.JOINTS, arm.LOWER, arm.UPPER, strict=True):
            is_gripper = joint.name == arm.JOINT_NAMES[arm.GRIPPER]
            span_deg = math.degrees(joint.range_rad[1] - joint.range_rad[0])
            per_unit = TICKS_PER_DEG * (span_deg / 100.0 if is_gripper else 1.0)
            middle = TICKS_PER_TURN / 2
            zero = middle - per_unit * (low + high) / 2
            ends = math.ceil(zero + per_unit * low), math.floor(zero + per_unit * high)
            joints.append(JointCalibration(joint.name, joint.servo_id, 1, zero, per_unit, ends, 0))
        return cls(tuple(joints))

    def to_units(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Convert ticks, shape (..., 6), to LeRobot's units [deg x 5, percent]."""
        from_zero = np.asarray(ticks, np.float64) - self._column("zero_ticks")
        q: NDArray[np.float64] = self._column("sign") * from_zero / self._column("ticks_per_unit")
        return q

    def to_ticks(self, q: ArrayLike) -> NDArray[np.int64]:
        """Convert LeRobot's units, shape (..., 6), to the nearest ticks inside the measured range."""
        ticks = self._column("zero_ticks") + self._column("sign") * np.asarray(q, np.float64) * self._column("ticks_per_unit")
        low, high = np.array([joint.range_ticks for joint in self.joints]).T
        return np.clip(np.rint(ticks), low, high).astype(np.int64)

    @property
    def servo_ids(self) -> tuple[int, ...]:
        """Of the six servos."""
        return tuple(joint.servo_id for joint in self.joints)

    def rezeroed(self, zero_deg: ArrayLike) -> Calibration:
        """Return the calibration of an arm whose zeros turned out to be off: it reads so much less at the same ticks.

        Args:
            zero_deg: Shape (6,) [deg x 5, percent].
        """
        moved = self._column("sign") * self._column("ticks_per_unit") * np.asarray(zero_deg, np.float64)
        return Calibration(
            tuple(
                dataclasses.replace(joint, zero_ticks=joint.zero_ticks + ticks)
                for joint, ticks in zip(self.joints, moved.tolist(), strict=True)
            )
        )

    @property
    def lower(self) -> NDArray[np.float64]:
        """Least target per joint, a margin inside the measured range, shape (6,) [deg x 5, percent]."""
        lower: NDArray[np.float64] = self._ends().min(axis=0)
        return lower

    @property
    def upper(self) -> NDArray[np.float64]:
        """Greatest target per joint, a margin inside the measured range, shape (6,) [deg x 5, percent]."""
        upper: NDArray[np.float64] = self._ends().max(axis=0)
        return upper

    @property
    def hash(self) -> str:
        """SHA-256 of everything in it."""
        return hashlib.sha256(_json(self._content()).encode("utf-8")).hexdigest()

    def save(self, path: Path) -> None:
        """Write it as JSON: all of it, or nothing.

        Raises:
            CalibrationError: It cannot be written there.
        """
        write_atomically(path, _json({"hash": self.hash, **self._content()}), CalibrationError)

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what `save` wrote. A file without a hash, as earlier versions wrote them, is taken with a warning.

        Raises:
            CalibrationError: The file is missing, is not ours, was changed by hand, or its joints cannot be driven.
        """
        remedy = "`soarm calibrate` writes one, and `soarm import-calibration` takes one of LeRobot"
        data = read_json(path, CalibrationError, remedy, what="a calibration of soarm")
        if data.get("version") != _VERSION or not isinstance(data.get("joints"), list):
            raise CalibrationError(
                f"{path} is not a calibration of soarm: it is of version {shown(data.get('version'))}, this soarm reads "
                f"{_VERSION}, with a list of joints. {remedy}"
            )
        entries = data["joints"]
        faults = [f"joint {i}: {fault}" for i, entry in enumerate(entries) for fault in _entry_faults(entry)]
        if faults:
            raise CalibrationError("\n  ".join([f"{path} is not a calibration of soarm:", *faults, _AGAIN]))
        joints = [{**entry, "range_ticks": tuple(entry["range_ticks"])} for entry in entries]
        try:
            calibration = cls(tuple(JointCalibration(**joint) for joint in joints))
        except CalibrationError as error:
            raise CalibrationError(f"{path}: {error}") from None
        noted = data.get("hash")
        if noted is None:
            logger.warning("%s has no hash, so a change by hand cannot be noticed; `soarm calibrate` writes one", path)
        elif noted != calibration.hash:
            raise CalibrationError(
                f"{path} was changed since it was written: its hash is {noted!s:.12}, its numbers give "
                f"{calibration.hash:.12}. Bring back the file as it was (`soarm calibrate` keeps the one before as "
                f"{path.name}.old), or calibrate again. "
                'Where the change is meant, take the line "hash" out of the file and look at it with `soarm check-pose`'
            )
        return calibration

    def _content(self) -> dict[str, Any]:
        return {"version": _VERSION, "joints": [dataclasses.asdict(joint) for joint in self.joints]}

    def _column(self, field: str) -> NDArray[np.float64]:
        return np.array([getattr(joint, field) for joint in self.joints], np.float64)

    def _ends(self) -> NDArray[np.float64]:
        low, high = np.array([joint.range_ticks for joint in self.joints]).T
        return np.stack([self.to_units(low + MARGIN_TICKS), self.to_units(high - MARGIN_TICKS)])


def _entry_faults(entry: Any) -> list[str]:
    """Return what keeps an entry of a file from becoming a `JointCalibration`."""
    fields = {field.name: field for field in dataclasses.fields(JointCalibration)}
    if not isinstance(entry, dict):
        return [f"it is {shown(entry)}, it must be an object with {', '.join(fields)}"]
    unknown = sorted(set(entry) - set(fields))
    missing = [name for name, field in fields.items() if field.default is dataclasses.MISSING and name not in entry]
    found = [f"it has no field {name!r}" for name in missing] + [f"{shown(name)} is no field of a joint" for name in unknown]
    if not isinstance(entry.get("range_ticks", []), list):
        found.append(f"range_ticks is {shown(entry['range_ticks'])}, it must be a list of two whole numbers")
    return found


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2, sort_keys=True) + "\n"
