"""An eye in a bundle, its cameras, and the environments that it looks at."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch

from soarm.export.bundle import add_eye
from soarm.export.setting import mounting_of
from soarm.eye.network import Eye, EyeConfig
from soarm.params import changed
from soarm.runtime.bundle import CAMERAS_FILE, Bundle
from soarm.runtime.eye import load_eye, seeing
from soarm.runtime.latency import measure
from soarm.sim.batch_env import BatchSim
from soarm.spec import ENVIRONMENT_STATE, IMAGES, STATE, TRUE_OBJECTS, Feature
from soarm.tasks.pick_place import TASK

CAMERA = {"width_px": 32, "height_px": 24, "supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}
CAMERAS = {
    "front": {**CAMERA, "position_m": [0.0, -0.6, 0.46], "target_m": [0.0, -0.185, 0.0], "fovy_deg": 30.0},
    "wrist": CAMERA,
}
CONFIG = EyeConfig(vision_backbone="light", n_keypoints=3, n_glimpses=1, map_channels=2, map_dim=4, hidden=8)


pytestmark = pytest.mark.chain  # an export of its own takes seconds


@pytest.fixture(scope="module")
def two(sim):
    return changed(sim, {"cameras": CAMERAS}, "sim")


@pytest.fixture(scope="module")
def eye():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Eye(CONFIG, TASK, {name: Feature.image(24, 32) for name in CAMERAS}).eval()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, exported, trained, eye, two):
    folder = tmp_path_factory.mktemp("with_an_eye") / "bundle"
    shutil.copytree(exported, folder)
    (folder / CAMERAS_FILE).write_text(mounting_of(two).to_json())
    add_eye(folder, trained.spec, eye, 20)
    return Bundle.open(folder)


def test_an_exported_eye_answers_as_the_trained_one(bundle, eye):
    rng = np.random.default_rng(0)
    asked = {f"{IMAGES}.{name}": rng.integers(0, 256, (3, 24, 32, 3), np.uint8) for name in CAMERAS}
    asked[STATE] = rng.normal(size=(3, 6)).astype(np.float32) * 20.0

    np.testing.assert_allclose(load_eye(bundle).network.look(asked), eye.look(asked), atol=1e-5)
    assert set(measure(bundle, 1)) == {"act", "residual", "eye", "tick"}


def test_environments_with_the_bundles_eye_tell_what_it_sees_and_keep_the_truth(bundle, two):
    truth = BatchSim(two, 2).reset(np.arange(2), [3, 4])
    observation = seeing(bundle, BatchSim(two, 2)).reset(np.arange(2), [3, 4])

    np.testing.assert_allclose(observation[ENVIRONMENT_STATE], load_eye(bundle).estimate(truth)[0], atol=1e-5)
    np.testing.assert_array_equal(observation[TRUE_OBJECTS], truth[ENVIRONMENT_STATE])


def test_a_bundle_says_how_its_cameras_were_mounted(bundle, two):
    cameras = bundle.mounting.cameras
    direction = np.array([0.0, 0.415, -0.46]) / np.hypot(0.415, 0.46)

    assert (cameras["front"].body, cameras["wrist"].body) == ("world", "gripper")
    assert cameras["front"].position_m == (0.0, -0.6, 0.46)
    np.testing.assert_allclose(cameras["front"].direction, direction, atol=1e-6)
    np.testing.assert_allclose(cameras["wrist"].direction, np.array([0.0, -0.1, -0.065]) / np.hypot(0.1, 0.065), atol=1e-6)
    assert (cameras["front"].fovy_deg, cameras["wrist"].fovy_deg) == (30.0, 75.0)
    assert bundle.mounting.look["picture"]["noise"] == [0.0, 0.0]
    assert mounting_of(changed(two, {"cameras": {}}, "sim")) is None
