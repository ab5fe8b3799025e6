from __future__ import annotations

import errno
import io
import json
import os

import numpy as np
import pytest

from soarm import spec
from soarm.dataset import edit, writer
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError, SpecMismatchError


def test_deleting_gives_the_bytes_of_a_recording_without_the_episode(tmp_path, start, record, tape, content):
    edit.delete_episodes(record(tmp_path / "d", range(4)), [1])
    recorder = start(tmp_path / "wanted")
    for i in (0, 2, 3):
        recorder.save_episode(*tape(i))
    recorder.finalize()

    assert content(tmp_path / "d") == content(tmp_path / "wanted")


def test_deleting_shrinks_the_splits(tmp_path, record):
    path = record(tmp_path / "d", range(6), splits={"train": range(4), "val": range(4, 5), "test": range(5, 6)})

    assert edit.delete_episodes(path, [1, 4, 1]).splits == {"train": range(3), "test": range(3, 4)}


@pytest.mark.parametrize("wrong", [[3], [-1], [0, 7], [True], [0.5]])
def test_a_wrong_number_deletes_nothing(tmp_path, record, content, wrong):
    path = record(tmp_path / "d")
    before = content(tmp_path)

    with pytest.raises(DatasetError, match=r"has no episodes .*; it has 0..2. Nothing was deleted"):
        edit.delete_episodes(path, wrong)
    assert content(tmp_path) == before


def test_deleting_everything_is_refused(tmp_path, record, content):
    path = record(tmp_path / "d")
    before = content(tmp_path)

    with pytest.raises(DatasetError, match="deleting all 3 episodes would leave no dataset"):
        edit.delete_episodes(path, range(3))
    assert content(tmp_path) == before


def test_a_full_disk_deletes_nothing(tmp_path, monkeypatch, record, content):
    class FullDisk(io.FileIO):
        def write(self, data) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = record(tmp_path / "d")
    before = content(tmp_path)
    monkeypatch.setattr(writer, "open", FullDisk, raising=False)

    with pytest.raises(DatasetError, match="No space left on device"):
        edit.delete_episodes(path, [0])
    assert content(tmp_path) == before


def test_merging_gives_the_bytes_of_one_recording(tmp_path, record, content):
    sources = [record(tmp_path / "a", range(2)), record(tmp_path / "b", range(2, 5))]
    before = [content(source) for source in sources]
    edit.merge(sources, tmp_path / "merged")

    assert content(tmp_path / "merged") == content(record(tmp_path / "whole", range(5)))
    assert [content(source) for source in sources] == before


def test_merging_keeps_what_was_held_out_apart(tmp_path, record, tape):
    sources = [
        record(tmp_path / "a", range(3), splits={"train": range(1, 3), "val": range(1)}),
        record(tmp_path / "b", range(3, 6), splits={"train": range(1), "val": range(1, 2)}),
    ]
    merged = edit.merge(sources, tmp_path / "merged")

    assert merged.splits == {"train": range(3), "val": range(3, 5)}
    order = [1, 2, 3, 0, 4, 5]
    assert np.array_equal(merged.columns[spec.ACTION], np.concatenate([tape(i)[1] for i in order]))


def test_merging_renumbers_tasks(tmp_path, start, tape):
    for name, task in (("a", "Lift."), ("b", "Push.")):
        recorder = start(tmp_path / name)
        recorder.save_episode(*tape(0), task=task)
        recorder.save_episode(*tape(1), task="Put.")
        recorder.finalize()
    merged = edit.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "merged")

    assert merged.tasks == ("Lift.", "Put.", "Push.")
    assert [merged.task(i) for i in range(4)] == ["Lift.", "Put.", "Push.", "Put."]


