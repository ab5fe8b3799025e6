from __future__ import annotations

import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.objects import CalledObjects, FileObjects, on_the_table
from soarm.runtime.sensors import first_values
from soarm.spec import ENVIRONMENT_STATE
from soarm.tasks.pick_place import TASK

ROOT = Path(__file__).parents[2]
SEEN = [0.1, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.1]


def test_what_a_person_measures_becomes_the_features():
    found = on_the_table(TASK, {"cube": (0.1, -0.2, 15.0), "bin": (0.15, -0.1)})

    np.testing.assert_allclose(found, [0.1, -0.2, 0.0125, 0.5, np.sqrt(3) / 2, 0.15, -0.1], atol=1e-6)


def test_called_objects_are_fresh():
    called = CalledObjects(TASK, lambda: SEEN, now=lambda: 6.0)

    assert called.read().t_s == 6.0
    np.testing.assert_allclose(called.read().value, SEEN)


def test_a_file_is_as_old_as_its_stamp_and_read_when_it_changes(tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"objects": SEEN}))
    os.utime(path, (1000.0, 1000.0))
    source = FileObjects(TASK, path, now=lambda: 50.0, wall=lambda: 1000.25)

    assert source.read().t_s == pytest.approx(49.75)
    path.write_text(json.dumps({"objects": [0.15, *SEEN[1:]]}))
    os.utime(path, (1000.2, 1000.2))
    assert source.read().value[0] == np.float32(0.15)


def stamped(path, t_s, x=0.1):
    path.write_text(json.dumps({"objects": [x, *SEEN[1:]]}))
    os.utime(path, (t_s, t_s))


def test_a_file_that_tells_of_another_task_is_refused(tmp_path):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"task": "pick_place", "objects": SEEN}))
    np.testing.assert_allclose(FileObjects(TASK, path).read().value, SEEN)

    path.write_text(json.dumps({"task": "push", "objects": SEEN}))
    with pytest.raises(ObservationError, match="is of the task 'push'; here it is pick_place"):
        FileObjects(TASK, path).read()


def test_a_file_whose_stamp_lies_in_the_future_gets_older_all_the_same(tmp_path):
    """The clock was set back; nobody writes the file any more."""
    path, clock = tmp_path / "objects.json", [50.0]
    stamped(path, 5000.0)
    source = FileObjects(TASK, path, now=lambda: clock[0], wall=lambda: 1000.0 + clock[0])

    assert source.read().t_s == 50.0
    clock[0] = 52.0
    assert source.read().t_s == 50.0


def test_a_clock_that_is_set_ahead_does_not_make_fresh_objects_old(tmp_path):
    path, clock = tmp_path / "objects.json", [50.0]
    stamped(path, 1000.0)
    source = FileObjects(TASK, path, now=lambda: clock[0], wall=lambda: 9000.0)
    source.read()
    clock[0] = 50.03
    stamped(path, 1000.03, x=0.2)
    found = source.read()

    assert found.value[0] == np.float32(0.2)
    assert found.t_s == pytest.approx(50.0), "it came after the last look"


@pytest.mark.parametrize(
    "content",
    [
        *[None, "{", "[]", "", '{"cube": []}', '{"objects": [1, 2]}', '{"objects": [1, 2, 3, 4, 5, 6, NaN]}'],
        *['{"objects": null}', '{"objects": [0, -200, 12.5, 1, 0, 150, -150]}', '{"objects": [0, -0.2, -0.3, 1, 0, 0, -0.2]}'],
        *['{"objects": ' + "[" * 5000 + "]" * 5000 + "}", '{"objects": "' + "x" * 100_000 + '"}'],
    ],
    ids=range(12),
)
def test_a_file_that_says_nothing_usable_is_refused(tmp_path, content):
    path = tmp_path / "objects.json"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ObservationError, match=r"objects.json"):
        FileObjects(TASK, path).read()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a pipe", "a folder"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path, make):
    make(tmp_path / "objects.json")

    with pytest.raises(ObservationError, match=r"objects.json cannot be read \(it is a (pipe|folder), not a file\)"):
        FileObjects(TASK, tmp_path / "objects.json").read()


def test_after_a_sight_that_cannot_be_the_last_good_one_grows_old_and_the_next_good_one_counts(tmp_path):
    path, clock = tmp_path / "objects.json", [50.0]
    source = FileObjects(TASK, path, now=lambda: clock[0], wall=lambda: 950.0 + clock[0])
    stamped(path, 1000.0)
    assert source.read().t_s == 50.0
    clock[0] = 50.1
    stamped(path, 1000.1, x=100.0)
    for _ in range(2):
        with pytest.raises(ObservationError, match="out of reach"):
            source.read()
    clock[0] = 50.2
    stamped(path, 1000.2)

    assert source.read().t_s == pytest.approx(50.2)


def test_a_run_begins_with_a_sight_that_is_fresh_and_can_be(tmp_path):
    path = tmp_path / "objects.json"
    stamped(path, 1000.0)

    def first(age_s):
        source = FileObjects(TASK, path, now=lambda: 50.0, wall=lambda: 1000.0 + age_s)
        return first_values({ENVIRONMENT_STATE: source}, 2.0, now=lambda: 50.0)[ENVIRONMENT_STATE]

    assert first(1.9).t_s == pytest.approx(48.1)
    with pytest.raises(ObservationError, match=r"last seen 3600.0 s ago, and 2 s are allowed; start what sees"):
        first(3600.0)


def test_the_example_of_the_docs_writes_what_is_read_and_nothing_where_it_sees_nothing(tmp_path):
    example = runpy.run_path(str(ROOT / "examples" / "write_objects.py"))
    path, looks = tmp_path / "objects.json", [example["look"](), None]
    example["run"](path, lambda: looks.pop(0), lambda: bool(looks))

    np.testing.assert_allclose(
        FileObjects(TASK, path).read().value, on_the_table(TASK, {"cube": (0.0, -0.2, 15.0), "bin": (0.15, -0.15)}), atol=1e-6
    )
    assert [one.name for one in tmp_path.iterdir()] == ["objects.json"]


@pytest.mark.parametrize(("cube", "bin_xy"), [((0.0, -200, 15), (150, -150)), ((0, -0.2, np.inf), (0.15, -0.15))])
def test_what_a_person_measures_is_looked_at(cube, bin_xy):
    with pytest.raises(ObservationError, match=r"millimetres|must be 7 finite numbers"):
        CarriedObjects(TASK, on_the_table(TASK, {"cube": cube, "bin": bin_xy}))
