"""Telemetry in LeRobot's units, with the age of every number."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.hardware.bus import Reading
from soarm.hardware.calibration import TICKS_PER_DEG, Calibration
from soarm.hardware.registers import Telemetry
from soarm.motor import stiffness

Joints = NDArray[np.float64]
WEIGHT_NM = 1.5
"""What the arm's weight asks of a joint at most, and half as much again [N m]: 0.96 at the shoulder, the arm stretched, in the
model. A servo without an I gain gives way by this over its stiffness: with P 32 at 7.4 V by 4.8 degrees."""
MOST_SAG_DEG = 10.0
"""However soft a servo is, a gap beyond this is no sag [deg]."""


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


def sag_ticks(p: int, volts: float) -> float:
    """Return how far the arm's weight can pull a joint from its goal [ticks]; p is register 21."""
    soft = stiffness(p, volts) * math.radians(MOST_SAG_DEG) <= WEIGHT_NM
    return TICKS_PER_DEG * (MOST_SAG_DEG if soft else math.degrees(WEIGHT_NM / stiffness(p, volts)))


def goals_to_stay(seen: Observed, calibration: Calibration, p: Sequence[int], last: Mapping[int, int]) -> dict[int, int]:
    """Return servo -> the goal with which it stays where it is [ticks], of those that were just heard.

    That is its last goal where the arm's weight explains the gap: a servo without an I gain holds below its goal, and one that
    got the present position each time would sink each time. Beyond that, or with no last goal known, the present position.

    Args:
        seen: Where they are.
        calibration: Of the arm.
        p: Register 21 per joint.
        last: Servo -> the last goal it was told [ticks].
    """
    goals = goals_here(seen, calibration)
    for joint, p_of_joint, telemetry in zip(calibration.joints, p, seen.telemetry, strict=True):
        here, wanted = goals.get(joint.servo_id), last.get(joint.servo_id)
        if here is not None and wanted is not None and abs(wanted - here) <= sag_ticks(p_of_joint, telemetry.voltage_v):
            goals[joint.servo_id] = wanted
    return goals
