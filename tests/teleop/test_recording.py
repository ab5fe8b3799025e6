"""A session learns before its first episode that a dataset cannot take it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from soarm.dataset import storage
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, Feature
from soarm.tasks.pick_place import TASK
from soarm.teleop.recording import add_timing, recorder, timing_file
from soarm.teleop.session import Report, Timing

FEATURES = TASK.features

OBJECTS = np.zeros((3, 7))
JOINTS = np.zeros((3, 6))


def _made(path: Path, features: dict[str, Feature] = FEATURES, fps: int = 30, robot: str = "so100_follower") -> Path:
    with Recorder.create(path, features, fps, robot, "go") as made:
        made.save_episode({key: np.zeros((3, f.shape[0])) for key, f in features.items() if key != ACTION}, JOINTS)
    return path


def _contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def _edit(path: Path, change) -> Path:
    info = json.loads((path / "meta/info.json").read_text())
    change(info)
    (path / "meta/info.json").write_text(json.dumps(info))
    return path


def _of_lerobot(path: Path) -> Path:
    (_made(path) / "meta/soarm.json").unlink()
    return path


def _reversed(path: Path) -> Path:
    joints = Feature((6,), tuple(reversed(FEATURES[ACTION].names)), tuple(reversed(FEATURES[ACTION].units)))
    return _made(path, {**FEATURES, ACTION: joints})


REFUSED = {
    "another rate": (
        lambda path: _made(path, fps=15),
        r"recorded at 15 Hz, and this session runs at 30 Hz; .*--control-hz 15",
    ),
    "another robot": (lambda path: _made(path, robot="koch_follower"), r"robot_type is 'koch_follower'; .*'so100_follower'"),
    "no objects": (
        lambda path: _made(path, {STATE: FEATURES[STATE], ACTION: FEATURES[ACTION]}),
        r"feature observation.environment_state is new",
    ),
    "one more": (
        lambda path: _made(path, {**FEATURES, "observation.effort": Feature((1,), ("x",), ("1",))}),
        r"feature observation.effort is no longer recorded",
    ),
    "joints in another order": (
        _reversed,
        r"feature action has the elements \('gripper.pos', .*now they are \('shoulder_pan.pos'",
    ),
    "unknown units": (_of_lerobot, r"the units of observation.state are unknown.*soarm dataset convert .* --units degrees"),
    "an older format": (
        lambda path: _edit(_made(path), lambda info: info.update(codebase_version="v2.1")),
        r"codebase_version is 'v2.1'",
    ),
    "a camera": (
        lambda path: _edit(
            _made(path), lambda info: info["features"].update(front={"dtype": "video", "shape": [4, 4, 3], "names": None})
        ),
        r"videos would be lost by writing it again.*all of front",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_dataset_that_cannot_be_gone_on_with_is_refused_before_anything_is_written(tmp_path, name):
    make, message = REFUSED[name]
    before = _contents(make(tmp_path / "d"))

    with pytest.raises(DatasetError, match=f"(?s){message}"):
        recorder(tmp_path / "d", 30, TASK, "go")
    assert _contents(tmp_path / "d") == before


def test_everything_that_does_not_fit_is_listed_at_once(tmp_path):
    _made(tmp_path / "d", {STATE: FEATURES[STATE], ACTION: FEATURES[ACTION]}, 15, "koch_follower")

    with pytest.raises(DatasetError, match=r"(?s)robot_type.*15 Hz.*environment_state is new.*Record into a new folder"):
        recorder(tmp_path / "d", 30, TASK, "go")


def test_a_recording_that_was_cut_off_is_compared_too(tmp_path):
    Recorder.create(tmp_path / "empty", FEATURES, 15, "so100_follower", "go")
    begun = Recorder.create(tmp_path / "begun", FEATURES, 15, "so100_follower", "go")
    begun.save_episode({STATE: JOINTS, ENVIRONMENT_STATE: OBJECTS}, JOINTS)
    begun.close()

    for name in ("empty", "begun"):
        with pytest.raises(DatasetError, match="15 Hz, and this session runs at 30 Hz"):
            recorder(tmp_path / name, 30, TASK, "go")


@pytest.mark.parametrize("robot", ["so101_follower", "so_follower", "so100_follower"])
def test_the_arm_s_other_names_are_gone_on_with(tmp_path, robot):
    path = _made(tmp_path / "d", robot=robot)
    with recorder(path, 30, TASK, "go") as made:
        made.save_episode({STATE: JOINTS, ENVIRONMENT_STATE: OBJECTS}, JOINTS)

    assert Dataset.open(path).n_episodes == 2


@pytest.mark.parametrize("exists", [False, True])
def test_a_place_where_the_dataset_could_not_be_finished_is_refused_at_once(tmp_path, monkeypatch, exists):
    path = _made(tmp_path / "d") if exists else tmp_path / "d"
    made = Path.mkdir

    def forbidden(self: Path, *args: object, **kwargs: object) -> None:
        if self.parent == tmp_path:
            raise PermissionError(13, "Permission denied")
        made(self, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", forbidden)
    with pytest.raises(DatasetError, match=r"cannot write .*Permission denied.*allow writing there"):
        recorder(path, 30, TASK, "go")
    assert not (path / "recording").exists()


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path, monkeypatch):
    path = _made(tmp_path / "d")

    def forbidden(self: Path, content: bytes) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", forbidden)
    with pytest.raises(DatasetError, match=r"cannot write .*d: Permission denied"):
        recorder(path, 30, TASK, "go")
    assert not (path / "recording").exists()


def test_a_file_in_the_place_of_the_folder_or_above_it_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(DatasetError, match=r"file is a file; a dataset is a folder"):
        recorder(tmp_path / "file", 30, TASK, "go")
    with pytest.raises(DatasetError, match=r"cannot write .*Not a directory"):
        recorder(tmp_path / "file/d", 30, TASK, "go")


def test_a_dataset_whose_edit_was_killed_is_gone_on_with_and_not_begun_anew(tmp_path):
    path = _made(tmp_path / "d")
    path.rename(storage._predecessor(path))
    with recorder(path, 30, TASK, "go") as made:
        made.save_episode({STATE: JOINTS, ENVIRONMENT_STATE: OBJECTS}, JOINTS)

    assert Dataset.open(path).n_episodes == 2


def test_a_folder_in_which_a_recording_was_killed_while_it_began_can_be_used(tmp_path):
    (tmp_path / "d/recording").mkdir(parents=True)
    with recorder(tmp_path / "d", 30, TASK, "go") as made:
        made.save_episode({STATE: JOINTS, ENVIRONMENT_STATE: OBJECTS}, JOINTS)

    assert Dataset.open(tmp_path / "d").n_episodes == 1


def test_the_timing_of_all_sessions_is_kept(tmp_path):
    add_timing(tmp_path / "d", 2, Report([Timing(10, 0, 0), Timing(20, 1, 0)], tries=3, refused=1))
    add_timing(tmp_path / "d", 2, Report([], tries=1, refused=1))
    add_timing(tmp_path / "d", 4, Report([Timing(40, 0, 2)], tries=1))  # episode 2 came from elsewhere
    found = json.loads((tmp_path / "d.timing.json").read_text())

    assert [(line["episode"], line["steps"]) for line in found["kept"]] == [(0, 10), (1, 20), (3, 40)]
    assert (found["tries"], found["refused"]) == (5, 2)


def test_the_timing_of_a_dataset_that_is_gone_does_not_stay(tmp_path):
    add_timing(tmp_path / "d", 3, Report([Timing(10, 0, 0)] * 3, tries=3))
    add_timing(tmp_path / "d", 1, Report([Timing(7, 0, 0)], tries=1))

    assert json.loads((tmp_path / "d.timing.json").read_text()) == {
        "kept": [{"episode": 0, "steps": 7, "late": 0, "missed": 0}],
        "tries": 1,
        "refused": 0,
    }


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"kept": 3}', '{"kept": [1]}', '{"kept": [], "tries": "x"}'])
def test_a_broken_file_of_timing_is_put_aside_and_costs_nothing(tmp_path, broken, caplog):
    timing_file(tmp_path / "d").write_text(broken)
    add_timing(tmp_path / "d", 2, Report([Timing(7, 0, 0)], tries=1))

    assert json.loads((tmp_path / "d.timing.json").read_text())["kept"][0]["episode"] == 1
    assert (tmp_path / "d.timing.json.damaged").read_text() == broken
    assert "put aside as d.timing.json.damaged" in caplog.text
