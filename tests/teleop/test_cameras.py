"""Cameras that a session records, as they are named on a command line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from soarm.cli import main
from soarm.dataset.reader import Dataset
from soarm.errors import TeleopError
from soarm.runtime import picture_file
from soarm.spec import ENVIRONMENT_STATE, IMAGES, Feature
from soarm.tasks.pick_place import TASK
from soarm.teleop import cameras, recording
from soarm.teleop.cameras import CameraChoice, choices
from soarm.teleop.control import ControlConfig

FRONT = f"{IMAGES}.front"
PARAMS = ["--params", str(Path(__file__).parents[2] / "params.yaml")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("front=0", CameraChoice("front", "0", 640, 480)),
        ("front=/dev/video2:320x240", CameraChoice("front", "/dev/video2", 320, 240)),
        ("wrist=rtsp://10.0.0.2:554/cam:96x64", CameraChoice("wrist", "rtsp://10.0.0.2:554/cam", 96, 64)),
    ],
)
def test_a_device_may_hold_what_separates_the_size(text, expected):
    assert choices([text], simulated=False) == [expected]


def test_cameras_of_the_simulator_have_no_device():
    assert choices(["front:96x64", "wrist"], simulated=True) == [
        CameraChoice("front", None, 96, 64),
        CameraChoice("wrist", None, 640, 480),
    ]


@pytest.mark.parametrize(
    ("texts", "simulated", "message"),
    [
        (["front"], False, r"'front' is no camera; write NAME=DEVICE:WxH"),
        (["front=0"], True, r"'front=0' is no camera; write NAME:WxH"),
        (["front:97x96"], True, r"'front:97x96': width and height must be even numbers up to 4096"),
        (["a=0", "a=1", "=3"], False, r"the camera a is named twice; '=3' is no camera"),
    ],
)
def test_what_is_no_camera_is_refused_with_every_fault(texts, simulated, message):
    with pytest.raises(TeleopError, match=message):
        choices(texts, simulated=simulated)


def test_a_camera_without_a_dataset_is_refused():
    assert ControlConfig(cameras=("front",)).fault() == "--camera records, and needs --dataset"
    arm = {"follower": "arm", "port": "p", "calibration": Path("c"), "dataset": Path("d")}
    assert ControlConfig(**arm).fault() == "--objects must be given as well"
    assert ControlConfig(**arm, cameras=("front=0",)).fault() is None


def test_an_arm_with_cameras_is_recorded_without_objects_where_nothing_tells_of_them():
    chosen = choices(["front=0:96x64"], simulated=False)
    told, untold = (recording.features(TASK, chosen, objects=objects) for objects in (True, False))

    assert untold == {key: f for key, f in told.items() if key != ENVIRONMENT_STATE}
    assert told == {**TASK.features, FRONT: Feature.image(64, 96)}


def test_pictures_come_in_the_size_that_is_recorded(tmp_path):
    file = tmp_path / "front.ppm"
    file.write_bytes(picture_file.encode(np.full((64, 96, 3), 70, np.uint8)))
    os.utime(file)
    with cameras.opened(choices([f"front={file}:48x32"], simulated=False)) as sensors:
        picture = sensors[FRONT].read().value

    assert (picture.shape, picture.dtype, int(picture.mean())) == ((32, 48, 3), np.uint8, 70)


@pytest.mark.slow
def test_the_simulator_s_cameras_are_recorded(tmp_path, caplog):
    caplog.set_level("INFO")
    command = ["control", "--leader", "expert", "--fast", "--episodes", "1", "--dataset", str(tmp_path / "d"), *PARAMS]

    assert main([*command, "--camera", "front:48x32"]) == 0
    dataset = Dataset.open(tmp_path / "d")
    shown = dataset.pictures[FRONT].gather(np.arange(dataset.n_frames))
    assert shown.shape == (dataset.n_frames, 32, 48, 3)
    assert len(np.unique(shown.reshape(len(shown), -1).astype(int).sum(axis=1))) > 10
    assert f"{dataset.n_frames} pictures were encoded and none was lost" in caplog.text
