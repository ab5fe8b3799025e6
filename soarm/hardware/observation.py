"""What the servos said, in LeRobot's units, with the age of every number."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.hardware.bus import Reading
from soarm.hardware.calibration import Calibration
from soarm.hardware.registers import Telemetry

Joints = NDArray[np.float64]


class Observed(NamedTuple):
    """What the arm says of itself, per joint.

    Attributes:
        t_s: When it was asked [s].
        q: Positions, shape (6,) [deg x 5, percent]; of a silent joint the last that was heard.
        velocity: Shape (6,) [deg/s, percent/s].
        age_s: How old each number is, shape (6,) [s].
        ticks: Positions as the servos said them, shape (6,).
        telemetry: All of it.
        misses: Cycles in a row without an answer, shape (6,); 0 is fresh.
    """

    t_s: float
    q: Joints
    velocity: Joints
    age_s: Joints
    ticks: NDArray[np.int64]
    telemetry: tuple[Telemetry, ...]
    misses: NDArray[np.int64]


def observed(readings: Mapping[int, Reading], calibration: Calibration, now_s: float) -> Observed:
    """Return what readings of all six servos say at a time [s]."""
    of_all = [readings[joint.servo_id] for joint in calibration.joints]
    per_unit = np.array([joint.sign * joint.ticks_per_unit for joint in calibration.joints])
    telemetry = tuple(reading.telemetry for reading in of_all)
    ticks = np.array([one.position_ticks for one in telemetry], np.int64)
    return Observed(
        now_s,
        calibration.to_units(ticks),
        np.array([one.velocity_ticks_s for one in telemetry]) / per_unit,
        np.array([now_s - reading.t_s for reading in of_all]),
        ticks,
        telemetry,
        np.array([reading.misses for reading in of_all], np.int64),
    )


def goals_here(seen: Observed, calibration: Calibration) -> dict[int, int]:
    """Return servo -> where it is, inside its range [ticks], of those that were just heard."""
    goals = {}
    for joint, ticks, misses in zip(calibration.joints, seen.ticks.tolist(), seen.misses, strict=True):
        if misses == 0:
            low, high = joint.range_ticks
            goals[joint.servo_id] = min(max(ticks, low), high)
    return goals
