from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from soarm.errors import CheckpointError, SpecMismatchError
from soarm.estimation import told_alone
from soarm.eye import checkpoint
from soarm.eye.training import TrainedEye
from soarm.eye.world import environments, eye_of
from soarm.sim.env import SimEnv
from soarm.sim.params import CameraParams, SimParams
from soarm.spec import ENVIRONMENT_STATE, TRUE_OBJECTS
from soarm.vision.trunks import build_trunk, load_part


@pytest.fixture
def folder(tried: TrainedEye, tmp_path: Path) -> Path:
    checkpoint.save(tried.model, tmp_path)
    return tmp_path


def test_an_eye_that_is_read_sees_the_same(tried: TrainedEye, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    looked_at = tried.examples.observation(slice(0, 8))

    again = checkpoint.load(folder)

    np.testing.assert_array_equal(again.look(looked_at), tried.model.look(looked_at))
    other = tmp_path_factory.mktemp("again")
    checkpoint.save(again, other)
    for name in (checkpoint.CONFIG_FILE, checkpoint.WEIGHTS_FILE):
        assert (other / name).read_bytes() == (folder / name).read_bytes()


def test_a_base_may_start_from_what_the_eye_has_learnt(tried: TrainedEye, folder: Path) -> None:
    trunk = build_trunk("light")

    load_part(trunk, folder / checkpoint.WEIGHTS_FILE)

    for name, weight in trunk.state_dict().items():
        assert torch.equal(weight, tried.model.perception.backbone.state_dict()[name]), name


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("config.json", "{}", "is not an eye's configuration"),
        ("config.json", '{"task": "fly", "network": {}, "cameras": {}}', "is not an eye's configuration"),
        ("config.json", "[1", "is not an eye's configuration"),
        ("eye.safetensors", "x", "does not hold the weights"),
    ],
)
def test_a_damaged_eye_is_refused_with_what_to_do(folder: Path, name: str, content: str, told: str) -> None:
    (folder / name).write_text(content)

    with pytest.raises(CheckpointError, match=rf"{name} {told}.*train it again with `dvc repro train_eye`"):
        checkpoint.load(folder)


def test_a_missing_eye_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"config\.json does not exist; an eye is config\.json and eye\.safetensors"):
        checkpoint.load(tmp_path)


def test_an_eye_of_other_cameras_is_refused(folder: Path, seeing: SimParams) -> None:
    wider = dataclasses.replace(seeing, cameras={"front": CameraParams(32, 16)})

    with pytest.raises(SpecMismatchError, match="front 24x16, wrist 16x16; the simulator has pick_place with front 32x16"):
        environments(wider, folder)


def test_environments_tell_what_the_eye_says_and_one_arm_alone_hears_the_same(folder: Path, seeing: SimParams) -> None:
    env, single, eye = environments(seeing, folder)(2, 1), SimEnv(seeing, visuals=False), eye_of(seeing, folder)
    rows, target = np.arange(2), np.array([[10, 0, 5, 90, -90, 30]], np.float32)
    assert eye is not None

    both = env.reset(rows, [3, 4]), env.step(np.repeat(target, 2, axis=0), rows).observation
    observation, _ = single.reset(seed=3)
    alone = told_alone(eye, observation), told_alone(eye, single.step(target[0])[0])

    for batch, one in zip(both, alone, strict=True):
        np.testing.assert_array_equal(batch[TRUE_OBJECTS][:1], one[TRUE_OBJECTS])
        np.testing.assert_array_equal(batch[ENVIRONMENT_STATE][:1], one[ENVIRONMENT_STATE])
        assert np.abs(one[ENVIRONMENT_STATE] - one[TRUE_OBJECTS]).max() > 1e-3, "it has learnt for six steps"
