from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.errors import ObservationError, SmallFileError
from soarm.runtime.fitting import Fitting
from soarm.runtime.picture_file import PictureFile, decode, encode
from soarm.spec import Feature

PICTURE = np.arange(36, dtype=np.uint8).reshape(3, 4, 3)
FIT = Feature.image(3, 4)


def write(path, content, t_s):
    path.write_bytes(content)
    os.utime(path, (t_s, t_s))


def test_a_picture_is_as_old_as_its_file_and_fresh_again_when_it_is_the_same(tmp_path):
    path, clock = tmp_path / "front.ppm", [50.0]
    file = PictureFile(path, "front", Fitting("front", FIT), now=lambda: clock[0], wall=lambda: 950.0 + clock[0])
    write(path, encode(PICTURE), 999.9)
    first = file.read()
    clock[0] = 50.5
    assert file.read().t_s == pytest.approx(49.9)
    clock[0] = 50.6
    write(path, encode(PICTURE), 1000.55)

    assert file.read().t_s == pytest.approx(50.55)
    np.testing.assert_array_equal(first.value, PICTURE)
    assert file.subject == "pictures of the camera front"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "front.ppm cannot be read"),
        (b"", "front.ppm is no binary PPM"),
        (encode(PICTURE)[:-1], r"front.ppm has 35 bytes of pixels; 4 x 3 px have 36"),
        (b"P6\n0 0\n255\n", "has 0 bytes of pixels"),
        (encode(PICTURE[:2]), r"camera front gives pictures of 4 x 2 px; the policy wants 4 x 3 px"),
    ],
)
def test_a_file_without_a_whole_picture_is_refused(tmp_path, content, message):
    path = tmp_path / "front.ppm"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ObservationError, match=message):
        PictureFile(path, "front", Fitting("front", FIT)).read()


@given(st.binary(max_size=40))
def test_bytes_are_a_picture_or_refused(content):
    try:
        assert decode(b"P6\n2 2\n255\n" + content).shape == (2, 2, 3)
    except SmallFileError:
        assert len(content) != 12
