from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from soarm import spec
from soarm.dataset.layout import ROBOT_TYPE
from soarm.dataset.reader import Dataset
from soarm.errors import DatasetError
from soarm.tasks.pick_place import TASK


def test_columns_are_whole_arrays_with_the_offsets_of_episodes(tmp_path, record):
    dataset = Dataset.open(record(tmp_path / "d"))

    assert {key: (column.shape, column.dtype) for key, column in dataset.columns.items()} == {
        spec.STATE: ((15, 6), np.float32),
        spec.ENVIRONMENT_STATE: ((15, 7), np.float32),
        spec.ACTION: ((15, 6), np.float32),
    }
    assert dataset.episode_starts.tolist() == [0, 4, 9, 15]
    assert (dataset.fps, dataset.robot_type, dataset.n_frames, dataset.n_episodes) == (30, ROBOT_TYPE, 15, 3)
    assert dataset.features == {
        spec.STATE: spec.JOINT_FEATURE,
        spec.ENVIRONMENT_STATE: TASK.objects,
        spec.ACTION: spec.JOINT_FEATURE,
    }


def test_an_episode_is_a_view(tmp_path, record):
    dataset = Dataset.open(record(tmp_path / "d"))

    assert len(dataset.episode(1)) == 5
    assert np.shares_memory(dataset.episode(1).values[spec.ACTION], dataset.columns[spec.ACTION])


@pytest.mark.parametrize("number", [-1, 3])
def test_an_episode_that_does_not_exist_is_refused(tmp_path, record, number):
    dataset = Dataset.open(record(tmp_path / "d"))

    with pytest.raises(DatasetError, match=rf"no episode {number}; the dataset has the episodes 0..2"):
        dataset.episode(number)


def test_the_specification_names_the_dataset(tmp_path, record):
    dataset = Dataset.open(record(tmp_path / "d"))

    assert dataset.spec == spec.PolicySpec(features=dataset.features, control_hz=30, dataset_hash=dataset.hash)


def test_the_hash_is_of_the_content(tmp_path, record, content):
    one = Dataset.open(record(tmp_path / "a"))
    same = Dataset.open(record(tmp_path / "b"))
    other = Dataset.open(record(tmp_path / "c", range(1, 4)))
    split = Dataset.open(record(tmp_path / "d", splits={"train": range(2), "val": range(2, 3)}))

    assert one.hash == same.hash
    assert len({one.hash, other.hash, split.hash}) == 3


def test_statistics_in_memory_are_those_on_disk(tmp_path, record):
    path = record(tmp_path / "d")
    dataset = Dataset.open(path)
    stored = json.loads((path / "meta/stats.json").read_text())

    assert {key: {name: value.tolist() for name, value in stats.items()} for key, stats in dataset.stats.items()} == {
        key: stored[key] for key in dataset.features
    }


def test_an_unfinished_recording_opens_with_a_warning(tmp_path, start, tape, caplog):
    start(tmp_path / "d").save_episode(*tape(0))
    with caplog.at_level(logging.WARNING):
        dataset = Dataset.open(tmp_path / "d")

    assert (dataset.n_episodes, dataset.n_unfinished, dataset.is_recording) == (1, 1, True)
    assert "1 episodes are of a recording that was not finalized" in caplog.text
