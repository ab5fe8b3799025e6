"""What a stage refuses before its first step: datasets and checkpoints that are not of the arm and the simulator."""

from __future__ import annotations

import dataclasses
import importlib
import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import yaml

from soarm.dataset import layout
from soarm.dataset.recorder import Recorder
from soarm.errors import SoarmError, SpecMismatchError
from soarm.runtime.bundle import Bundle
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature, content_hash
from soarm.tasks.pick_place import TASK

ROOT = Path(__file__).parents[1]
REVERSED = Feature((6,), JOINT_FEATURE.names[::-1], JOINT_FEATURE.units[::-1])
TWELVE = Feature((12,), tuple(f"{side}_{name}" for side in ("left", "right") for name in JOINT_FEATURE.names), ("deg",) * 12)


@pytest.fixture
def train_act(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The stage, in a repository with the parameters; its training is done when it begins."""
    stage = in_a_repository("train_act", tmp_path, monkeypatch)
    monkeypatch.setattr(stage, "train", lambda dataset, *_, **__: (_ for _ in ()).throw(InterruptedError(dataset.features)))
    return stage


def in_a_repository(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return a stage, in a repository with the parameters."""
    (tmp_path / "params.yaml").write_text((ROOT / "params.yaml").read_text())
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # a stage that fails leaves its own
    return importlib.import_module(f"stages.{name}")


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


BUNDLE = ROOT / "examples" / "bundle"


@pytest.fixture
def taught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what runs the stage `record`, of one episode, with a policy in the expert's place."""
    stage = in_a_repository("record", tmp_path, monkeypatch)
    monkeypatch.setenv("SOARM_TRACKING", "off")

    def run(policy: Path | str, task: str = "pick_place", sim: Mapping[str, object] = {}, **record: object) -> None:
        data = yaml.safe_load(Path("params.yaml").read_text())
        data["base"]["record"] |= {"policy": str(policy), "n_episodes": 1, "n_rows": 1, **record}
        data["base"]["sim"] |= sim
        Path("params.yaml").write_text(yaml.safe_dump({**data, "task": task}))
        stage.main()

    return run


def test_a_policy_demonstrates_in_the_expert_s_place_and_is_named(taught: Callable[..., None]) -> None:
    taught(BUNDLE, noise_deg=3.0)

    found = json.loads(Path("data/metrics/record.json").read_text())
    bundle = content_hash((BUNDLE / "checksums.json").read_bytes())
    assert (found["policy"], found["bundle"], found["episodes"]) == ("residual", bundle, 1)
    assert (found["noise_deg"], found["policy_success_rate"]) == (3.0, 1.0)
    card = Path("data/record/README.md").read_text()
    for told in ("of a trained policy", bundle, "noise_deg: 3.0", "arXiv 1703.09327"):
        assert told in card
    assert "script" not in card


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"policy": "nowhere"}, r"record\.policy is nowhere, and there is no such folder; name a bundle .* or null"),
        ({"policy": "."}, r"checksums\.json .* is not a whole bundle"),
        ({"policy": BUNDLE, "task": "push"}, r"its task is pick_place; `task` in params\.yaml is push"),
        ({"policy": BUNDLE, "sim": {"control_hz": 15}}, r"its rate is 30 Hz; the simulator runs at sim\.control_hz 15"),
    ],
)
def test_a_policy_that_cannot_demonstrate_is_refused_before_the_first_step(
    taught: Callable[..., None], asked: dict[str, object], fault: str
) -> None:
    with pytest.raises(SoarmError, match=f"(?s){fault}"):
        taught(**asked)
    assert not Path("data/record").exists()


def test_a_policy_that_looks_through_a_camera_needs_it_in_the_simulator(
    taught: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Bundle.open(BUNDLE).spec
    seeing = dataclasses.replace(spec, features={**spec.features, "observation.images.front": Feature.image(64, 96)})
    monkeypatch.setattr(Bundle, "open", lambda folder: Bundle(folder, seeing, {}, {}))

    with pytest.raises(SpecMismatchError, match=r"observation\.images\.front .* name the camera in\s+base\.sim\.cameras"):
        taught(BUNDLE)


@pytest.mark.parametrize("path", sorted((ROOT / "stages").glob("[!_]*.py")), ids=lambda path: path.stem)
def test_whatever_takes_a_dataset_or_a_network_compares_it(path: Path) -> None:
    source = path.read_text()
    takes = re.search(r"Dataset\.open|load_base|actor\.load|Bundle\.open\((run\.input|folder)", source) is not None

    assert ("require_fitting(" in source) == takes
