# ruff: noqa: E501 - a damage per line reads as a table

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from soarm.dataset import checks
from soarm.dataset.reader import Dataset
from soarm.errors import DatasetError

INFO, STATS, TASKS = "meta/info.json", "meta/stats.json", "meta/tasks.parquet"
DATA, EPISODES = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"
FILES = (INFO, STATS, TASKS, DATA, EPISODES)


def _edit_json(path: Path, change) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _edit_column(path: Path, column: str, change) -> None:
    table = pq.read_table(path)
    old = table[column]
    values = old.to_pylist()
    change(values)
    pq.write_table(table.set_column(table.column_names.index(column), column, pa.array(values, old.type)), path)


def _set(key, value):
    return lambda root: _edit_json(root / INFO, lambda info: info.__setitem__(key, value))


def _feature(key, field, value):
    return lambda root: _edit_json(root / INFO, lambda info: info["features"][key].__setitem__(field, value))


def _column(file, column, row, value):
    return lambda root: _edit_column(root / file, column, lambda values: values.__setitem__(row, value))


def _drop_rows(root):
    pq.write_table(pq.read_table(root / DATA).slice(0, 12), root / DATA)


def _nan_action(root):
    def change(values):
        values[6][5] = float("nan")

    _edit_column(root / DATA, "action", change)


def _stray_file(root):
    (root / "data/chunk-000/file-001.parquet").write_bytes((root / DATA).read_bytes())


DAMAGES = {
    "NaN in actions": (_nan_action, r"data: action has 1 values that are not finite, first at frame 6, gripper.pos: nan"),
    "fps of another rate": (_set("fps", 50), r"timestamp of frame 1 is 0.0333333 s; at 50 fps it must be 0.02 s .*is fps in info.json right"),
    "fps against the specification": (_set("fps", 50), r"fps is 50, but soarm.control_hz is 30"),
    "fps is no whole number": (_set("fps", 29.97), r"meta/info.json: fps is 29.97; it must be a whole number above 0"),
    "names in another order": (_feature("action", "names", ["a", "b", "c", "d", "e", "f"]), r"feature action is \(6,\) \('a', .*, but \(6,\) \('shoulder_pan.pos'"),
    "shape of another length": (_feature("action", "shape", [5]), r"column action: its rows have 6 elements, not 5"),
    "another version": (_set("codebase_version", "v2.1"), r"codebase_version is 'v2.1'; this reader knows 'v3.0'"),
    "no robot type": (lambda root: _edit_json(root / INFO, lambda info: info.pop("robot_type")), r"robot_type is missing"),
    "no action": (lambda root: _edit_json(root / INFO, lambda info: info["features"].pop("action")), r"features lack action"),
    "too many episodes": (_set("total_episodes", 4), r"meta/episodes: it has 3 rows, info.json says total_episodes 4"),
    "too many frames": (_set("total_frames", 16), r"data: there are 15 rows, info.json says total_frames 16"),
    "a task that is there twice": (lambda root: pq.write_table(pa.concat_tables([pq.read_table(root / TASKS)] * 2).set_column(0, "task_index", pa.array([0, 1])), root / TASKS), r"tasks.parquet has more than one row for 'Put the cube"),
    "too many tasks": (_set("total_tasks", 2), r"meta/tasks.parquet has 1 tasks, info.json says total_tasks 2"),
    "splits overlap": (_set("splits", {"train": "0:2", "val": "1:3"}), r"episode 1 is in the splits train and val"),
    "a split leaves the dataset": (_set("splits", {"train": "0:9"}), r"split train is '0:9'; it must be 'first:end' within 0:3"),
    "another data path": (_set("data_path", "data/{x}.parquet"), r"info.json says data_path 'data/\{x\}.parquet'"),
    "rows cut off": (_drop_rows, r"file-000.parquet has 12 rows; its episodes have 15"),
    "a hole in index": (_column(DATA, "index", 7, 99), r"index of frame 7 is 99; it must be 7 \(1 such\)"),
    "a row of another episode": (_column(DATA, "episode_index", 4, 0), r"data: episode_index of frame 4 is 0; it must be 1"),
    "a repeated frame": (_column(DATA, "frame_index", 2, 1), r"frame_index of frame 2 is 1; it must be 2"),
    "a task that does not exist": (_column(DATA, "task_index", 2, 5), r"task_index is in 0..5; meta/tasks.parquet has 1 tasks"),
    "an episode too long": (_column(EPISODES, "length", 1, 6), r"meta/episodes: dataset_to_index of episode 1 is 9; it must be 10"),
    "an episode without frames": (_column(EPISODES, "length", 1, 0), r"episode 1 has length 0; it must be above 0"),
    "episodes out of order": (_column(EPISODES, "episode_index", 1, 2), r"meta/episodes: episode_index of row 1 is 2; it must be 1"),
    "a data file that is not there": (_column(EPISODES, "data/file_index", 2, 1), r"data/chunk-000/file-001.parquet is missing; it should hold 6 rows"),
    "a data file of nobody": (_stray_file, r"data/chunk-000/file-001.parquet belongs to no episode"),
    "an empty cell": (_column(DATA, "timestamp", 3, None), r"file-000.parquet: column timestamp: it has 1 empty rows"),
    "statistics of a feature missing": (lambda root: _edit_json(root / STATS, lambda s: s.pop("action")), r"meta/stats.json: action is missing; edit.recompute_statistics"),
    "a statistic missing": (lambda root: _edit_json(root / STATS, lambda s: s["action"].pop("std")), r"action lacks 'std'"),
    "statistics too short": (lambda root: _edit_json(root / STATS, lambda s: s["action"]["std"].pop()), r"action: \['std'\] are not 6 finite numbers"),
    "statistics of other rows": (lambda root: _edit_json(root / STATS, lambda s: s["action"].update(count=[14])), r"action: count is 14, there are 15 frames"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named(tmp_path, record, content, name):
    damage, message = DAMAGES[name]
    path = record(tmp_path / "d")
    damage(path)
    before = content(path)

    with pytest.raises(DatasetError, match=message):
        checks.check(path)
    assert content(path) == before


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(tmp_path, record, file):
    path = record(tmp_path / "d")
    (path / file).unlink()

    with pytest.raises(DatasetError, match=rf"{file}|{file.split('/')[0]}/ holds no parquet"):
        Dataset.open(path)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.99])
