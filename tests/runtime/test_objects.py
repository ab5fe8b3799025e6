from __future__ import annotations

import json
import os

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime.objects import CalledObjects, FileObjects, FixedObjects, on_the_table

SEEN = [0.1, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.1]


def test_what_a_person_measures_becomes_the_features():
    found = on_the_table((0.1, -0.2, 15.0), (0.15, -0.1))

    np.testing.assert_allclose(found, [0.1, -0.2, 0.0125, 0.5, np.sqrt(3) / 2, 0.15, -0.1], atol=1e-6)


def test_fixed_and_called_objects_are_fresh():
    fixed, called = FixedObjects(SEEN, now=lambda: 5.0), CalledObjects(lambda: SEEN, now=lambda: 6.0)

    assert fixed.read().t_s == 5.0
    assert called.read().t_s == 6.0
    np.testing.assert_allclose(called.read().objects, fixed.read().objects)


def test_a_file_is_as_old_as_its_stamp_and_read_when_it_changes(tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"objects": SEEN}))
    os.utime(path, (1000.0, 1000.0))
    source = FileObjects(path, now=lambda: 50.0, wall=lambda: 1000.25)

    assert source.read().t_s == pytest.approx(49.75)
    path.write_text(json.dumps({"objects": [1.0, *SEEN[1:]]}))
    os.utime(path, (1000.2, 1000.2))
    assert source.read().objects[0] == 1.0


def stamped(path, t_s, x=0.1):
    path.write_text(json.dumps({"objects": [x, *SEEN[1:]]}))
    os.utime(path, (t_s, t_s))


def test_a_file_whose_stamp_lies_in_the_future_gets_older_all_the_same(tmp_path):
    """The clock was set back; nobody writes the file any more."""
    path, clock = tmp_path / "objects.json", [50.0]
    stamped(path, 5000.0)
    source = FileObjects(path, now=lambda: clock[0], wall=lambda: 1000.0 + clock[0])

    assert source.read().t_s == 50.0
    clock[0] = 52.0
    assert source.read().t_s == 50.0


def test_a_clock_that_is_set_ahead_does_not_make_fresh_objects_old(tmp_path):
    path, clock = tmp_path / "objects.json", [50.0]
    stamped(path, 1000.0)
    source = FileObjects(path, now=lambda: clock[0], wall=lambda: 9000.0)
    source.read()
    clock[0] = 50.03
    stamped(path, 1000.03, x=0.2)
    found = source.read()

    assert found.objects[0] == np.float32(0.2)
    assert found.t_s == pytest.approx(50.0), "it came after the last look"


@pytest.mark.parametrize("content", [None, "{", "[]", '{"objects": [1, 2]}', '{"objects": [1, 2, 3, 4, 5, 6, NaN]}'])
def test_a_file_that_says_nothing_usable_is_refused(tmp_path, content):
    path = tmp_path / "objects.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ObservationError, match=r"objects.json"):
        FileObjects(path).read()
