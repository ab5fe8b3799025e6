from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm.errors import TwinError
from soarm.runtime.fitting import Fitting
from soarm.runtime.picture_file import PictureFile
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import CameraParams
from soarm.spec import Feature
from soarm.twin.rendering import PICTURES_HZ, PictureFolder, RenderedCamera, RenderedCameras

pytestmark = pytest.mark.usefixtures("rays")


@pytest.fixture(scope="module")
def seeing(sim):
    """The simulator with two small cameras."""
    return dataclasses.replace(sim, cameras={"front": CameraParams(32, 24), "wrist": CameraParams(16, 16)})


@pytest.fixture
def cameras(twin, seeing):
    twin.reset(3)
    with RenderedCameras(twin, seeing) as cameras:
        yield cameras


def test_the_twins_cameras_see_what_the_simulators_do(cameras, seeing):
    expected = BatchSim(seeing, 1).reset(np.arange(1), [3])
    found = cameras.take()

    assert list(found) == ["front", "wrist"]
    for name, picture in found.items():
        assert picture.std() > 5.0
        np.testing.assert_array_equal(picture, expected[f"observation.images.{name}"][0])


def test_pictures_of_one_moment_are_drawn_once_and_a_sensor_tells_the_newest(cameras, twin):
    front = RenderedCamera(cameras.take, "front", lambda: 7.0)
    before = front.read()
    assert front.read().value is before.value
    assert (before.t_s, front.subject) == (7.0, "pictures of the camera front")
    twin.reset(4)

    assert (front.read().value != before.value).any()


def test_another_process_finds_a_fresh_picture_of_each_camera_in_the_folder(cameras, twin, tmp_path):
    clock = [100.0]
    folder = PictureFolder(cameras, tmp_path / "new" / "pictures", now=lambda: clock[0])
    files = {
        name: PictureFile(tmp_path / "new" / "pictures" / f"{name}.ppm", name, Fitting(name, Feature.image(*size)))
        for name, size in {"front": (24, 32), "wrist": (16, 16)}.items()
    }
    folder.refresh()
    for name, file in files.items():
        np.testing.assert_array_equal(file.read().value, cameras.take()[name])
    before = files["front"].read()
    twin.reset(4)
    folder.refresh()
    assert files["front"].read() is not before
    np.testing.assert_array_equal(files["front"].read().value, before.value)
    clock[0] += 1.01 / PICTURES_HZ
    folder.refresh()

    assert (files["front"].read().value != before.value).any()
    assert sorted(path.name for path in (tmp_path / "new" / "pictures").iterdir()) == ["front.ppm", "wrist.ppm"]


def test_a_twin_without_cameras_says_where_they_are_named(twin, sim, tmp_path):
    with pytest.raises(TwinError, match=r"no cameras to draw: name them with --camera, as in --camera front:96x96"):
        PictureFolder(RenderedCameras(twin, sim), tmp_path)


def test_a_folder_that_cannot_be_made_is_said(cameras, tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(TwinError, match="choose another place for --pictures"):
        PictureFolder(cameras, tmp_path / "file" / "pictures")
