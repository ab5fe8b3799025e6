from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soarm.cli import main
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import DatasetError, TeleopError
from soarm.runtime import log
from soarm.spec import ACTION, JOINT_FEATURE, STATE, Feature
from soarm.tasks.pick_place import TASK
from soarm.teleop.replayer import Replayer, actions_of
from soarm.teleop.session import Command

ROOT = Path(__file__).parents[2]


def test_an_episode_is_played_again_and_recorded(tmp_path: Path) -> None:
    params = ["--params", str(ROOT / "params.yaml")]
    demo, again = tmp_path / "demo", tmp_path / "again"
    assert main(["control", "--leader", "expert", "--fast", "--episodes", "1", "--dataset", str(demo), *params]) == 0
    played = ["control", "--leader", "replay", "--fast", "--replay", str(demo), "--dataset", str(again)]
    assert main([*played, *params]) == 0
    first, second = (Dataset.open(folder).episode(0).values[ACTION] for folder in (demo, again))

    np.testing.assert_allclose(second, first, atol=1e-5)
    assert main([*played, "--replay-episode", "7", *params]) == 1


def test_the_way_to_the_first_target_is_slow_and_is_no_part_of_the_episode() -> None:
    actions = np.tile(np.array([10.0, 0, 0, 60, 0, 30], np.float32), (4, 1))
    player = Replayer(actions, 30)
    player.connect()
    player.start({STATE: np.array([-10.0, 0, 0, 60, 0, 30], np.float32)})
    targets, asked = [], []
    while Command.KEEP not in (commands := player.commands()):
        asked += commands
        targets.append(player.action({}))
    player.close()

    assert asked == [Command.START]
    assert len(targets) > 20
    assert np.abs(np.diff(np.array(targets), axis=0)).max() * 30 <= 1.9 * 40
    np.testing.assert_array_equal(targets[-1], actions[-1])


def test_a_log_is_played_too_and_what_is_not_there_is_told(tmp_path: Path) -> None:
    records = np.zeros(40, log.record_type(7))
    records["t_s"], records["control"], records["sent"] = np.arange(40) / 30, 1, 1
    records["q_sent"] = np.arange(40)[:, None] * np.ones(6)
    with log.RunLog(tmp_path / "run.log", TASK, {"control_hz": 30}) as run:
        for record in records:
            run.add(record)

    np.testing.assert_allclose(actions_of(tmp_path / "run.log", 0, 30)[:, 0], np.arange(40))
    with pytest.raises(TeleopError, match="has the episodes 0 to 0; there is no 3"):
        actions_of(tmp_path / "run.log", 3, 30)
    with pytest.raises(TeleopError, match="was recorded at 30 Hz, and 50 Hz are requested"):
        actions_of(tmp_path / "run.log", 0, 50)


def _lerobot_recorded(path: Path, names: tuple[str, ...] = JOINT_FEATURE.names) -> Path:
    joints = Feature((6,), names, ("unknown",) * 6)
    values = np.linspace(-100.0, 100.0, 20)[:, None] * np.ones(6)
    with Recorder.create(path, {STATE: joints, ACTION: joints}, 30, "so101_follower", "go") as recorder:
        recorder.save_episode({STATE: values}, values)
    (path / "meta/soarm.json").unlink()
    return path


def test_a_dataset_in_unknown_units_moves_nothing_until_somebody_says_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    theirs = _lerobot_recorded(tmp_path / "theirs")
    command = ["control", "--leader", "replay", "--fast", "--replay", str(theirs), "--dataset", str(tmp_path / "again")]
    command += ["--params", str(ROOT / "params.yaml")]
    assert main(command) == 1
    refused = caplog.text
    assert main([*command, "--replay-units", "degrees"]) == 0

    assert "the units of observation.state and action are unknown" in refused
    assert "say so: --replay-units degrees" in refused
    assert "look like -100..100" in refused
    assert "convert it with the calibration the arm had then: soarm dataset convert" in refused
    with pytest.raises(DatasetError, match=r"units of observation.state and action are unknown"):
        actions_of(theirs, 0, 30)
    np.testing.assert_allclose(actions_of(theirs, 0, 30, "degrees")[-1], 100.0)


def test_joints_in_another_order_are_not_replayed(tmp_path: Path) -> None:
    theirs = _lerobot_recorded(tmp_path / "theirs", tuple(reversed(JOINT_FEATURE.names)))

    with pytest.raises(
        TeleopError, match=r"has the actions \('gripper.pos', .*this arm's are \('shoulder_pan.pos', .*in this order"
    ):
        actions_of(theirs, 0, 30, "degrees")
