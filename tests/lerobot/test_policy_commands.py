"""`soarm import-policy` and `soarm export-policy`."""

from __future__ import annotations

import json

import numpy as np
import pytest

from soarm import cli
from soarm.base import load_base
from soarm.dataset.recorder import Recorder
from soarm.runtime.bundle import Bundle
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK


@pytest.fixture
def dataset(tmp_path):
    """A dataset of ours, which says its rate, names and units."""
    seen = {STATE: np.zeros((4, 6), np.float32), ENVIRONMENT_STATE: np.zeros((4, 7), np.float32)}
    with Recorder.create(tmp_path / "mine", TASK.features, 25, "so_follower", "pick") as recorder:
        recorder.save_episode(seen, np.zeros((4, 6), np.float32))
    return tmp_path / "mine"


def test_a_policy_comes_in_with_what_its_dataset_says_and_goes_out_again(theirs, dataset, tmp_path):
    source, base, out = str(theirs("objects")), tmp_path / "base", tmp_path / "out"

    assert cli.main(["import-policy", source, str(base), "--dataset", str(dataset)]) == 0
    assert load_base(base).spec.features == {STATE: TASK.features[STATE], **TASK.features}
    assert load_base(base).spec.control_hz == 25
    assert cli.main(["export-policy", str(base), str(out), "--as", "lerobot"]) == 0
    assert json.loads((out / "config.json").read_text())["normalization_mapping"]["ENV"] == "MEAN_STD"


@pytest.mark.slow
def test_a_base_alone_becomes_a_bundle(theirs, tmp_path):
    source, base, out = str(theirs("objects")), tmp_path / "base", tmp_path / "out"
    cli.main(["import-policy", source, str(base), "--units", "degrees", "--fps", "30"])

    assert cli.main(["export-policy", str(base), str(out)]) == 0
    assert Bundle.open(out).spec == load_base(base).spec
    assert set(json.loads((out / "parity.json").read_text())["max_abs"]) == {"chunk", "base_action"}


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        ([], 1, "no file of"),
        (["--units", "degrees"], 2, "say --units and --fps both"),
        (["--fps", "30"], 2, "say --units and --fps both"),
        (["--units", "degrees", "--fps", "30", "--task", "stack"], 1, "described is (10,)"),
        (["--units", "degrees", "--fps", "30", "--task", "fly"], 1, "the task is 'fly'; there are"),
    ],
)
def test_what_no_file_says_is_asked_for(theirs, tmp_path, capsys, options, status, said):
    assert cli.main(["import-policy", str(theirs("objects")), str(tmp_path / "base"), *options]) == status
    assert said in capsys.readouterr().err
    assert not (tmp_path / "base").exists()


def test_nothing_is_written_where_something_lies(theirs, tmp_path, capsys):
    for words in (["import-policy", str(theirs("objects"))], ["export-policy", str(tmp_path / "objects")]):
        assert cli.main([*words, str(tmp_path)]) == 1
        assert f"{tmp_path} exists already; name a folder that is absent or empty" in capsys.readouterr().err
