"""What a person names on the command line becomes the sensors of a run, or is refused by name."""

from __future__ import annotations

import sys
import time
import types

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime import senses
from soarm.runtime.picture_file import encode
from soarm.runtime.tracked import TrackedObjects
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, Feature, PolicySpec
from soarm.tasks.pick_place import TASK


def bundle(cameras, *, told=True):
    """Return what of a bundle is looked at."""
    features = {STATE: JOINT_FEATURE, ACTION: JOINT_FEATURE, **({ENVIRONMENT_STATE: TASK.objects} if told else {})}
    wanted = {name: Feature.image(2, 3) for name in cameras}
    return types.SimpleNamespace(task=TASK, cameras=wanted, eye_cameras={}, spec=PolicySpec(features, 30))


@pytest.fixture
def opencv(monkeypatch):
    """OpenCV, whose device 0 gives 6 x 4 px of noise; what devices were asked for."""
    asked = []

    class Capture:
        def __init__(self, device):
            asked.append(device)
            self._opened = device != "/dev/none"

        def isOpened(self):  # noqa: N802 - OpenCV's name
            return self._opened

        def set(self, key, value):
            pass

        def read(self):
            time.sleep(0.001)
            return True, np.random.default_rng().integers(0, 256, (4, 6, 3), np.uint8)

        def release(self):
            pass

    fake = types.SimpleNamespace(
        VideoCapture=Capture, CAP_PROP_FRAME_WIDTH=3, CAP_PROP_FRAME_HEIGHT=4, CAP_PROP_BUFFERSIZE=38, INTER_AREA=3
    )
    fake.resize = lambda picture, size, interpolation: np.ascontiguousarray(picture[::2, ::2])
    monkeypatch.setitem(sys.modules, "cv2", fake)
    return asked


def test_cameras_of_opencv_and_pictures_in_files_stand_beside_the_objects(opencv, tmp_path, caplog):
    caplog.set_level("INFO")
    (tmp_path / "wrist.ppm").write_bytes(encode(np.zeros((2, 3, 3), np.uint8)))
    words = ["front=0", f"wrist={tmp_path / 'wrist.ppm'}"]
    with senses.opened(bundle(["front", "wrist"]), tmp_path / "objects.json", [], words) as sensors:
        front = sensors["observation.images.front"].read()

    assert list(sensors) == ["observation.images.front", "observation.images.wrist", ENVIRONMENT_STATE]
    assert (front.value.dtype, front.value.shape) == (np.uint8, (2, 3, 3))
    assert opencv == [0]
    assert isinstance(sensors[ENVIRONMENT_STATE], TrackedObjects)
    assert "the camera front gives pictures of 6 x 4 px, averaged to 3 x 2" in caplog.text


def test_a_policy_that_is_told_of_no_objects_needs_none(tmp_path):
    (tmp_path / "front.ppm").write_bytes(encode(np.zeros((2, 3, 3), np.uint8)))
    with senses.opened(bundle(["front"], told=False), None, [], [f"front={tmp_path / 'front.ppm'}"]) as sensors:
        assert list(sensors) == ["observation.images.front"]


@pytest.mark.parametrize(
    ("cameras", "words", "message"),
    [
        (
            ["front", "wrist"],
            ["front=0"],
            r"looks through front and wrist: the camera wrist is missing; give --camera front=D",
        ),
        (["front"], ["front=0", "side=1"], r"it has no camera side; give --camera front=DEVICE. DEVICE is a number"),
        ([], ["front=0"], r"looks through no camera: it has no camera front; give no --camera"),
        (["front"], ["front"], r"--camera 'front' is no camera; write it as in front=0"),
        (["front"], ["front=0", "front=1"], r"--camera front is given twice, as 0 and 1"),
        (["front"], ["front=/dev/none"], r"the camera front cannot be opened at /dev/none"),
        (["front"], ["front=none.ppm"], r"none.ppm cannot be read"),
    ],
)
def test_a_camera_that_is_missing_unknown_or_cannot_be_opened_is_named(opencv, cameras, words, message):
    with pytest.raises(ObservationError, match=message), senses.opened(bundle(cameras), None, [], words):
        pass
