from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from soarm import params as params_file
from soarm.cli import main
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import ObservationError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.states import State
from soarm.runtime.objects import CalledObjects, FileObjects
from soarm.runtime.sensors import Stamped
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.registry import find
from soarm.teleop import arms
from soarm.teleop.follower import ArmFollower
from soarm.twin.twin import Twin

ROOT = Path(__file__).parents[2]


def test_a_session_without_a_hand_records_what_training_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "demo"
    command = ["control", "--leader", "expert", "--fast", "--dataset", str(folder), "--params", str(ROOT / "params.yaml")]
    status = main([*command, "--episodes", "1"])
    more = main([*command, "--episodes", "1", "--seed", "7"])
    dataset = Dataset.open(folder)
    timing = json.loads((tmp_path / "demo.timing.json").read_text())

    assert status == more == 0
    assert dataset.n_episodes == 2
    assert dict(dataset.features) == find(params_file.load(ROOT / "params.yaml").task).features
    assert [(line["episode"], line["late"]) for line in timing["kept"]] == [(0, 0), (1, 0)], "of both sessions"


def test_going_on_with_a_dataset_brings_scenes_that_it_has_not(tmp_path: Path) -> None:
    command = ["control", "--leader", "expert", "--fast", "--dataset", str(tmp_path / "d"), "--episodes", "1"]
    assert main([*command, "--params", str(ROOT / "params.yaml")]) == 0
    assert main([*command, "--params", str(ROOT / "params.yaml")]) == 0
    first, second = (Dataset.open(tmp_path / "d").episode(i).values[ENVIRONMENT_STATE][0] for i in range(2))

    assert not np.array_equal(first, second)


def test_a_second_session_into_the_same_dataset_is_refused_before_anything_moves(tmp_path: Path, capsys, caplog) -> None:
    with Recorder.create(tmp_path / "d", TASK.features, 30, "so100_follower", "go"):
        command = ["control", "--leader", "expert", "--fast", "--dataset", str(tmp_path / "d"), "--episodes", "1"]
        assert main([*command, "--params", str(ROOT / "params.yaml")]) == 1

    assert "records into it, and one at a time may" in capsys.readouterr().err + caplog.text
    assert not (tmp_path / "d.timing.json").exists()


def test_the_simulated_arm_needs_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    status = main(["control", "--leader", "expert", "--fast", "--dataset", "datasets/demo", "--episodes", "1"])

    assert status == 0
    assert Dataset.open(Path("datasets/demo")).n_episodes == 1


def test_a_script_and_a_recorded_episode_drive_without_recording(tmp_path: Path, caplog, capsys) -> None:
    params = ["--params", str(ROOT / "params.yaml")]
    command = ["control", "--fast", *params, "--leader"]
    assert main([*command, "expert", "--episodes", "1", "--dataset", str(tmp_path / "d")]) == 0
    before = sorted(tmp_path.rglob("*"))
    caplog.clear()
    caplog.set_level("INFO")

    assert main([*command, "expert", "--episodes", "1"]) == 0
    assert main([*command, "replay", "--replay", str(tmp_path / "d")]) == 0
    assert (capsys.readouterr().err + caplog.text).count("1 of 1 played; nothing is recorded without --dataset") >= 2
    assert sorted(tmp_path.rglob("*")) == before
    assert main([*command, "replay"]) == 2
    arm = ["--follower", "arm", "--port", "x", "--calibration", "x"]
    assert main([*command, "expert", *arm]) == 2, "the expert must see the objects"
    assert "--objects must be given as well" in capsys.readouterr().err


def test_a_task_is_one_that_there_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "control",
        "--leader",
        "expert",
        "--fast",
        "--dataset",
        str(tmp_path / "d"),
        "--params",
        str(ROOT / "params.yaml"),
    ]

    assert main([*words, "--task", "Push the cube."]) == 1
    assert "task is 'Push the cube.'; `tasks` holds ['pick_place', 'push', 'stack']" in capsys.readouterr().err


def test_the_simulated_arm_does_the_task_that_is_named_and_says_what_is_asked_in_ones_own_words(tmp_path: Path) -> None:
    words = ["control", "--leader", "expert", "--fast", "--dataset", str(tmp_path / "d"), "--episodes", "1"]
    status = main([*words, "--params", str(ROOT / "params.yaml"), "--task", "push", "--instruction", "Shove it."])
    dataset = Dataset.open(tmp_path / "d")

    assert status == 0
    assert dict(dataset.features) == find("push").features
    assert dataset.tasks == ("Shove it.",)


def test_speed_is_for_scripts_alone(tmp_path: Path) -> None:
    assert main(["control", "--leader", "keyboard", "--fast", "--dataset", str(tmp_path / "d")]) == 2


