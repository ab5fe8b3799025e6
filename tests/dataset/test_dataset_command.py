"""`soarm dataset` and what `soarm info` says of a dataset."""

from __future__ import annotations

import json
import logging

import numpy as np
import pytest

from soarm import arm, cli, spec
from soarm.dataset import overview
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError

FRONT = "observation.images.front"


@pytest.fixture(autouse=True)
def _everything_is_heard(caplog):
    caplog.set_level(logging.INFO)


def _edit(path, change) -> None:
    info = json.loads((path / "meta/info.json").read_text())
    change(info)
    (path / "meta/info.json").write_text(json.dumps(info))


@pytest.fixture
def theirs(tmp_path):
    """What `lerobot-record` leaves: joints, one camera, no environment state, no units."""
    features = {spec.STATE: spec.JOINT_FEATURE, FRONT: spec.Feature.image(48, 64), spec.ACTION: spec.JOINT_FEATURE}
    values = np.linspace(-100, 100, 30)[:, None] * np.ones(6)
    with Recorder.create(tmp_path / "theirs", features, 30, "so101_follower", "Lift the cube.") as recorder:
        recorder.save_episode({spec.STATE: values, FRONT: np.zeros((30, 48, 64, 3), np.uint8)}, values)
    path = tmp_path / "theirs"
    (path / "meta/soarm.json").unlink()
    return path


def test_info_says_of_a_dataset_of_lerobot_what_it_is_and_what_it_is_good_for(theirs, capsys):
    status = cli.main(["info", str(theirs)])
    out = capsys.readouterr().out

    assert status == 0
    for part in (
        "LeRobot v3.0 dataset, 1 episode, 30 frames at 30 fps (1.0 s)",
        "so101_follower",
        "none: recorded or written by LeRobot",
        "6 [unknown x 6]  shoulder_pan.pos",
        "video 64 x 48",
        "Lift the cube.",
        "train 0:1",
        "unknown: LeRobot's SO arms record -100..100 by default up to 0.4.3",
        "they end at -100 or 100 in shoulder_pan.pos, shoulder_lift.pos",
        f"soarm dataset convert {theirs} NEW_FOLDER --units degrees",
        "verify, convert, set_splits, recompute_statistics, delete_episodes, merge",
        "can be replayed, once the units are said",
        "can be trained on, once the units are said",
        f"soarm train --dataset {theirs} --units degrees",
        f"there, and none was decoded: `soarm dataset verify {theirs}` decodes all",
    ):
        assert part in out


def test_info_says_of_ours_that_it_can_be_trained_on(tmp_path, record, capsys):
    assert cli.main(["info", str(record(tmp_path / "d"))]) == 0
    out = capsys.readouterr().out

    assert "6 [deg x 5, percent]" in out
    assert "can be trained on\n" in out
    assert "unknown" not in out


def test_info_knows_a_recording_that_goes_on_and_a_damaged_dataset(tmp_path, start, record, tape, capsys):
    start(tmp_path / "d").save_episode(*tape(0))
    damaged = record(tmp_path / "damaged")
    _edit(damaged, lambda info: info.update(total_frames=99))

    assert cli.main(["info", str(tmp_path / "d")]) == 0
    assert "1 episode; `soarm control --dataset" in capsys.readouterr().out
    assert cli.main(["info", str(damaged)]) == 0
    assert f"no: 1 fault; `soarm dataset verify {damaged}` lists what is wrong" in capsys.readouterr().out


