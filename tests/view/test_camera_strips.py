"""The frames that are shown are those of the episode."""

from __future__ import annotations

import io
import shutil

import av
import numpy as np
import pytest

from soarm.errors import DatasetError
from soarm.view import camera_strips
from soarm.view.inspection import inspect

CAMERA = "observation.images.front"
LENGTHS = (40, 60, 50)


def grey(picture: np.ndarray) -> float:
    return float(picture.mean())


@pytest.mark.parametrize("kind", ["with_video", "with_images"])
@pytest.mark.parametrize("numbers", [[0, 7, 39], [5, 6]])
def test_frames_are_those_of_the_episode(request, kind, numbers):
    found = inspect(request.getfixturevalue(kind)).found

    for episode, first in enumerate(np.cumsum([0, *LENGTHS[:-1]])):
        shown = [grey(frame) for frame in camera_strips.frames(found, CAMERA, episode, numbers, 30.0)]
        assert shown == pytest.approx([20 + (int(first) + number) * 7 % 200 for number in numbers], abs=3)


def test_a_frame_becomes_a_small_jpeg(with_video):
    found = inspect(with_video).found
    (frame,) = camera_strips.frames(found, CAMERA, 1, [3], 30.0)

    content = camera_strips.jpeg(frame, 32)
    with av.open(io.BytesIO(content)) as container:
        small = next(container.decode(video=0))
    assert (small.width, small.height) == (32, 24)
    assert grey(small.to_ndarray(format="rgb24")) == pytest.approx(grey(frame), abs=3)


def test_a_video_that_is_damaged_or_too_short_is_named(tmp_path, with_video):
    path = shutil.copytree(with_video, tmp_path / "d")
    found = inspect(path).found
    film = path / f"videos/{CAMERA}/chunk-000/file-001.mp4"

    with pytest.raises(DatasetError, match=r"file-001\.mp4 cannot be decoded: it has no frame 99 \(3\.300 s\)"):
        list(camera_strips.frames(found, CAMERA, 2, [99], 30.0))
    film.write_bytes(film.read_bytes()[:200])
    with pytest.raises(DatasetError, match=r"file-001\.mp4 cannot be decoded"):
        list(camera_strips.frames(found, CAMERA, 2, [0], 30.0))
    film.unlink()
    with pytest.raises(DatasetError, match=r"file-001\.mp4 is missing"):
        list(camera_strips.frames(found, CAMERA, 2, [0], 30.0))
    assert inspect(path).faults == [f"videos/{CAMERA}/chunk-000/file-001.mp4 is missing: a video of {CAMERA}"]
