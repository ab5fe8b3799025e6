from __future__ import annotations

import queue
import sys
import threading
import time
import types

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime.camera import Camera, open_camera
from soarm.runtime.fitting import Fitting
from soarm.spec import Feature

A, B = np.zeros((2, 3, 3), np.uint8), np.ones((2, 3, 3), np.uint8)


class Device:
    """Hands out what the test puts in; `None` is a picture that did not come."""

    def __init__(self):
        self.pictures = queue.Queue()
        self.released = False

    def put(self, *pictures):
        for picture in pictures:
            self.pictures.put(picture)
        self.pictures.join()

    def read(self):
        try:
            picture = self.pictures.get(timeout=0.01)
        except queue.Empty:
            return False, None
        self.pictures.task_done()
        return picture is not None, picture

    def release(self):
        self.released = True


def wait_for(camera, picture):
    while not np.array_equal((newest := camera.latest()).value, picture):
        pass
    return newest


def test_the_newest_picture_and_when_it_came():
    device, clock = Device(), [10.0]
    with Camera(device, "front", now=lambda: clock[0]) as camera:
        with pytest.raises(ObservationError, match="the camera front has shown nothing"):
            camera.read()
        device.put(A)
        assert wait_for(camera, A).t_s == 10.0
        clock[0] = 10.5
        device.put(B)
        newest = wait_for(camera, B)
        clock[0] = 10.75

        assert camera.read().t_s == 10.5
        assert camera.read().value is newest.value
        assert camera.subject == "pictures of the camera front"
    assert device.released
    camera.close()


def test_the_same_picture_again_is_no_new_one():
    device, clock = Device(), [10.0]
    with Camera(device, "front", now=lambda: clock[0]) as camera:
        device.put(A)
        wait_for(camera, A)
        clock[0] = 11.0
        device.put(A, A, None, A, B)
        newest = wait_for(camera, B)

        assert camera.repeated == 3
        assert camera.missed >= 1
        assert newest.t_s == 11.0


def test_a_camera_says_whether_it_hands_out_the_same_picture_or_none():
    device = Device()
    with Camera(device, "front") as camera:
        device.put(A, A)
        device.put(None)
        wait_for(camera, A)
        while camera.missed < 2:
            time.sleep(0.01)
        none = camera.subject
        device.put(A)
        while camera.repeated < 2:
            time.sleep(0.001)
        same = camera.subject

    assert none == "pictures of the camera front, which hands out none any more,"
    assert same == "pictures of the camera front, which hands out the same one over and over,"


def test_pictures_are_fitted_and_what_cannot_be_is_refused_until_it_can():
    device = Device()
    with Camera(device, "front", fit=Fitting("front", Feature.image(1, 1), bgr=True)) as camera:
        device.put(np.full((2, 2, 3), [1, 2, 3], np.uint8))
        assert wait_for(camera, [[[3, 2, 1]]]).value.shape == (1, 1, 3)
        device.put(np.zeros((4, 4, 3), np.uint8))
        while camera._refused is None:
            time.sleep(0.001)
        with pytest.raises(ObservationError, match="the camera front gives pictures of 4 x 4 px now"):
            camera.read()
        device.put(np.zeros((2, 2, 3), np.uint8))
        while camera._refused is not None:
            time.sleep(0.001)

        assert camera.read().value.max() == 0


def test_a_camera_that_shows_nothing_is_told():
    with (
        Camera(Device(), "front") as camera,
        pytest.raises(ObservationError, match=r"camera front has shown nothing for 0.01 s"),
    ):
        camera.latest(patience_s=0.01)


def test_a_device_that_hangs_is_left_alone_and_does_not_keep_the_program(monkeypatch, caplog):
    class Hangs(Device):
        def read(self):
            waiting.wait(30.0)
            return False, None

    waiting = threading.Event()
    monkeypatch.setattr("soarm.runtime.camera._END_S", 0.05)
    device = Hangs()
    Camera(device, "front").close()
    waiting.set()

    assert not device.released
    assert "the camera front does not answer" in caplog.text


def test_a_device_that_fails_at_once_is_not_asked_in_a_storm():
    class Fails(Device):
        def read(self):
            return False, None

    with Camera(Fails(), "front") as camera:
        time.sleep(0.2)

    assert 1 <= camera.missed <= 25


def test_without_opencv_there_are_no_cameras(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)

    with pytest.raises(ObservationError, match="cameras need OpenCV"):
        open_camera(0, 640, 480)


@pytest.mark.parametrize("opens", [True, False])
def test_a_device_is_opened_with_a_buffer_of_one(monkeypatch, opens):
    settings = {}

    class Capture(Device):
        def __init__(self, device):
            super().__init__()
            settings["device"] = device

        def isOpened(self):  # noqa: N802 - OpenCV's name
            return opens

        def set(self, key, value):
            settings[key] = value

    fake = types.SimpleNamespace(VideoCapture=Capture, CAP_PROP_FRAME_WIDTH=3, CAP_PROP_FRAME_HEIGHT=4, CAP_PROP_BUFFERSIZE=38)
    monkeypatch.setitem(sys.modules, "cv2", fake)

    if opens:
        open_camera("/dev/video0", 640, 480).close()
        assert settings == {"device": "/dev/video0", 3: 640, 4: 480, 38: 1}
    else:
        with pytest.raises(ObservationError, match="camera /dev/video0 cannot be opened at /dev/video0"):
            open_camera("/dev/video0", 640, 480)
