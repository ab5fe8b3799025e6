"""-100..100 of a calibrated range becomes degrees, as LeRobot itself would have said them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soarm import arm, spec
from soarm.dataset import conversion, storage
from soarm.dataset.reader import Dataset
from soarm.errors import DatasetError

RANGES = [(800, 3200), (830, 3190), (900, 3001), (1000, 3100), (0, 4095), (2000, 3400)]
CALIBRATION = {
    name: {"id": i + 1, "drive_mode": int(i == 2), "homing_offset": 7 * i, "range_min": low, "range_max": high}
    for i, (name, (low, high)) in enumerate(zip(arm.JOINT_NAMES, RANGES, strict=True))
}
CAMERA = "observation.images.front"


def lerobot_normalises(ticks: np.ndarray) -> np.ndarray:
    """LeRobot 0.4.4, `MotorsBus._normalize` with use_degrees=false."""
    rows = np.empty(ticks.shape)
    for i, entry in enumerate(CALIBRATION.values()):
        low, high = entry["range_min"], entry["range_max"]
        if i == arm.GRIPPER:
            rows[:, i] = (ticks[:, i] - low) / (high - low) * 100
        else:
            norm = (ticks[:, i] - low) / (high - low) * 200 - 100
            rows[:, i] = -norm if entry["drive_mode"] else norm
    return rows


def lerobot_gives_degrees(ticks: np.ndarray) -> np.ndarray:
    """LeRobot 0.4.4, `MotorsBus._normalize` with use_degrees=true."""
    rows = lerobot_normalises(ticks)
    for i, entry in enumerate(CALIBRATION.values()):
        if i != arm.GRIPPER:
            rows[:, i] = (ticks[:, i] - (entry["range_min"] + entry["range_max"]) / 2) * 360 / 4095
    return rows


@pytest.fixture
def ticks() -> np.ndarray:
    """Encoder positions that reach both ends of every joint's range, (40, 6)."""
    rng = np.random.default_rng(0)
    low, high = np.array(RANGES).T
    return np.concatenate([[low, high], rng.integers(low, high + 1, (38, 6))])


@pytest.fixture
def normalised(tmp_path, start, ticks) -> Path:
    """Two episodes as LeRobot 0.4.3 records them by default, with a film, a flag and somebody's file."""
    recorder = start(tmp_path / "normalised")
    values = lerobot_normalises(ticks)
    for rows in (values[:15], values[15:]):
        recorder.save_episode({spec.STATE: rows, spec.ENVIRONMENT_STATE: rows[:, [0] * 7]}, rows[::-1])
    recorder.finalize()
    path = tmp_path / "normalised"
    (path / "meta/soarm.json").unlink()
    info = json.loads((path / "meta/info.json").read_text())
    info["features"] |= {
        CAMERA: {"dtype": "video", "shape": [4, 4, 3], "names": ["height", "width", "channels"]},
        "next.done": {"dtype": "bool", "shape": [1], "names": None},
    }
    (path / "meta/info.json").write_text(json.dumps(info))
    data = path / "data/chunk-000/file-000.parquet"
    table = pq.read_table(data)
    pq.write_table(table.append_column("next.done", pa.array([i % 2 == 0 for i in range(40)])), data, row_group_size=15)
    (path / f"videos/{CAMERA}").mkdir(parents=True)
    (path / f"videos/{CAMERA}/file-000.mp4").write_bytes(b"film")
    (path / "README.md").write_text("mine")
    return path


@pytest.fixture
def calibration(tmp_path) -> Path:
    (tmp_path / "follower.json").write_text(json.dumps(CALIBRATION))
    return tmp_path / "follower.json"


