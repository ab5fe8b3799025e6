from __future__ import annotations

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soarm import arm
from soarm.errors import CalibrationError
from soarm.hardware.calibration import MARGIN_TICKS, TICKS_PER_DEG, Calibration
from soarm.hardware.lerobot_file import from_lerobot, read_lerobot, write_lerobot
from soarm.hardware.sweep import SPAN_TICKS

LEROBOT = {
    "shoulder_pan": {"id": 1, "drive_mode": 0, "homing_offset": 135, "range_min": 732, "range_max": 3454},
    "shoulder_lift": {"id": 2, "drive_mode": 0, "homing_offset": -1024, "range_min": 840, "range_max": 3217},
    "elbow_flex": {"id": 3, "drive_mode": 0, "homing_offset": 1100, "range_min": 870, "range_max": 3080},
    "wrist_flex": {"id": 4, "drive_mode": 0, "homing_offset": -30, "range_min": 880, "range_max": 3210},
    "wrist_roll": {"id": 5, "drive_mode": 0, "homing_offset": 12, "range_min": 0, "range_max": 4095},
    "gripper": {"id": 6, "drive_mode": 0, "homing_offset": 800, "range_min": 2030, "range_max": 3500},
}
NOMINAL = Calibration.nominal()
ENTRY = st.tuples(st.integers(-2047, 2047), st.floats(0.0, 1.0), st.floats(0.5, 1.25), st.integers(0, 1))


def changed(joint: int, **changes: Any) -> tuple[Any, ...]:
    joints = list(NOMINAL.joints)
    joints[joint] = dataclasses.replace(joints[joint], **changes)
    return tuple(joints)


def test_an_ideal_arm_has_its_middle_at_the_encoders_middle() -> None:
    middle = (arm.LOWER + arm.UPPER) / 2

    np.testing.assert_array_equal(NOMINAL.to_ticks(middle), np.full(6, 2048))
    np.testing.assert_allclose(NOMINAL.to_units(np.full(6, 2048)), middle, atol=1e-9)
    assert NOMINAL.to_ticks(middle + np.array([90.0, 0, 0, 0, 0, 0]))[0] == 2048 + 1024


@given(st.lists(st.floats(0.0, 1.0), min_size=6, max_size=6))
@settings(deadline=None, max_examples=50)
def test_units_survive_the_way_through_ticks_to_half_a_tick(shares: list[float]) -> None:
    q = NOMINAL.lower + np.array(shares) * (NOMINAL.upper - NOMINAL.lower)
    error = np.abs(NOMINAL.to_units(NOMINAL.to_ticks(q)) - q)

    assert (error <= 0.5 / np.array([joint.ticks_per_unit for joint in NOMINAL.joints]) + 1e-9).all()


def test_targets_never_leave_the_measured_range() -> None:
    ends = np.array([joint.range_ticks for joint in NOMINAL.joints])

    np.testing.assert_array_equal(NOMINAL.to_ticks(np.full(6, 1e6)), ends[:, 1])
    np.testing.assert_array_equal(NOMINAL.to_ticks(np.full(6, -1e6)), ends[:, 0])
    np.testing.assert_allclose(NOMINAL.to_ticks(NOMINAL.lower), ends[:, 0] + MARGIN_TICKS)


def test_a_joint_that_turns_the_other_way_is_turned_back() -> None:
    calibration = Calibration(changed(0, sign=-1))

    assert calibration.to_ticks(np.array([90.0, *[0.0] * 5]))[0] == 2048 - 1024
    assert calibration.to_units(np.full(6, 1024))[0] == pytest.approx(90.0)
    assert (calibration.lower < calibration.upper).all()


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"range_ticks": (3000, 4200)}, r"elbow_flex \(servo 3\): its range 3000..4200 .* crossed the encoder's seam"),
        ({"range_ticks": (3500, 600)}, "crossed the encoder's seam"),
        ({"range_ticks": (2000, 2040)}, "40 ticks wide; it was not swept"),
        ({"homing_offset": 2048}, "homing_offset is 2048; the servo holds -2047..2047"),
        ({"sign": 0}, "sign is 0"),
        ({"ticks_per_unit": 0.0}, "0.0 ticks per unit"),
        ({"servo_id": 1}, r"servo ids are \[1, 2, 1, 4, 5, 6\]"),
    ],
)
def test_joints_that_must_not_move_are_named_with_the_remedy(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(CalibrationError, match=rf"(?s)must not move.*{fault}.*soarm calibrate"):
        Calibration(changed(2, **changes))


def test_the_file_round_trips_and_the_hash_follows_every_number(tmp_path: Path) -> None:
    path = tmp_path / "arm.json"
    NOMINAL.save(path)
    other = Calibration(changed(1, homing_offset=3))

    assert Calibration.load(path) == NOMINAL
    assert Calibration.load(path).hash == NOMINAL.hash != other.hash


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (None, "cannot be read .*soarm import-calibration"),
        ("[]", "is not a calibration of soarm"),
        ('{"version": 9, "joints": []}', "of version 9, this soarm reads 1"),
        (json.dumps(LEROBOT), "soarm import-calibration"),
        ('{"version": 1, "joints": []}', "has the joints"),
    ],
)
def test_files_that_are_none_are_refused(tmp_path: Path, text: str | None, fault: str) -> None:
    path = tmp_path / "arm.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(CalibrationError, match=fault):
        Calibration.load(path)