def test_an_arm_is_driven_through_the_safety_chain() -> None:
    sent: list[np.ndarray] = []
    ages_s = np.zeros(6)
    arm = SimpleNamespace(
        observe=lambda: SimpleNamespace(q=np.arange(6.0), age_s=ages_s.copy()),
        command=sent.append,
        hold=lambda: sent.append(np.zeros(0)),
        state=State.ACTIVE,
        fault=None,
    )
    seeds: list[int] = []
    clock = SimpleNamespace(t=5.0)
    objects = SimpleNamespace(subject="cube and bin", read=lambda: Stamped(5.0, np.ones(7, np.float32)))
    follower = ArmFollower(
        arm,
        {ENVIRONMENT_STATE: objects},
        lambda wanted, present: np.minimum(wanted, present + 1),
        30,
        seeds.append,
        lambda: True,
        now=lambda: clock.t,
    )
    follower.reset(3)
    seen = follower.observe()
    said = follower.act(np.full(6, 100.0))
    follower.stop()
    fresh, was_stale = follower.unfit(), follower.is_stale()
    clock.t, ages_s[4] = 5.4, 0.02
    follower.observe()

    assert seeds == [3]
    assert follower.done() is True
    assert set(seen) == {STATE, ENVIRONMENT_STATE}
    np.testing.assert_array_equal(sent[0], np.arange(6.0) + 1)
    assert said is sent[0], "what is recorded is what was sent"
    assert fresh is None
    assert not was_stale
    assert follower.is_stale(), "half a step of 30 Hz is 17 ms"
    assert "cube and bin were last seen 0.40 s ago, and 0.15 s are allowed" in str(follower.unfit())
    assert len(sent[1]) == 0


def test_objects_that_cannot_be_are_no_sight_and_the_reason_is_told() -> None:
    def read() -> Stamped:
        if clock.t > 5.0:
            raise ObservationError("the cube is out of reach")
        return Stamped(clock.t, np.ones(7, np.float32))

    objects = SimpleNamespace(subject="cube and bin", read=read)
    arm = SimpleNamespace(observe=lambda: SimpleNamespace(q=np.arange(6.0), age_s=np.zeros(6)))
    clock = SimpleNamespace(t=5.0)
    follower = ArmFollower(arm, {ENVIRONMENT_STATE: objects}, lambda wanted, _: wanted, 30, now=lambda: clock.t)
    follower.observe()
    clock.t = 5.1
    follower.observe()
    soon = follower.unfit()
    clock.t = 5.2
    follower.observe()

    assert soon is None
    assert str(follower.unfit()).endswith("look at what tells of them (the cube is out of reach)")


@pytest.mark.parametrize("objects", [[0, -200, 12.5, 1, 0, 150, -150], [0, -0.2, -0.3, 1, 0, 0.15, -0.15]])
def test_objects_that_cannot_be_are_refused_before_any_arm_is_met(tmp_path: Path, objects: list[float]) -> None:
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"objects": objects}))
    following = arms.follower(
        "/no/port", Calibration.nominal(), ArmConfig(), TASK, {ENVIRONMENT_STATE: FileObjects(TASK, path)}, 30
    )

    with pytest.raises(ObservationError, match="cube or bin cannot be there"), following:
        pass


def test_an_arm_that_is_driven_by_hand_rests_beside_the_bin(twin: Twin) -> None:
    """Without objects nothing is known of the table, and it rests where its settings say."""
    seen = np.array([0.17, -0.2, 0.0125, 1.0, 0.0, 0.0, -0.21])
    config, turned = ArmConfig(timeout_s=1.0, park_speed=250.0), []
    for sensors in ({ENVIRONMENT_STATE: CalledObjects(TASK, lambda: seen)}, {}):
        with arms.follower(twin.ports[0], twin.config.calibration, config, TASK, sensors, 30, deadman=False):
            pass
        turned.append(abs(twin.q()[0]))

    assert turned[0] > 20
    assert turned[1] < 3


def test_nothing_is_recorded_where_a_stage_writes(tmp_path, monkeypatch, caplog):
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    monkeypatch.chdir(tmp_path)
    params = ["--params", str(ROOT / "params.yaml")]
    statuses = [
        main(["control", "--leader", "expert", "--fast", "--episodes", "1", "--dataset", "data/record", *params]),
        main(["control", "--from-log", "run.log", "--dataset", "data/train_act"]),
    ]

    assert statuses == [1, 1]
    assert "the stage record of the chain writes" in caplog.text
    assert "Take a folder of your own, datasets/mine" in caplog.text
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dvc.yaml"]


def test_a_dataset_that_dvc_tracks_wants_to_be_added_again(tmp_path, caplog):
    (tmp_path / "mine.dvc").touch()
    params = ["--params", str(ROOT / "params.yaml")]
    status = main(["control", "--leader", "expert", "--fast", "--episodes", "1", "--dataset", str(tmp_path / "mine"), *params])

    assert status == 0
    assert f"is tracked by DVC: `dvc add {tmp_path / 'mine'}` now" in caplog.text