def test_converted_values_are_those_lerobot_would_have_recorded_in_degrees(tmp_path, normalised, calibration, ticks, content):
    before = content(normalised)
    made = conversion.convert(normalised, tmp_path / "new", calibration)
    wanted = lerobot_gives_degrees(ticks)

    assert [made.features[key] for key in (spec.STATE, spec.ACTION)] == [spec.JOINT_FEATURE] * 2
    np.testing.assert_allclose(made.columns[spec.STATE], wanted, atol=2e-5)
    np.testing.assert_allclose(made.episode(1).values[spec.ACTION], wanted[15:][::-1], atol=2e-5)
    np.testing.assert_array_equal(
        made.columns[spec.ENVIRONMENT_STATE], Dataset.open(normalised).columns[spec.ENVIRONMENT_STATE]
    )
    assert content(normalised) == before
    assert not [entry for entry in tmp_path.iterdir() if entry.name.startswith(".")]


def test_statistics_describe_the_converted_rows_and_everything_else_is_copied(tmp_path, normalised, calibration, content):
    made = conversion.convert(normalised, tmp_path / "new", calibration)
    old, new = content(normalised), content(tmp_path / "new")
    episodes = pq.read_table(tmp_path / "new/meta/episodes/chunk-000/file-000.parquet")
    stats = json.loads(new["meta/stats.json"])
    rewritten = {name for name in old if old[name] != new[name]}

    assert stats["action"] == {name: value.tolist() for name, value in made.stats["action"].items()}
    for i in range(2):
        rows = made.episode(i).values[spec.STATE]
        assert episodes["stats/observation.state/max"][i].as_py() == rows.max(axis=0).tolist()
        assert episodes["stats/observation.state/count"][i].as_py() == [len(rows)]
    assert rewritten == {
        "meta/stats.json",
        "meta/episodes/chunk-000/file-000.parquet",
        "data/chunk-000/file-000.parquet",
    }
    assert set(new) == {*old, "meta/soarm.json"}
    left, right = (pq.ParquetFile(path / "data/chunk-000/file-000.parquet") for path in (normalised, tmp_path / "new"))
    assert right.schema_arrow == left.schema_arrow
    assert right.num_row_groups == left.num_row_groups == 3
    assert right.read(["next.done"]) == left.read(["next.done"])


def test_degrees_can_be_declared_without_changing_a_row(tmp_path, normalised, content, caplog):
    made = conversion.convert(normalised, tmp_path / "new")
    old, new = content(normalised), content(tmp_path / "new")

    assert made.features[spec.ACTION] == spec.JOINT_FEATURE
    assert {name: new[name] for name in old} == old
    assert set(new) == {*old, "meta/soarm.json"}
    assert "they look like -100..100" in caplog.text
    with pytest.raises(DatasetError, match=r"new says its units: .*There is nothing to convert"):
        conversion.convert(tmp_path / "new", tmp_path / "newer")


def _ours(change=lambda joint: joint) -> str:
    """The calibration as `soarm import-calibration` writes it."""
    joints = []
    for name, entry in CALIBRATION.items():
        low, high = entry["range_min"], entry["range_max"]
        zero = (low + high) / 2 if name != "gripper" else low
        joints.append(
            change(
                {"name": name, "sign": 1, "zero_ticks": zero, "range_ticks": [low, high], "drive_mode": entry["drive_mode"]}
            )
        )
    return json.dumps({"version": 1, "joints": joints})


