from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import arm, kinematics
from soarm.errors import CalibrationError
from soarm.hardware.guide import POSITIVE
from soarm.hardware.lerobot_file import read_lerobot, write_lerobot
from soarm.hardware.sweep import Sweep, pose_errors, sign_of

SPANS = np.array([round((j.range_rad[1] - j.range_rad[0]) * 4096 / (2 * np.pi)) for j in arm.JOINTS])


def swept(starts, spans=SPANS, n=60):
    sweep = Sweep()
    for share in np.concatenate([np.linspace(0, 1, n), np.linspace(1, 0, n)]):
        sweep.feed(((np.asarray(starts) + share * np.asarray(spans)).round().astype(int) % 4096).tolist())
    return sweep


@given(st.lists(st.integers(0, 4095), min_size=6, max_size=6), st.lists(st.sampled_from([-1, 1]), min_size=6, max_size=6))
def test_wherever_the_seam_lies_the_range_comes_to_lie_around_the_middle(starts, signs):
    calibration = swept(starts).calibration(signs, ["3.10"] * 6)

    for joint, start, span in zip(calibration.joints, starts, SPANS, strict=True):
        low, high = joint.range_ticks
        assert abs((high - low) - span) <= 2
        assert abs((low + high) / 2 - 2048) <= 1
        middle = (start + span / 2 - joint.homing_offset) % 4096
        assert abs(middle - 2048) <= 2, "with the offset, the middle of the sweep is the middle of the encoder"


@given(st.lists(st.sampled_from([-1, 1]), min_size=6, max_size=6))
def test_zero_is_the_middle_and_the_gripper_closes_at_zero(signs):
    calibration = swept([1000] * 6).calibration(signs, [None] * 6)
    q = calibration.to_units([2048] * 6)
    closed = calibration.joints[5].range_ticks[0 if signs[5] > 0 else 1]

    np.testing.assert_allclose(q[:5], 0.0, atol=0.1)
    assert calibration.to_units([2048] * 5 + [closed])[5] == 0.0
    assert np.abs(pose_errors(calibration, [2048] * 6, [0.0] * 5 + [50.0])).max() < 0.2


def test_a_joint_that_was_not_swept_or_went_too_far_or_too_fast_is_named():
    spans = SPANS.copy()
    spans[1], spans[3] = 100, 3000
    sweep = swept([500] * 6, spans)
    sweep.feed([500, 500, 500, 500, 2500, 500])

    with pytest.raises(CalibrationError) as caught:
        sweep.calibration([1] * 6, [None] * 6)
    text = str(caught.value)
    assert "shoulder_lift: it was moved by 100 ticks; from stop to stop" in text
    assert "wrist_flex: it was moved by 3000 ticks, beyond its stops" in text
    assert "wrist_roll: it was moved faster than it can be followed" in text
    assert "shoulder_pan" not in text


def test_what_is_swept_again_begins_anew_and_the_others_go_on():
    spans = SPANS.copy()
    spans[1], spans[3] = 100, 3000
    sweep = swept([500] * 6, spans)
    sweep.feed([500, 500, 500, 500, 2500, 480])
    sweep.begin_again(sweep.faults())
    for share in np.concatenate([np.linspace(0, 1, 40), np.linspace(1, 0, 40)]):
        sweep.feed((share * SPANS + 500).round().astype(int).tolist())

    assert sweep.faults() == {}
    np.testing.assert_allclose(sweep.spans, SPANS + np.array([0, 0, 0, 0, 0, 20]), atol=1)


@pytest.mark.parametrize(("before", "after", "sign"), [(100, 300, 1), (300, 100, -1), (4050, 50, 1), (20, 4000, -1)])
def test_the_direction_is_known_across_the_seam(before, after, sign):
    assert sign_of(before, after) == sign


def test_a_joint_that_was_hardly_turned_has_no_direction():
    with pytest.raises(CalibrationError, match="turned by 12 ticks; turn it by 60 or more"):
        sign_of(4090, 6)


def test_what_the_person_is_told_is_the_positive_direction_of_the_kinematics():
    at = np.array([0.0, 0, 0, 0, 0, 30])

    def moved(i):
        turned = at.copy()
        turned[i] += 10.0
        before, after = (kinematics.forward(q[None]) for q in (at, turned))
        return (after[0] - before[0])[0], before[1][0], after[1][0]

    # Forwards is -y and up is z, so the right hand of somebody behind the arm is -x.
    assert moved(0)[0][0] < 0
    assert POSITIVE["shoulder_pan"].startswith("to the right")
    for i in (1, 2, 3):
        assert moved(i)[0][2] < 0
        assert "down" in POSITIVE[arm.JOINT_NAMES[i]]
    _, before, after = moved(4)
    lowest = int(np.argmin(before[2]))  # an axis of the jaw that points down goes to the right: six o'clock to three
    assert after[0, lowest] < before[0, lowest]
    assert POSITIVE["wrist_roll"].startswith("counter-clockwise")


def test_a_gripper_that_opens_130_degrees_is_a_good_one():
    spans = (np.array([239, 209, 195, 205, 320, 130]) * 4096 / 360).round()

    assert swept([1000] * 6, spans).calibration([1] * 6, [None] * 6).joints[5].range_ticks == (2048 - 739, 2048 + 739)


def test_a_joint_without_stops_that_was_turned_right_round_is_named():
    spans = SPANS.copy()
    spans[4] = 4096

    with pytest.raises(CalibrationError, match=r"wrist_roll: it was moved by 4096 ticks, beyond its stops \(\d+ to 4094\)"):
        swept([1000] * 6, spans).calibration([1] * 6, [None] * 6)


def test_a_gripper_that_opens_with_falling_ticks_is_told_to_lerobot(tmp_path):
    calibration = swept([1000] * 6).calibration([1, 1, 1, 1, 1, -1], [None] * 6)
    write_lerobot(calibration, tmp_path / "lerobot.json")

    assert read_lerobot(tmp_path / "lerobot.json") == calibration


@pytest.mark.parametrize("middle", [4095, 0, 1])
def test_where_the_offset_register_ends_the_middle_moves_by_a_tick(middle):
    spans = SPANS // 2 * 2
    joints = swept(middle - spans // 2, spans).calibration([1] * 6, [None] * 6).joints

    for joint in joints:
        assert (middle - joint.homing_offset) % 4096 == sum(joint.range_ticks) / 2
        assert joint.zero_ticks in (sum(joint.range_ticks) / 2, joint.range_ticks[0])