def test_a_truncated_file_is_named(tmp_path, record, file, fraction):
    path = record(tmp_path / "d")
    whole = (path / file).read_bytes()
    (path / file).write_bytes(whole[: int(len(whole) * fraction)])

    with pytest.raises(DatasetError, match=rf"{file}.*truncated"):
        Dataset.open(path)


def test_a_changed_byte_among_the_rows_is_noticed(tmp_path, record, tape):
    path = record(tmp_path / "d")
    whole = (path / DATA).read_bytes()
    at = whole.index(tape(1)[1].tobytes()[:16])
    (path / DATA).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])

    with pytest.raises(DatasetError, match=rf"{DATA}: it is truncated, damaged"):
        Dataset.open(path)


def test_all_faults_are_listed_at_once(tmp_path, record):
    path = record(tmp_path / "d")
    (path / TASKS).unlink()
    _set("total_frames", 99)(path)
    _nan_action(path)
    with pytest.raises(DatasetError) as caught:
        checks.check(path)

    assert "is not a sound dataset (3 faults)" in str(caught.value)
    assert all(part in str(caught.value) for part in (TASKS, "total_frames 99", "action has 1 values", "from a copy"))


@pytest.mark.parametrize("junk", [None, "x", -1, 2.5, [], {}])
def test_whatever_info_says_the_error_is_ours(tmp_path, record, junk):
    path = record(tmp_path / "d")
    info = json.loads((path / INFO).read_text())
    places = [(info, key) for key in info] + [(info["features"], key) for key in info["features"]]
    places += [(info["features"]["action"], field) for field in ("dtype", "shape", "names")]
    accepted = []
    for holder, key in places:
        kept = holder[key]
        holder[key] = junk
        (path / INFO).write_text(json.dumps(info))
        holder[key] = kept
        try:
            Dataset.open(path)
        except DatasetError:
            continue
        accepted.append(key)

    harmless = {"robot_type", "video_path", "chunks_size", "data_files_size_in_mb", "video_files_size_in_mb", "splits"}
    assert set(accepted) <= harmless


@pytest.mark.parametrize("file", [STATS, INFO])
@pytest.mark.parametrize("text", ["[]", "null", '{"action": 3}', "{"])
def test_json_of_another_kind_is_refused(tmp_path, record, file, text):
    path = record(tmp_path / "d")
    (path / file).write_text(text)

    with pytest.raises(DatasetError, match=r"(info|stats)\.json"):
        Dataset.open(path)


def test_what_is_no_dataset_says_what_to_do(tmp_path):
    with pytest.raises(DatasetError, match=r"nowhere does not exist. Record a dataset there first"):
        Dataset.open(tmp_path / "nowhere")
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DatasetError, match=r"no LeRobot v3.0 dataset: meta/info.json is missing.*notes.txt"):
        Dataset.open(tmp_path)


def test_a_gap_in_an_unfinished_recording_is_named(tmp_path, start, tape):
    recorder = start(tmp_path / "d")
    for i in range(3):
        recorder.save_episode(*tape(i))
    (tmp_path / "d/recording/episode-000001.parquet").unlink()

    with pytest.raises(DatasetError, match=r"episode-000002.parquet: episode 1 of the unfinished recording is missing"):
        Dataset.open(tmp_path / "d")


def test_a_sound_dataset_passes(tmp_path, record):
    found = checks.check(record(tmp_path / "d"))

    assert found.faults == []
    assert np.array_equal(found.columns["index"], np.arange(15))


def test_a_file_is_said_to_be_a_file(tmp_path):
    (tmp_path / "README.md").touch()

    with pytest.raises(
        DatasetError, match=r"README.md is a file, and a dataset is a folder. Give the folder that holds meta/"
    ):
        checks.check(tmp_path / "README.md")