@pytest.mark.parametrize("text", [json.dumps({"joints": CALIBRATION}), _ours()], ids=["wrapped", "imported"])
def test_a_calibration_may_be_wrapped_or_ours(tmp_path, calibration, text):
    (tmp_path / "other.json").write_text(text)

    assert conversion.read_ranges(tmp_path / "other.json").tolist() == conversion.read_ranges(calibration).tolist()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"other.json is truncated or no JSON"),
        ('{"shoulder_pan": 3}', r"(?s)shoulder_pan: TypeError.* in 3.*gripper: TypeError.* in None.*range_min < range_max"),
        (
            json.dumps({**CALIBRATION, "gripper": {**CALIBRATION["gripper"], "range_max": 2000}}),
            r"gripper: .*range 2000..2000",
        ),
        (json.dumps({**CALIBRATION, "gripper": {**CALIBRATION["gripper"], "range_max": 2e3}}), r"gripper: .*not whole"),
        (_ours(lambda joint: {**joint, "zero_ticks": 2050.5}), r"shoulder_pan: .*zero at 2050.5, not at the middle 2000.0"),
        (_ours(lambda joint: {**joint, "sign": -1}), r"elbow_flex: .*zero at"),
    ],
    ids=["no json", "no calibration", "empty range", "half ticks", "another zero", "another sign"],
)
def test_a_calibration_that_does_not_fit_is_refused(tmp_path, normalised, text, message):
    (tmp_path / "other.json").write_text(text)

    with pytest.raises(DatasetError, match=message):
        conversion.convert(normalised, tmp_path / "new", tmp_path / "other.json")
    assert not (tmp_path / "new").exists()


def test_degrees_are_not_converted_a_second_time(tmp_path, start, tape, calibration):
    observations, actions = tape(0)
    observations[spec.STATE][1, 4] = -150.0
    with start(tmp_path / "d") as recorder:
        recorder.save_episode(observations, actions)
    path = tmp_path / "d"
    (path / "meta/soarm.json").unlink()

    with pytest.raises(
        DatasetError, match=r"observation.state reaches {'wrist_roll.pos': 150.0}; .*these are degrees: say --units"
    ):
        conversion.convert(path, tmp_path / "new", calibration)


def test_joints_in_another_order_are_not_converted(tmp_path, normalised, calibration):
    info = json.loads((normalised / "meta/info.json").read_text())
    info["features"]["action"]["names"].reverse()
    (normalised / "meta/info.json").write_text(json.dumps(info))

    with pytest.raises(DatasetError, match=r"action has the elements \('gripper.pos', .*in this order"):
        conversion.convert(normalised, tmp_path / "new", calibration)


def test_nothing_is_overwritten_and_a_kill_leaves_nothing_behind(
    tmp_path, monkeypatch, normalised, calibration, content, start
):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes.txt").touch()
    before = content(tmp_path)
    for taken in (tmp_path / "taken", normalised, calibration):
        with pytest.raises(DatasetError, match=r"is not empty; convert writes a new dataset"):
            conversion.convert(normalised, taken, calibration)
    start(tmp_path / "unfinished").save_episode(
        {spec.STATE: np.zeros((2, 6)), spec.ENVIRONMENT_STATE: np.zeros((2, 7))}, np.zeros((2, 6))
    )
    with pytest.raises(DatasetError, match="Finish it first"):
        conversion.convert(tmp_path / "unfinished", tmp_path / "new")

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(storage, "publish", killed)
    with pytest.raises(KeyboardInterrupt):
        conversion.convert(normalised, tmp_path / "new", calibration)
    assert {name: text for name, text in content(tmp_path).items() if not name.startswith("unfinished")} == before


def test_links_into_a_cache_become_files_that_can_be_written(tmp_path, normalised, calibration):
    blob, link = tmp_path / "cache/blob", normalised / "data/chunk-000/file-000.parquet"
    blob.parent.mkdir()
    link.rename(blob)
    link.symlink_to(Path("../../../cache/blob"))
    blob.chmod(0o444)
    film = normalised / f"videos/{CAMERA}/file-000.mp4"
    film.chmod(0o444)
    before = blob.read_bytes()
    conversion.convert(normalised, tmp_path / "elsewhere/new", calibration)
    made = tmp_path / "elsewhere/new"

    assert blob.read_bytes() == before
    assert not (made / "data/chunk-000/file-000.parquet").is_symlink()
    assert (made / f"videos/{CAMERA}/file-000.mp4").stat().st_mode & 0o200
    assert link.is_symlink()