def test_info_counts_the_frames_of_videos_and_says_which_command_decodes_them(theirs, capsys):
    video = theirs / f"videos/{FRONT}/chunk-000/file-000.mp4"
    whole = video.read_bytes()
    for content, fault in (
        (b"no video", "cannot be decoded"),
        (whole[: len(whole) // 2], "frames of episode 0"),
        (None, "is missing"),
    ):
        video.unlink()
        if content is not None:
            video.write_bytes(content)
        assert cli.main(["info", str(theirs)]) == 0
        said = capsys.readouterr().out
        assert f"; `soarm dataset verify {theirs}` lists what is wrong" in said
        assert "can be trained on" not in said
        assert cli.main(["info", str(theirs), "--json"]) == 0
        assert fault in json.loads(capsys.readouterr().out)["dataset"]["faults"][-1]
        with pytest.raises(DatasetError, match="Restore it from a copy; `soarm dataset verify FOLDER` lists everything"):
            Dataset.open(theirs).pictures[FRONT].gather(np.arange(30))


def test_info_proposes_smaller_pictures_where_they_are_large(theirs, capsys, monkeypatch):
    monkeypatch.setattr(overview, "_LARGE_PX", 63)

    assert cli.main(["info", str(theirs)]) == 0
    assert f"soarm dataset shrink {theirs} NEW_FOLDER --size 96x72" in capsys.readouterr().out


def test_info_names_joints_in_another_order(theirs, caplog):
    _edit(theirs, lambda info: info["features"]["action"]["names"].reverse())
    assert cli.main(["dataset", "info", str(theirs)]) == 0

    assert "cannot: action must have this arm's joints in its order" in caplog.text


def test_certified_values_that_look_normalised_are_pointed_at(tmp_path, theirs, caplog):
    assert cli.main(["dataset", "convert", str(theirs), str(tmp_path / "new"), "--units", "degrees"]) == 0
    assert cli.main(["dataset", "info", str(tmp_path / "new")]) == 0

    assert "said to be degrees, but they end at -100 or 100 in" in caplog.text


def test_verify_lists_every_fault_and_ends_with_status_1(tmp_path, record, theirs, caplog):
    path = record(tmp_path / "d")
    _edit(path, lambda info: info.update(total_frames=99, total_tasks=7))
    camera = {"dtype": "video", "shape": [48, 64, 3], "names": ["height", "width", "channels"]}
    _edit(theirs, lambda info: info["features"].update({"observation.images.wrist": camera}))

    assert cli.main(["dataset", "verify", str(theirs)]) == 1
    assert "does not say where the videos of observation.images.wrist are" in caplog.text
    assert cli.main(["dataset", "verify", str(record(tmp_path / "sound"))]) == 0
    assert "nothing is wrong" in caplog.text
    assert cli.main(["dataset", "verify", str(path)]) == 1
    for part in ("total_frames 99", "total_tasks 7", f"{path}: 2 faults"):
        assert part in caplog.text
    assert cli.main(["dataset", "verify", str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist" in caplog.text


def test_verify_warns_of_what_looks_wrong_and_fails_for_it_only_where_it_is_strict(tmp_path, record, caplog):
    path = record(tmp_path / "d")  # episodes of a few frames

    assert cli.main(["dataset", "verify", str(path)]) == 0
    assert "every episode: shorter than 1 s; delete it" in caplog.text
    assert cli.main(["dataset", "verify", "--strict", str(path)]) == 1


def test_convert_takes_a_calibration_or_units_and_not_both(tmp_path, theirs, caplog):
    entry = {"drive_mode": 0, "homing_offset": 0, "range_min": 1000, "range_max": 3000}
    (tmp_path / "arm.json").write_text(json.dumps({name: {"id": i, **entry} for i, name in enumerate(arm.JOINT_NAMES, 1)}))
    command = ["dataset", "convert", str(theirs), str(tmp_path / "new")]
    for how in ([], ["--units", "degrees", "--calibration", "arm.json"], ["--units", "radians"]):
        assert cli.main([*command, *how]) == 2

    assert cli.main([*command, "--calibration", str(tmp_path / "arm.json")]) == 0
    assert cli.main([*command, "--calibration", str(tmp_path / "arm.json")]) == 1
    assert "new is not empty" in caplog.text
    assert Dataset.open(tmp_path / "new").columns[spec.STATE].max(axis=0) == pytest.approx([1000 * 360 / 4095] * 5 + [100])


@pytest.mark.parametrize(
    ("words", "made"),
    [
        (["merge", "{d}", "{e}", "--into", "{new}"], {"": 6}),
        (["delete", "{d}", "{new}", "--episodes", "0,2"], {"": 1}),
        (["delete", "{d}", "{new}", "--episodes", "1-2"], {"": 1}),
        (["split", "{d}", "{new}", "--part", "train=0.67", "--part", "val=2:3"], {"train": 2, "val": 1}),
    ],
)
def test_new_datasets_are_sound_and_the_old_ones_untouched(tmp_path, record, content, words, made):
    places = {"new": str(tmp_path / "new")} | {name: str(record(tmp_path / name)) for name in "de"}
    before = [content(tmp_path / name) for name in "de"]

    assert cli.main(["dataset", *(word.format(**places) for word in words)]) == 0
    for name, episodes in made.items():
        assert cli.main(["dataset", "verify", str(tmp_path / "new" / name)]) == 0
        assert Dataset.open(tmp_path / "new" / name).n_episodes == episodes
    assert [content(tmp_path / name) for name in "de"] == before


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["merge", "d", "nowhere", "--into", "new"], 1, "nowhere does not exist"),
        (["merge", "--into", "new"], 2, "Missing argument"),
        (["delete", "d", "new", "--episodes", "7"], 1, r"has no episodes [7]; it has 0..2"),
        (["delete", "d", "new", "--episodes", "one"], 2, "must be numbers and ranges, as in 3,7-9"),
        (["delete", "d", "data/record", "--episodes", "1"], 1, "is no place for a recording"),
        (["split", "d", "new", "--part", "train=nan"], 2, "must be NAME=SHARE or NAME=FIRST:END"),
        (["split", "d", "new", "--part", "train=0:x"], 2, "must be NAME=SHARE or NAME=FIRST:END"),
        (["split", "d", "new", "--part", "train=2:9"], 1, "there are the episodes 0..2"),
        (["verify", "--strict"], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_written(tmp_path, record, monkeypatch, capsys, words, status, message):
    record(tmp_path / "d")
    (tmp_path / "dvc.yaml").write_text("stages: {record: {outs: [data/record]}}")
    monkeypatch.chdir(tmp_path)

    assert cli.main(["dataset", *words]) == status
    assert message in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "dvc.yaml"]


def test_programs_read_what_a_dataset_holds_and_what_is_wrong_with_it(tmp_path, record, theirs, capsys):
    path = str(record(tmp_path / "d"))
    statuses = [cli.main([*words, "--json"]) for words in (["dataset", "info", path], ["dataset", "verify", path])]
    statuses += [cli.main(["info", str(theirs), "--json"])]
    out, facts = capsys.readouterr().out, []
    while out.strip():
        value, end = json.JSONDecoder().raw_decode(out.lstrip())
        facts.append(value)
        out = out.lstrip()[end:]
    held, verdict, lerobot = facts

    assert statuses == [0, 0, 0]
    assert (held["episodes"], held["fps"], held["unknown_units"], held["splits"]) == (3, 30, [], {"train": "0:3"})
    assert held["features"]["action"]["units"] == ["deg"] * 5 + ["percent"]
    assert verdict["faults"] == []
    assert "shorter than 1 s" in verdict["suspicious"][0]
    assert lerobot["dataset"]["unknown_units"] == ["observation.state", "action"]
    assert lerobot["dataset"]["features"]["observation.images.front"]["names"] == ["height", "width", "channels"]
    assert lerobot["dataset"]["not_loaded"] == {}
    assert lerobot["versions"]["soarm"]
