"""The table of the arm, and the conversions that follow from it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import arm

angles_rad = st.lists(st.floats(-4.0, 4.0), min_size=6, max_size=6).map(np.array)


@given(angles_rad)
def test_units_round_trip(q_rad: np.ndarray) -> None:
    back = arm.to_radians(arm.from_radians(q_rad))

    np.testing.assert_allclose(back, q_rad, atol=1e-12)


def test_conversion_is_the_same_for_one_pose_and_for_many() -> None:
    q_rad = np.random.default_rng(0).uniform(-1.0, 1.0, (3, 4, 6))

    many = arm.from_radians(q_rad)

    assert many.shape == (3, 4, 6)
    np.testing.assert_array_equal(many[2, 1], arm.from_radians(q_rad[2, 1]))


def test_only_shoulder_pan_turns_the_other_way() -> None:
    change = arm.from_radians(np.full(6, 0.1)) - arm.from_radians(np.zeros(6))

    assert dict(zip(arm.JOINT_NAMES, np.sign(change), strict=True)) == {
        "shoulder_pan": -1,
        "shoulder_lift": 1,
        "elbow_flex": 1,
        "wrist_flex": 1,
        "wrist_roll": 1,
        "gripper": 1,
    }


@pytest.mark.parametrize(
    ("joint", "q_rad"),
    [("shoulder_pan", 0.0), ("shoulder_lift", -1.573), ("elbow_flex", 1.483), ("wrist_flex", 0.0), ("wrist_roll", 0.0)],
)
def test_zero_is_the_middle_of_the_range(joint: str, q_rad: float) -> None:
    fact = arm.JOINTS[arm.JOINT_NAMES.index(joint)]

    assert fact.zero_rad == q_rad
    assert math.isclose(sum(fact.range_rad) / 2, q_rad, abs_tol=1e-9)


def test_gripper_goes_from_0_closed_to_100_open() -> None:
    closed, opened = (arm.from_radians(np.full(6, angle))[arm.GRIPPER] for angle in arm.JOINTS[arm.GRIPPER].range_rad)

    assert closed == pytest.approx(0.0, abs=1e-9)
    assert opened == pytest.approx(100.0)


def test_limits_are_ordered_and_cannot_be_written_to() -> None:
    assert (arm.LOWER < arm.UPPER).all()
    assert arm.LOWER[arm.GRIPPER] == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="read-only"):
        arm.LOWER[0] = 0.0


def test_servos_are_numbered_as_the_joints_are_ordered() -> None:
    assert [joint.servo_id for joint in arm.JOINTS] == [1, 2, 3, 4, 5, 6]
    assert arm.FEATURE_NAMES[0] == "shoulder_pan.pos"