def test_lerobot_s_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    path, copy = tmp_path / "so.json", tmp_path / "copy.json"
    path.write_text(json.dumps(LEROBOT, indent=4) + "\n")
    write_lerobot(read_lerobot(path), copy)

    assert copy.read_bytes() == path.read_bytes()


@given(st.lists(ENTRY, min_size=6, max_size=6))
@settings(deadline=None, max_examples=50)
def test_any_good_file_of_lerobot_comes_back(tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[int, ...]]) -> None:
    path = tmp_path_factory.mktemp("lerobot") / "so.json"
    data = {}
    for i, (name, (offset, place, share, mode)) in enumerate(zip(arm.JOINT_NAMES, entries, strict=True)):
        span = min(int(share * SPAN_TICKS[i]) + (share < 1), 4095)
        low = int(place * (4095 - span))
        data[name] = {"id": i + 1, "drive_mode": mode, "homing_offset": offset, "range_min": low, "range_max": low + span}
    write_lerobot(from_lerobot(data, "test"), path)

    assert json.loads(path.read_text()) == data


def test_lerobot_s_degrees_are_ours_to_a_third_of_a_tick() -> None:
    calibration = from_lerobot(LEROBOT, "test")
    ticks = np.array([joint.range_ticks[1] for joint in calibration.joints])
    theirs = np.array([(e["range_max"] - (e["range_min"] + e["range_max"]) / 2) * 360 / 4095 for e in LEROBOT.values()])
    theirs[arm.GRIPPER] = 100.0

    assert np.abs(calibration.to_units(ticks) - theirs)[:4].max() * TICKS_PER_DEG < 0.35
    np.testing.assert_allclose(calibration.to_units(ticks), theirs, atol=0.05)


def test_a_mirrored_gripper_opens_with_falling_ticks() -> None:
    mirrored = {**LEROBOT, "gripper": {**LEROBOT["gripper"], "drive_mode": 1}}
    ends = from_lerobot(mirrored, "test").to_units(np.array([[2048] * 5 + [2030], [2048] * 5 + [3500]]))[:, arm.GRIPPER]

    np.testing.assert_allclose(ends, [100.0, 0.0])


def test_what_lerobot_cannot_say_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"(?s)zero into the middle of the range.*shoulder_pan"):
        write_lerobot(Calibration(changed(0, zero_ticks=1900.0)), tmp_path / "so.json")
    assert not (tmp_path / "so.json").exists()


def imported(**joints: dict[str, int]) -> Calibration:
    """Read LEROBOT with some fields of some joints changed."""
    return from_lerobot({name: {**entry, **joints.get(name, {})} for name, entry in LEROBOT.items()}, "test")


WHOLE = {"range_min": 0, "range_max": 4095}


def test_joints_that_span_the_whole_turn_were_not_swept_and_are_all_named() -> None:
    with pytest.raises(CalibrationError, match=r"(?s)was not swept.*soarm calibrate.*lerobot-calibrate") as caught:
        imported(shoulder_lift=WHOLE, elbow_flex=WHOLE, wrist_flex={"range_min": 0, "range_max": 4094})

    text = str(caught.value)
    for name, stops in (("shoulder_lift: its range 0..4095 spans 4095", 2278), ("elbow_flex", 2160), ("wrist_flex", 2164)):
        assert name in text
        assert f"its stops are about {stops} apart: it was not swept" in text
    assert "wrist_roll" not in text, "LeRobot writes it so"
    assert "shoulder_pan" not in text
    assert "gripper" not in text


