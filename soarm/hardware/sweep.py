"""Measuring ranges by hand: pure arithmetic on what the encoders say while somebody moves the joints from stop to stop.

The encoder counts 0..4095 and starts anew; where that seam lies is an accident of assembly. So a sweep is unwrapped, and the
offset is chosen afterwards, such that the middle of the range is the middle of the encoder and the seam is as far away as can
be (lerobot issues 1255, 1296, 3193, 3373 and others are ranges that crossed it).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.errors import CalibrationError
from soarm.hardware.calibration import MAX_OFFSET, TICKS_PER_DEG, Calibration, JointCalibration
from soarm.hardware.registers import TICKS_PER_TURN

MIDDLE = TICKS_PER_TURN // 2
JUMP_TICKS = TICKS_PER_TURN // 4
"""More than this between two readings, and nobody knows which way round the joint went."""
EXPECTED = (0.75, 1.25)
"""A measured range may be this share of the model's: stops are printed, and hands are shy. A published calibration of a good
arm spans 130 degrees at the gripper, 1.18 of the model's."""
_MOST = TICKS_PER_TURN - 2
"""A joint without stops, swept by a whole turn, has a seam in its range wherever the offset puts it."""
TURN_TICKS = 60
"""How far a joint has to be turned for its direction to be known: 5 degrees."""


SPAN_TICKS: NDArray[np.int64] = np.rint([np.ptp(j.range_rad) * TICKS_PER_TURN / (2 * np.pi) for j in arm.JOINTS]).astype(
    np.int64
)
"""How far the model's joints go from stop to stop, shape (6,) [ticks]."""
REST: NDArray[np.float64] = arm.from_radians((0.0, -3.32, 3.11, 1.18, 0.0, -0.174))
"""The arm folded, as it lies when nobody holds it, shape (6,) [deg x 5, percent]: keyframe `rest` of MuJoCo Menagerie's
trs_so_arm100."""
REST_TOLERANCE = 12.0
"""A joint farther than this from `REST` is off [deg, percent]: less than one tooth of the horn (14.4 degrees), and more than a
hand misses the pose by, or a printed arm's range the model's (a published calibration: 5 degrees of the lift at its stop)."""


