"""What a stage refuses before its first step: datasets and checkpoints that are not of the arm and the simulator."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.errors import SpecMismatchError
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature
from soarm.tasks.pick_place import TASK

ROOT = Path(__file__).parents[1]
REVERSED = Feature((6,), JOINT_FEATURE.names[::-1], JOINT_FEATURE.units[::-1])
TWELVE = Feature((12,), tuple(f"{side}_{name}" for side in ("left", "right") for name in JOINT_FEATURE.names), ("deg",) * 12)


@pytest.fixture
def train_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The stage, in a repository with the parameters; its training is done when it begins."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # a stage that fails leaves its own
    stage = importlib.import_module("stages.train_act")
    monkeypatch.setattr(stage, "train", lambda dataset, *_, **__: (_ for _ in ()).throw(InterruptedError(dataset.features)))
    return stage


def named(folder: Path, **values: object) -> None:
    data = yaml.safe_load(Path("params.yaml").read_text())
    Path("params.yaml").write_text(yaml.safe_dump({**data, "dataset": str(folder), **values}))


def record(folder: Path, fps: int, units_said: bool = True, **features: Feature) -> Path:
    """Record two short episodes with the features given; without our file, as LeRobot leaves a dataset."""
    keys = {"state": STATE, "objects": ENVIRONMENT_STATE, "action": ACTION}
    described = {keys[name]: feature for name, feature in features.items()}
    with Recorder.create(folder, described, fps, layout.ROBOT_TYPE, "pick") as recorder:
        for _ in range(2):
            seen = {key: np.zeros((5, *feature.shape), np.float32) for key, feature in described.items() if key != ACTION}
            recorder.save_episode(seen, np.zeros((5, *described[ACTION].shape), np.float32))
    if not units_said:
        (folder / layout.SPEC_PATH).unlink()
    return folder


def test_reversed_joints_another_rate_twelve_joints_and_no_objects_are_listed_at_once(
    train_act: ModuleType, tmp_path: Path
) -> None:
    named(record(tmp_path / "mine", 15, state=TWELVE, action=REVERSED))
    with pytest.raises(SpecMismatchError) as caught:
        train_act.main()

    for told in (
        "observation.state has size 12",
        "in another order, gripper.pos",
        "neither observation.environment_state",
        "rate is 15 Hz",
    ):
        assert told in str(caught.value)
    assert (tmp_path / "mine" / "meta" / "info.json").is_file()


def test_units_that_nobody_said_are_asked_for_once(train_act: ModuleType, tmp_path: Path) -> None:
    folder = record(tmp_path / "theirs", 30, False, state=JOINT_FEATURE, objects=TASK.objects, action=JOINT_FEATURE)
    named(folder)
    with pytest.raises(SpecMismatchError, match=r"does not say its units.*dataset_units: degrees.*soarm dataset convert"):
        train_act.main()
    named(folder, dataset_units="degrees", task="pick_place")
    with pytest.raises(InterruptedError) as begun:
        train_act.main()

    assert begun.value.args[0] == TASK.features


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_whatever_takes_a_dataset_or_a_network_compares_it(path: Path) -> None:
    source = path.read_text()
    takes = re.search(r"Dataset\.open|load_base|actor\.load|Bundle\.open\(run\.input", source) is not None

    assert ("require_fitting(" in source) == takes
