"""A copy of a dataset with smaller pictures."""

from __future__ import annotations

import numpy as np
import pytest

from soarm import cli, spec
from soarm.dataset import edit, layout
from soarm.dataset.reader import Dataset
from soarm.dataset.shrinking import shrink
from soarm.errors import DatasetError
from soarm.runtime.fitting import Fitting

FRONT, WRIST = "observation.images.front", "observation.images.wrist"


def test_a_copy_has_smaller_pictures_and_everything_else_as_it_was(record_film, tmp_path, content):
    source = record_film(tmp_path / "source")
    (source / layout.SPEC_PATH).unlink()  # as LeRobot leaves it
    edit.set_splits(source, {"train": range(2), "val": range(2, 3)})
    before, old = content(source), Dataset.open(source)

    assert cli.main(["dataset", "shrink", str(source), str(tmp_path / "new"), "--size", "24x16"]) == 0
    new = Dataset.open(tmp_path / "new")
    assert content(source) == before
    assert (new.tasks, new.robot_type, new.fps, new.splits) == (old.tasks, old.robot_type, old.fps, old.splits)
    assert (new.unknown_units, new.episode_starts.tolist()) == ([spec.STATE, spec.ACTION], old.episode_starts.tolist())
    for key, column in old.columns.items():
        np.testing.assert_array_equal(new.columns[key], column)
    rows = np.arange(new.n_frames)
    for key in (FRONT, WRIST):
        seen, fit = old.pictures[key].gather(rows), Fitting(key, new.features[key])
        assert new.features[key] == spec.Feature.image(16, 24)
        expected = np.stack([fit(picture) for picture in seen])
        np.testing.assert_allclose(new.pictures[key].gather(rows), expected, atol=4)  # it is encoded once more
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new", "source"]


def test_what_cannot_be_shrunk_is_said_and_nothing_is_left(record_film, record, tmp_path, capsys):
    filmed, blind = record_film(tmp_path / "filmed"), record(tmp_path / "blind")

    with pytest.raises(DatasetError, match=r"wrist has pictures of 32 x 32 px, and nothing is enlarged to 48 x 32"):
        shrink(filmed, tmp_path / "new", 32, 48, Fitting)
    with pytest.raises(DatasetError, match="it has no cameras"):
        shrink(blind, tmp_path / "new", 16, 16, Fitting)
    with pytest.raises(DatasetError, match="need even numbers"):
        shrink(filmed, tmp_path / "new", 15, 16, Fitting)
    assert cli.main(["dataset", "shrink", str(filmed), str(tmp_path / "new"), "--size", "small"]) == 2
    assert "--size is 'small'; it must be WIDTHxHEIGHT" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["blind", "filmed"]
