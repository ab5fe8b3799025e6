"""Units that a dataset says, that somebody declares, and that nobody knows."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from soarm import arm, spec
from soarm.dataset import edit
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.dataset.units import looks_normalised
from soarm.errors import DatasetError, SpecMismatchError
from soarm.tasks.pick_place import TASK

UNKNOWN = ("unknown",) * 6


@pytest.fixture
def foreign(tmp_path, record) -> Path:
    """A dataset as LeRobot leaves it: nothing of ours in it."""
    path = record(tmp_path / "foreign", range(4))
    (path / "meta/soarm.json").unlink()
    return path


def _units(dataset: Dataset) -> list[tuple[str, ...]]:
    return [dataset.features[key].units for key in (spec.STATE, spec.ACTION)]


@pytest.mark.parametrize(
    "change",
    [
        lambda path: edit.delete_episodes(path, [1]),
        lambda path: edit.merge([path, shutil.copytree(path, path.with_name("copy"))], path.with_name("merged")),
        lambda path: edit.set_splits(path, {"train": range(2), "val": range(2, 4)}),
        lambda path: edit.recompute_statistics(path),
    ],
    ids=["delete", "merge", "splits", "statistics"],
)
def test_no_edit_makes_unknown_units_known(foreign, change):
    changed = change(foreign)

    assert _units(changed) == _units(Dataset.open(changed.path)) == [UNKNOWN, UNKNOWN]
    with pytest.raises(DatasetError, match=r"units of observation.state and action are unknown"):
        changed.require_units("say so")


def test_recording_on_does_not_make_unknown_units_known(foreign, tape):
    with Recorder.resume(foreign) as recorder:
        recorder.save_episode(*tape(7))
        assert _units(Dataset.open(foreign)) == [UNKNOWN, UNKNOWN]

    assert _units(Dataset.open(foreign)) == [UNKNOWN, UNKNOWN]


def test_units_that_are_known_stay_known_through_every_edit(tmp_path, record):
    path = record(tmp_path / "d", range(4))
    edit.delete_episodes(path, [0])
    edit.set_splits(path, {"train": range(3)})
    edit.recompute_statistics(path)
    merged = edit.merge([path, shutil.copytree(path, tmp_path / "copy")], tmp_path / "merged")

    assert _units(merged) == [arm.UNITS, arm.UNITS]
    merged.require_units("nothing")


def test_declaring_degrees_changes_the_units_and_no_value(foreign):
    unknown, declared = Dataset.open(foreign), Dataset.open(foreign, units="degrees")

    assert _units(declared) == _units(unknown.with_units("degrees")) == [arm.UNITS, arm.UNITS]
    assert declared.features[spec.ENVIRONMENT_STATE] == TASK.objects
    assert all(np.array_equal(declared.columns[key], unknown.columns[key]) for key in unknown.columns)
    assert declared.hash != unknown.hash
    assert declared.spec.features[spec.ACTION] == spec.JOINT_FEATURE
    assert _units(Dataset.open(foreign)) == [UNKNOWN, UNKNOWN], "declaring writes nothing"


def test_units_are_declared_by_name_so_another_order_or_a_second_arm_keeps_them_right(foreign):
    info = json.loads((foreign / "meta/info.json").read_text())
    names = list(reversed(arm.FEATURE_NAMES))
    info["features"]["action"]["names"] = names
    info["features"]["observation.state"]["names"] = [f"left_{name}" for name in names]
    (foreign / "meta/info.json").write_text(json.dumps(info))

    assert _units(Dataset.open(foreign, units="degrees")) == [tuple(reversed(arm.UNITS))] * 2


def test_declaring_against_what_the_dataset_says_is_refused(tmp_path, record):
    path = record(tmp_path / "d")
    ours = json.loads((path / "meta/soarm.json").read_text())
    ours["features"]["action"]["units"][0] = "rad"
    (path / "meta/soarm.json").write_text(json.dumps(ours))

    with pytest.raises(DatasetError, match=r"'degrees' contradict it:\n  action is in \('rad', 'deg'.*be \('deg', 'deg'"):
        Dataset.open(path, units="degrees")
    with pytest.raises(DatasetError, match=r"units 'radians' cannot be declared; 'degrees' can"):
        Dataset.open(path, units="radians")


def test_degrees_of_a_robot_without_this_arm_s_joints_are_refused(foreign):
    info = json.loads((foreign / "meta/info.json").read_text())
    for key in ("action", "observation.state"):
        info["features"][key]["names"] = None
    (foreign / "meta/info.json").write_text(json.dumps(info))

    with pytest.raises(DatasetError, match=r"no element is a joint of this arm \(shoulder_pan.pos, .*there are .*action.0"):
        Dataset.open(foreign, units="degrees")


def test_known_and_unknown_units_are_not_merged(tmp_path, record, foreign):
    ours = record(tmp_path / "ours")
    for sources in ([ours, foreign], [foreign, ours]):
        with pytest.raises(DatasetError, match=r"unknown in .*foreign, and known in .*ours.*soarm dataset convert .*foreign"):
            edit.merge(sources, tmp_path / "merged")

    assert not (tmp_path / "merged").exists()


def test_a_merge_that_does_not_fit_advises_nothing_about_the_chain(tmp_path, record):
    features = {spec.STATE: spec.JOINT_FEATURE, spec.ACTION: spec.JOINT_FEATURE}
    with Recorder.create(tmp_path / "slow", features, 15, "so100_follower", "go") as recorder:
        recorder.save_episode({spec.STATE: np.zeros((2, 6))}, np.zeros((2, 6)))

    with pytest.raises(SpecMismatchError, match="Merge datasets of one robot, task and rate only") as caught:
        edit.merge([tmp_path / "slow", record(tmp_path / "d")], tmp_path / "merged")
    assert "dvc" not in str(caught.value)


@pytest.mark.parametrize(
    ("ends", "found"),
    [
        ({0: (-100.0, 80.0), 3: (-40.0, 100.0)}, ["shoulder_pan.pos", "wrist_flex.pos"]),
        ({0: (-100.0, 80.0)}, []),
        ({0: (-100.0, 80.0), 5: (0.0, 100.0)}, []),
        ({0: (-99.9, 99.8), 1: (-99.7, 99.9), 4: (-99.95, 99.6)}, ["shoulder_pan.pos", "shoulder_lift.pos", "wrist_roll.pos"]),
        ({0: (-99.9, 99.8), 1: (-99.7, 99.9), 4: (-130.0, 99.6)}, []),
    ],
    ids=["two exact ends", "one", "one and the gripper", "three that span it", "two that span it"],
)
def test_values_that_end_at_a_hundred_look_normalised(ends, found):
    values = np.tile(np.float32([[-30.0], [30.0]]), 6)
    for joint, (low, high) in ends.items():
        values[:, joint] = low, high

    assert looks_normalised({spec.STATE: values}, {spec.STATE: spec.JOINT_FEATURE}) == found


def test_a_dataset_that_looks_normalised_says_so_when_its_units_are_asked_for_or_declared(tmp_path, start, tape, caplog):
    recorder = start(tmp_path / "d")
    observations, actions = tape(0)
    actions[0, :2], actions[1, 2] = -100.0, 100.0
    recorder.save_episode(observations, actions.clip(-100.0, 100.0))
    recorder.finalize()
    (tmp_path / "d/meta/soarm.json").unlink()

    with pytest.raises(DatasetError, match=r"end at -100 or 100 in shoulder_pan.pos, .*elbow_flex.pos.*If it is in degrees"):
        Dataset.open(tmp_path / "d").require_units("units: degrees")
    with caplog.at_level(logging.WARNING):
        Dataset.open(tmp_path / "d", units="degrees")
    assert "is declared to be in degrees, but its values end at -100 or 100" in caplog.text


def test_a_dataset_from_before_keeps_its_units_and_moves_them_with_the_next_edit(tmp_path, record, content):
    path, whole = record(tmp_path / "d", range(4)), record(tmp_path / "whole", range(3))
    info = json.loads((path / "meta/info.json").read_text())
    info["soarm"] = json.loads((path / "meta/soarm.json").read_text())
    (path / "meta/info.json").write_text(json.dumps(info))
    (path / "meta/soarm.json").unlink()
    assert _units(Dataset.open(path)) == [arm.UNITS, arm.UNITS]
    edit.delete_episodes(path, [3])

    assert content(path) == content(whole)


def test_a_recording_from_before_goes_on(tmp_path, start, record, tape, content):
    recorder = start(tmp_path / "d")
    recorder.save_episode(*tape(0))
    recorder.close()
    header = tmp_path / "d/recording/recording.json"
    data = json.loads(header.read_text())
    data["info"]["soarm"] = data.pop("spec")
    header.write_text(json.dumps(data))
    assert _units(Dataset.open(tmp_path / "d")) == [arm.UNITS, arm.UNITS]
    with Recorder.resume(tmp_path / "d") as again:
        again.save_episode(*tape(1))

    assert content(tmp_path / "d") == content(record(tmp_path / "whole", range(2)))


def test_features_that_a_tool_of_lerobot_added_or_took_away_cost_no_units(tmp_path, record, caplog):
    path = record(tmp_path / "d")
    ours = json.loads((path / "meta/soarm.json").read_text())
    ours["features"]["observation.gone"] = ours["features"].pop("observation.environment_state")
    (path / "meta/soarm.json").write_text(json.dumps(ours))
    dataset = Dataset.open(path)

    assert dict(dataset.features) == dict(Dataset.open(record(tmp_path / "whole")).features)
    assert (
        "['observation.gone'] are gone, the units of ['observation.environment_state'] follow from their names" in caplog.text
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"meta/soarm.json: is not JSON, or truncated"),
        ("[]", r"meta/soarm.json: holds a list \(\[\]\), not an object"),
        ('{"features": {}, "control_hz": 30, "new": 1}', r"unknown keys \['new'\]"),
        (
            '{"features": {"action": {"shape": [2], "names": ["a"], "units": []}}, "control_hz": 30}',
            r"feature action has 1 names and 0 units; it needs 2 of each",
        ),
        ('{"features": {"action": {"shape": [], "names": [], "units": []}}, "control_hz": 30}', r"meta/soarm.json"),
        ('{"features": 3, "control_hz": 30}', r"meta/soarm.json"),
    ],
)
def test_a_damaged_specification_is_named_with_what_to_do(tmp_path, record, text, message):
    path = record(tmp_path / "d")
    (path / "meta/soarm.json").write_text(text)

    with pytest.raises(DatasetError, match=rf"(?s){message}.*restore it from a copy, or remove it and say the units again"):
        Dataset.open(path)


def test_other_files_below_meta_are_kept(tmp_path, record):
    path = record(tmp_path / "d")
    (path / "meta/notes.txt").write_text("mine")
    shutil.copytree(path / "meta/episodes", path / "meta/subtasks")
    edit.delete_episodes(path, [0])

    assert (path / "meta/notes.txt").read_text() == "mine"
    assert (path / "meta/subtasks/chunk-000/file-000.parquet").is_file()