class Sweep:
    """Readings of all joints while they are moved, from the rest pose on.

    Attributes:
        n: Readings so far; the first one is the rest pose.
        jumped: Joints that were moved faster than they can be followed.
    """

    def __init__(self) -> None:
        self.n = 0
        self.jumped: set[int] = set()
        self._first = self._last = self._low = self._high = np.zeros(arm.N_JOINTS, np.int64)
        self._begins = np.ones(arm.N_JOINTS, np.bool_)

    def feed(self, ticks: Sequence[int]) -> None:
        """Take a reading of all joints without offset, each 0..4095 [ticks]."""
        raw = np.asarray(ticks, np.int64)
        if self.n == 0:
            self._first = raw
        step = np.where(self._begins, 0, (raw - self._last + MIDDLE) % TICKS_PER_TURN - MIDDLE)
        self.jumped |= set(np.flatnonzero(np.abs(step) > JUMP_TICKS).tolist())
        self._last = np.where(self._begins, raw, self._last + step)
        self._low = np.where(self._begins, raw, np.minimum(self._low, self._last))
        self._high = np.where(self._begins, raw, np.maximum(self._high, self._last))
        self._begins = np.zeros(arm.N_JOINTS, np.bool_)
        self.n += 1

    def check(self) -> None:
        """Raise CalibrationError where a joint was not swept, or farther than it can go, or too fast; names every fault."""
        faults = self.faults()
        if faults:
            raise CalibrationError(
                "\n  ".join(["this sweep is no calibration:", *faults.values(), "Sweep again, slowly, from stop to stop"])
            )

    def begin_again(self, joints: Iterable[int]) -> None:
        """Forget the ranges of joints, which are swept again from the next reading on; the others widen theirs."""
        self._begins = np.isin(np.arange(arm.N_JOINTS), list(joints))
        self._low = np.where(self._begins, self._last, self._low)
        self._high = np.where(self._begins, self._last, self._high)
        self.jumped.clear()

    @property
    def spans(self) -> NDArray[np.int64]:
        """How far each joint has been moved, shape (6,) [ticks]."""
        return self._high - self._low

    def faults(self) -> dict[int, str]:
        """Return joint -> why it has no range yet: not swept, swept too far or too fast; empty for a good sweep."""
        found = {}
        for i, joint in enumerate(arm.JOINTS):
            span, (least, most) = int(self.spans[i]), bounds(i)
            if i in self.jumped:
                found[i] = f"{joint.name}: it was moved faster than it can be followed, or its servo was silent"
            elif span < least:
                found[i] = f"{joint.name}: it was moved by {span} ticks; from stop to stop it is {least} to {most}"
            elif span > most:
                found[i] = (
                    f"{joint.name}: it was moved by {span} ticks, beyond its stops ({least} to {most}): is "
                    "a stop missing, or the horn loose?"
                )
        return found

    def calibration(self, signs: Sequence[int], firmware: Sequence[str | None]) -> Calibration:
        """Return the calibration that follows: LeRobot's zero is the middle of the range, and the gripper's its closed end.

        Args:
            signs: +1 where more ticks are more of LeRobot's unit, else -1, per joint.
            firmware: Of the servos, per joint.

        Raises:
            CalibrationError: As `check`.
        """
        self.check()
        joints = []
        for i, joint in enumerate(arm.JOINTS):
            middle = round(float(self._low[i] + self._high[i]) / 2)
            offset = max(-MAX_OFFSET, middle % TICKS_PER_TURN - MIDDLE)
            at = (middle - offset) % TICKS_PER_TURN  # the encoder's middle; a tick beside it where the register ends
            half = int(self._high[i] - self._low[i]) // 2
            low, high = at - half, at + half
            is_gripper = i == arm.GRIPPER
            opens_down = is_gripper and signs[i] < 0  # LeRobot's drive_mode says so, of the gripper alone
            zero = float((low if signs[i] > 0 else high) if is_gripper else at)
            per_unit = (high - low) / 100.0 if is_gripper else TICKS_PER_DEG
            joints.append(
                JointCalibration(
                    joint.name, joint.servo_id, signs[i], zero, per_unit, (low, high), offset, int(opens_down), firmware[i]
                )
            )
        return Calibration(tuple(joints))

    def rest_errors(self, calibration: Calibration) -> NDArray[np.float64]:
        """Return how far the first reading is from the rest pose by this sweep's calibration, shape (6,) [deg x 5, percent].

        The middle of a range says nothing about a stop that was not reached, a horn that sits a tooth off, or a direction that
        was shown the wrong way round; a pose that everybody can put the arm into does.
        """
        middles = np.array([np.mean(joint.range_ticks) for joint in calibration.joints])
        # Turns are not counted over a jump; no joint goes so far that a whole one would be meant.
        from_middle = (self._first - (self._low + self._high) / 2 + MIDDLE) % TICKS_PER_TURN - MIDDLE
        return pose_errors(calibration, middles + from_middle, REST)


def bounds(joint: int) -> tuple[int, int]:
    """Return the least and the greatest range that a joint may have from stop to stop [ticks]."""
    least, most = (min(round(share * float(SPAN_TICKS[joint])), _MOST) for share in EXPECTED)
    return least, most


def sign_of(before: int, after: int) -> int:
    """Return which way a joint was turned: +1 for more ticks, -1 for less.

    Args:
        before: Reading without offset, 0..4095 [ticks].
        after: The same, later; less than half a turn away.

    Raises:
        CalibrationError: It was not turned far enough to tell.
    """
    step = (after - before + MIDDLE) % TICKS_PER_TURN - MIDDLE
    if abs(step) < TURN_TICKS:
        raise CalibrationError(f"the joint was turned by {step} ticks; turn it by {TURN_TICKS} or more (5 degrees)")
    return 1 if step > 0 else -1


def pose_errors(calibration: Calibration, ticks: ArrayLike, pose: ArrayLike) -> NDArray[np.float64]:
    """Return how far the arm is from the pose it was put into by hand, shape (6,) [deg, the gripper in percent].

    Args:
        calibration: Of the arm.
        ticks: What its servos say, with their offset, shape (6,).
        pose: What the pose is, shape (6,) [deg x 5, percent].
    """
    errors: NDArray[np.float64] = calibration.to_units(ticks) - np.asarray(pose, np.float64)
    return errors
