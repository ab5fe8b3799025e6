"""Against a dataset that LeRobot 0.4.4 wrote; `benchmarks/check_lerobot.py --fixture` made it (docs/dataset.md)."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from soarm import arm, spec
from soarm.dataset import edit
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.tasks.pick_place import TASK

DATA, EPISODES, TASKS = "data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet", "meta/tasks.parquet"


@pytest.fixture
def theirs(tmp_path) -> Path:
    with zipfile.ZipFile(Path(__file__).with_name("fixtures") / "lerobot-0.4.4.zip") as archive:
        archive.extractall(tmp_path / "theirs")
    return tmp_path / "theirs"


@pytest.fixture
def ours(tmp_path, theirs) -> Path:
    """The same episodes, recorded by us."""
    source = Dataset.open(theirs, units="degrees")
    recorder = Recorder.create(tmp_path / "ours", source.features, source.fps, "so100_follower", "unused")
    for i in range(source.n_episodes):
        values = dict(source.episode(i).values)
        recorder.save_episode(values, values.pop(spec.ACTION), task=source.task(i))
    recorder.finalize()
    return tmp_path / "ours"


def test_a_dataset_of_lerobot_opens_and_the_units_of_its_joints_are_unknown(theirs, caplog):
    dataset = Dataset.open(theirs)

    assert np.diff(dataset.episode_starts).tolist() == [13, 9, 21]
    assert [dataset.task(i) for i in range(3)] == [
        "Put the cube into the bin.",
        "Lift the cube.",
        "Put the cube into the bin.",
    ]
    assert dataset.features[spec.ACTION].names == spec.JOINT_FEATURE.names
    assert dataset.features[spec.ACTION].units == ("unknown",) * 6
    assert dataset.features[spec.ENVIRONMENT_STATE] == TASK.objects
    assert "the units of observation.state and action are unknown" in caplog.text


def test_rows_are_those_of_lerobot_to_the_type_and_the_row_group(theirs, ours):
    left, right = pq.ParquetFile(theirs / DATA), pq.ParquetFile(ours / DATA)

    assert right.schema_arrow.remove_metadata() == left.schema_arrow.remove_metadata()
    assert right.read().replace_schema_metadata() == left.read().replace_schema_metadata()
    assert right.num_row_groups == left.num_row_groups == 3
    assert right.metadata.row_group(0).column(0).compression == left.metadata.row_group(0).column(0).compression


def test_episodes_have_the_columns_types_and_values_of_lerobot(theirs, ours):
    left, right = pq.read_table(theirs / EPISODES), pq.read_table(ours / EPISODES)
    types = [{field.name: field.type for field in table.schema} for table in (left, right)]

    assert types[0] == types[1]
    for name in left.column_names:
        if not any(name.endswith(f"/q{q}") for q in ("01", "10", "50", "90", "99")):  # theirs come from a histogram
            for a, b in zip(left[name].to_pylist(), right[name].to_pylist(), strict=True):
                assert a == b if name == "tasks" else a == pytest.approx(b, rel=1e-5, abs=1e-5), name


def test_statistics_are_those_of_lerobot_but_for_the_quantiles(theirs, ours):
    left, right = (json.loads((path / "meta/stats.json").read_text()) for path in (theirs, ours))

    assert {key: set(stats) for key, stats in left.items()} == {key: set(stats) for key, stats in right.items()}
    for key in left:
        for name in ("min", "max", "mean", "std", "count"):
            assert left[key][name] == pytest.approx(right[key][name], rel=1e-5, abs=1e-5)


def test_info_has_the_keys_of_lerobot_and_no_other(theirs, ours):
    left, right = (json.loads((path / "meta/info.json").read_text()) for path in (theirs, ours))

    assert right == left
    assert Dataset.open(ours).features[spec.ACTION].units == arm.UNITS


def test_tasks_are_the_index_of_a_pandas_frame(theirs, ours):
    left, right = pd.read_parquet(theirs / TASKS), pd.read_parquet(ours / TASKS)

    assert right.index.tolist() == left.index.tolist()
    assert right["task_index"].tolist() == left["task_index"].tolist()


def test_a_dataset_of_lerobot_can_be_appended_to(theirs, tape):
    with Recorder.resume(theirs) as recorder:
        recorder.save_episode(*tape(0))
    dataset = Dataset.open(theirs)

    assert (dataset.n_episodes, dataset.task(3)) == (4, "Put the cube into the bin.")
    assert np.array_equal(dataset.episode(3).values[spec.ACTION], tape(0)[1])


def _with_feature(path: Path, key: str, described: dict) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    info["features"][key] = described
    (path / "meta/info.json").write_text(json.dumps(info))


def test_videos_that_are_missing_are_said_and_the_rows_open_all_the_same(theirs, caplog):
    camera = {"dtype": "video", "shape": [96, 128, 3], "names": ["height", "width", "channels"]}
    _with_feature(theirs, "observation.images.front", camera)
    dataset = Dataset.open(theirs)

    assert dataset.cameras == ("observation.images.front",)
    assert dataset.spec.features["observation.images.front"] == spec.Feature.image(96, 128)
    assert "observation.images.front" not in dataset.columns
    assert "does not say where the videos of observation.images.front are" in caplog.text


def test_splits_and_statistics_of_a_dataset_with_cameras_change_and_nothing_is_lost(theirs, content):
    camera = {"dtype": "video", "shape": [96, 128, 3], "names": ["height", "width", "channels"]}
    _with_feature(theirs, "observation.images.front", camera)
    stats = json.loads((theirs / "meta/stats.json").read_text())
    stats["observation.images.front"] = {"mean": [[[0.5]]]}
    (theirs / "meta/stats.json").write_text(json.dumps(stats))
    (theirs / "videos").mkdir()
    (theirs / "videos/film.mp4").write_bytes(b"film")
    before = content(theirs)
    edit.set_splits(theirs, {"train": range(2), "val": range(2, 3)})
    changed = edit.recompute_statistics(theirs)
    after = content(theirs)

    assert changed.splits["val"] == range(2, 3)
    assert changed.info["features"]["observation.images.front"] == camera
    assert json.loads(after["meta/stats.json"])["observation.images.front"] == {"mean": [[[0.5]]]}
    assert {name for name in before if before[name] != after[name]} == {"meta/info.json", "meta/stats.json"}
    assert set(after) == set(before)


@pytest.mark.parametrize("names", [{"motors": list(arm.FEATURE_NAMES)}, list(arm.FEATURE_NAMES)])
def test_names_may_come_in_a_mapping(theirs, names):
    _with_feature(theirs, "action", {"dtype": "float32", "shape": [6], "names": names})

    assert Dataset.open(theirs, units="degrees").features[spec.ACTION] == spec.JOINT_FEATURE


def test_features_without_names_get_numbered_ones(theirs):
    _with_feature(theirs, "action", {"dtype": "float32", "shape": [6], "names": None})

    assert Dataset.open(theirs).features[spec.ACTION].names[:2] == ("action.0", "action.1")