def test_merging_different_robots_is_refused(tmp_path, record):
    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    for name, fps, robot in (("slow", 15, "so100_follower"), ("other", 30, "koch_follower")):
        with Recorder.create(tmp_path / name, features, fps, robot, "go") as recorder:
            recorder.save_episode({spec.STATE: np.zeros((2, 6))}, np.zeros((2, 6)))
    record(tmp_path / "d")

    with pytest.raises(SpecMismatchError, match=r"(?s)only in .*d.*control_hz: 30 in .*d, 15 in .*slow"):
        edit.merge([tmp_path / "d", tmp_path / "slow"], tmp_path / "merged")
    with pytest.raises(SpecMismatchError, match="control_hz"):
        edit.merge([tmp_path / "slow", tmp_path / "other"], tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_merging_robot_types_is_refused(tmp_path):
    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    names = ("so100_follower", "so101_follower", "so_follower", "koch_follower")
    for name in names:
        with Recorder.create(tmp_path / name, features, 30, name, "go") as recorder:
            recorder.save_episode({spec.STATE: np.zeros((2, 6))}, np.zeros((2, 6)))

    with pytest.raises(DatasetError, match=r"of robot_type 'koch_follower', .* of 'so101_follower'"):
        edit.merge([tmp_path / "so101_follower", tmp_path / "koch_follower"], tmp_path / "merged")
    merged = edit.merge([tmp_path / name for name in names[:3]], tmp_path / "merged")
    assert (merged.n_episodes, merged.robot_type) == (3, "so100_follower"), "one arm has three names"


def test_merging_overwrites_nothing(tmp_path, record, content):
    paths = [record(tmp_path / "a"), record(tmp_path / "b")]
    before = content(tmp_path)

    with pytest.raises(DatasetError, match=r"b is not empty; merge writes a new dataset"):
        edit.merge(paths, tmp_path / "b")
    with pytest.raises(DatasetError, match="at least one dataset"):
        edit.merge([], tmp_path / "c")
    assert content(tmp_path) == before


def test_splits_can_be_set_anew(tmp_path, record):
    path = record(tmp_path / "d")

    assert edit.set_splits(path, {"train": range(2), "val": range(2, 3)}).splits["val"] == range(2, 3)
    with pytest.raises(DatasetError, match="episode 1 is in the splits train and val"):
        edit.set_splits(path, {"train": range(2), "val": range(1, 3)})


def test_statistics_can_be_computed_anew(tmp_path, record, content):
    path = record(tmp_path / "d")
    before = content(path)
    stats = json.loads((path / "meta/stats.json").read_text())
    stats["action"]["mean"][0] += 5.0
    (path / "meta/stats.json").write_text(json.dumps(stats))
    with pytest.raises(DatasetError, match=r"action: mean is .*edit.recompute_statistics"):
        Dataset.open(path)
    edit.recompute_statistics(path)

    assert content(path) == before


def test_an_unfinished_recording_is_not_edited(tmp_path, start, tape, content):
    start(tmp_path / "d").save_episode(*tape(0))
    before = content(tmp_path)

    for change in (lambda p: edit.delete_episodes(p, [0]), lambda p: edit.set_splits(p, {}), edit.recompute_statistics):
        with pytest.raises(DatasetError, match=r"Finish it first: `soarm control --dataset .*`, and q there"):
            change(tmp_path / "d")
    assert content(tmp_path) == before


def test_deleting_into_another_folder_leaves_the_dataset_as_it_is(tmp_path, record, content):
    path = record(tmp_path / "d", range(4))
    before = content(path)
    made = edit.delete_episodes(path, [1], tmp_path / "new")
    edit.delete_episodes(path, [1])

    assert made.n_episodes == 3
    assert content(tmp_path / "new") == content(path) != before
    with pytest.raises(DatasetError, match=r"new is not empty; delete writes a new dataset"):
        edit.delete_episodes(path, [0], tmp_path / "new")


def test_splitting_gives_the_bytes_of_recordings_of_their_own(tmp_path, record, content):
    path = record(tmp_path / "d", range(5))
    before = content(path)
    made = edit.split(path, tmp_path / "parts", {"train": 0.6, "val": 0.2, "last": range(4, 5)})
    for name, episodes in (("train", range(3)), ("val", range(3, 4)), ("last", range(4, 5))):
        assert content(tmp_path / "parts" / name) == content(record(tmp_path / name, episodes))

    assert [dataset.n_episodes for dataset in made.values()] == [3, 1, 1]
    assert content(path) == before


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"a": 0.05}, r"parts \['a'\] would be empty"),
        ({"a": range(4)}, r"there are the episodes 0\.\.2"),
        ({"a": range(2), "b": range(1, 3)}, "episode 1 is in the splits a and b"),
        ({"a": 0.7, "b": 0.7}, "a|b"),
        ({"../a": 1.0}, r"parts \['../a'\] are no names of folders"),
        ({}, "Name parts as in train=0.8"),
    ],
)
def test_a_wrong_split_writes_nothing(tmp_path, record, content, parts, message):
    path = record(tmp_path / "d")
    before = content(tmp_path)

    with pytest.raises(DatasetError, match=message):
        edit.split(path, tmp_path / "parts", parts)
    assert content(tmp_path) == before


def test_a_split_that_fails_half_way_leaves_nothing(tmp_path, monkeypatch, record, content):
    path = record(tmp_path / "d")
    before, replace = content(tmp_path), writer.replace_dataset

    def full(root, *rest):
        if root.name == "b":
            raise DatasetError("the disk is full")
        replace(root, *rest)

    monkeypatch.setattr(writer, "replace_dataset", full)
    with pytest.raises(DatasetError, match="the disk is full"):
        edit.split(path, tmp_path / "parts", {"a": 0.5, "b": 0.5})
    assert content(tmp_path) == before


def test_no_dataset_is_written_inside_another_and_none_is_merged_with_itself(tmp_path, record, content):
    path = record(tmp_path / "d")
    (tmp_path / "link").symlink_to(path)
    before = content(path)
    inside = r"d/deep/x lies inside the dataset .*/d; {} writes a new one. Choose a folder beside it"

    with pytest.raises(DatasetError, match=inside.format("merge")):
        edit.merge([path], path / "deep" / "x")
    with pytest.raises(DatasetError, match=inside.format("delete")):
        edit.delete_episodes(path, [0], path / "deep" / "x")
    with pytest.raises(DatasetError, match=inside.format("split")):
        edit.split(path, path / "deep" / "x", {"a": 0.5})
    with pytest.raises(DatasetError, match=r"merge would write the episodes of .*/d and .*/link twice"):
        edit.merge([path, tmp_path / "link"], tmp_path / "new")
    assert content(path) == before
    assert not (tmp_path / "new").exists()