@pytest.mark.parametrize(
    ("joint", "changes", "fault"),
    [
        (
            "shoulder_pan",
            {"range_min": 30, "range_max": 4060},
            "shoulder_pan: its range 30..4060 .* crossed the encoder's seam",
        ),
        ("gripper", WHOLE, "gripper: its range 0..4095 .* was not swept"),
        (
            "elbow_flex",
            {"range_min": 2000, "range_max": 2003},
            "spans 3 of 4096 ticks, and its stops are about 2160 apart: it was",
        ),
        (
            "elbow_flex",
            {"range_min": 1500, "range_max": 2000},
            "spans 500 of 4096 ticks, and its stops are about 2160 apart: it was not swept",
        ),
        ("wrist_roll", {"range_min": 2000, "range_max": 2100}, "wrist_roll: its range 2000..2100 .* was not swept"),
        ("elbow_flex", {"range_min": 3080, "range_max": 870}, "its range 3080..870 is not inside 0..4095"),
        ("gripper", {"range_min": 2030, "range_max": 2030}, "its range 2030..2030 is not inside 0..4095"),
        ("elbow_flex", {"range_max": 5000, "range_min": 2800}, "its range 2800..5000 is not inside 0..4095"),
        ("wrist_flex", {"id": 3}, "wrist_flex: its servo has the id 3; on an SO-ARM it is 4"),
        ("wrist_flex", {"id": 300}, "servo_id is 300"),
        ("wrist_flex", {"id": "4"}, "wrist_flex is .*whole numbers"),
        ("wrist_flex", {"range_min": float("nan")}, "wrist_flex is .*whole numbers"),
        ("wrist_flex", {"id": True}, "wrist_flex is .*whole numbers"),
        ("wrist_flex", {"homing_offset": -2048}, "homing_offset is -2048; the servo holds -2047..2047"),
        ("gripper", {"drive_mode": 7}, "gripper: drive_mode is 7, it must be 0 or 1"),
    ],
)
def test_what_no_sweep_of_an_so_arm_gives_is_refused(joint: str, changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(CalibrationError, match=rf"(?s){fault}"):
        imported(**{joint: changes})


def test_servos_that_were_swapped_are_both_named() -> None:
    with pytest.raises(CalibrationError, match=r"(?s)shoulder_lift: .* id 3; .* 2.*elbow_flex: .* id 2; .* 3"):
        imported(shoulder_lift={"id": 3}, elbow_flex={"id": 2})


@pytest.mark.parametrize(
    ("joint", "ends", "stops"),
    [("elbow_flex", (1200, 2700), 2160), ("gripper", (1000, 3000), 1254), ("gripper", (2000, 2700), 1254)],
)
def test_an_odd_range_is_imported_with_a_warning(
    caplog: pytest.LogCaptureFixture, joint: str, ends: tuple[int, int], stops: int
) -> None:
    calibration = imported(**{joint: {"range_min": ends[0], "range_max": ends[1]}})

    assert calibration.joints[arm.JOINT_NAMES.index(joint)].range_ticks == ends
    assert f"{joint}: its range {ends[0]}..{ends[1]} spans" in caplog.text
    assert f"its stops are about {stops} apart; its zero may be off" in caplog.text
    assert "soarm check-pose" in caplog.text


@pytest.mark.parametrize("others", [{}, {"id": "my_arm", "robot_type": "so_follower"}])
def test_joints_under_a_key_are_unwrapped_and_it_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, others: dict[str, str]
) -> None:
    caplog.set_level(logging.INFO)
    (tmp_path / "so.json").write_text(json.dumps({**others, "joints": LEROBOT}))

    assert read_lerobot(tmp_path / "so.json") == from_lerobot(LEROBOT, "test")
    assert "lie under the key `joints`; they are read from there" in caplog.text
    assert ("'id', 'robot_type' is left out" in caplog.text) == bool(others)


def test_our_own_file_needs_no_import(tmp_path: Path) -> None:
    NOMINAL.save(tmp_path / "arm.json")

    with pytest.raises(CalibrationError, match=r"is a calibration of soarm already.*export-calibration"):
        read_lerobot(tmp_path / "arm.json")


def test_what_the_twin_wrote_is_exported_and_what_is_rounded_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write_lerobot(NOMINAL, tmp_path / "so.json")
    back = read_lerobot(tmp_path / "so.json")

    ends = np.array([joint.range_ticks for joint in NOMINAL.joints]).T
    ticks = (NOMINAL.to_units(ends) - back.to_units(ends)) * np.array([joint.ticks_per_unit for joint in NOMINAL.joints])
    assert np.abs(ticks).max() <= 1.0
    assert "LeRobot's format loses: gripper: zero 142" in caplog.text


def test_the_firmware_that_lerobot_does_not_keep_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    write_lerobot(Calibration(changed(3, firmware="3.10")), tmp_path / "so.json")

    assert "LeRobot's format loses: wrist_flex: its firmware, 3.10, is not kept" in caplog.text


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"zero_ticks": 2050.5}, "shoulder_pan: zero 2050.50, sign 1, .* are read back as 2048.00, 1, .*: 0.22 deg"),
        ({"sign": -1}, "shoulder_pan: .* sign -1, .* are read back as .* 1, "),
        ({"ticks_per_unit": 11.5}, "shoulder_pan: .* 11.5000 ticks per unit"),
    ],
)
def test_what_would_move_a_joint_is_not_exported(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(CalibrationError, match=rf"(?s){fault}.*would stand elsewhere.*soarm calibrate"):
        write_lerobot(Calibration(changed(0, **changes)), tmp_path / "so.json")
    assert not (tmp_path / "so.json").exists()


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        ({"calib_mode": [], "homing_offset": [1]}, "from before June 2025 .* elbow_flex = old - 90"),
        ({**LEROBOT, "extra": {}}, "extra is no joint of this arm"),
        ({key: value for key, value in LEROBOT.items() if key != "gripper"}, "gripper is missing"),
        ({**LEROBOT, "gripper": {"id": 6}}, "it must have id, drive_mode"),
        ([], "shoulder_pan is missing"),
    ],
)
def test_files_of_something_else_are_refused_with_every_fault(tmp_path: Path, data: Any, fault: str) -> None:
    path = tmp_path / "so.json"
    path.write_text(json.dumps(data))

    with pytest.raises(CalibrationError, match=rf"(?s){fault}"):
        read_lerobot(path)


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"cannot be read .*so_follower since"):
        read_lerobot(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(CalibrationError, match="is not JSON"):
        read_lerobot(tmp_path / "bad.json")


def test_the_hash_stands_in_the_file(tmp_path: Path) -> None:
    NOMINAL.save(tmp_path / "arm.json")

    assert json.loads((tmp_path / "arm.json").read_text())["hash"] == NOMINAL.hash


@pytest.mark.parametrize(("joint", "field", "value"), [(2, "zero_ticks", 2000.0), (0, "sign", -1), (5, "firmware", "3.9")])
def test_a_file_that_was_changed_by_hand_is_refused_with_a_way_to_mend_it(
    tmp_path: Path, joint: int, field: str, value: Any
) -> None:
    path = tmp_path / "arm.json"
    NOMINAL.save(path)
    data = json.loads(path.read_text())
    data["joints"][joint][field] = value
    path.write_text(json.dumps(data))

    with pytest.raises(
        CalibrationError, match=r"(?s)arm\.json was changed since .*arm\.json\.old.*calibrate again.*take the line"
    ):
        Calibration.load(path)
    del data["hash"]
    path.write_text(json.dumps(data))
    assert getattr(Calibration.load(path).joints[joint], field) == value


def test_a_file_without_a_hash_is_taken_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "arm.json"
    NOMINAL.save(path)
    assert Calibration.load(path) == NOMINAL
    assert "no hash" not in caplog.text
    data = json.loads(path.read_text())
    del data["hash"]
    path.write_text(json.dumps(data))

    assert Calibration.load(path) == NOMINAL
    assert "arm.json has no hash" in caplog.text


def test_a_file_that_only_looks_different_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "arm.json"
    NOMINAL.save(path)
    path.write_text(json.dumps(json.loads(path.read_text()), indent=8))

    assert Calibration.load(path) == NOMINAL


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"none/arm\.json cannot be written \(No such file or directory\)"):
        NOMINAL.save(tmp_path / "none" / "arm.json")
