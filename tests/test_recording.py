"""Scripted demonstrations with the pictures of the simulator's cameras."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from soarm import params as params_file
from soarm.dataset.reader import Dataset
from soarm.errors import ParamsError
from soarm.params import changed
from soarm.recording import RecordParams, features_of, record
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import ACTION, IMAGES

CAMERA = {"width_px": 32, "height_px": 32, "supersample": 1, "position_m": None, "target_m": None, "fovy_deg": None}
FRONT = f"{IMAGES}.front"


@pytest.fixture
def params() -> RecordParams:
    found = params_file.load(Path(__file__).parents[1] / "params.yaml").section("record", RecordParams)
    return dataclasses.replace(found, n_episodes=1, n_rows=1, n_threads=1, pictures=True)


@pytest.mark.slow
def test_what_the_cameras_saw_is_recorded_as_videos_the_same_every_time(tmp_path, sim: SimParams, params: RecordParams):
    seeing = changed(sim, {"cameras": {"front": CAMERA}}, "sim")
    env = BatchSim(seeing, 1)
    first = env.reset(np.array([0]), [11])[FRONT]
    env.close()
    for name in "ab":
        record(tmp_path / name, seeing, params, [11])
    made, again = (Dataset.open(tmp_path / name) for name in "ab")

    assert dict(made.features) == features_of(seeing, params)
    shown = made.pictures[FRONT].gather(np.arange(made.n_frames))
    assert np.abs(shown[0].astype(int) - first[0]).mean() < 6
    assert len(np.unique(shown.reshape(len(shown), -1).astype(int).sum(axis=1))) > 10  # it moves
    assert made.hash == again.hash


def test_pictures_without_cameras_are_refused(tmp_path, sim: SimParams, params: RecordParams):
    with pytest.raises(ParamsError, match=r"record\.pictures is true, and sim\.cameras names no camera"):
        record(tmp_path / "d", sim, params, [11])
    assert not (tmp_path / "d").exists()


def test_cameras_cost_nothing_where_no_pictures_are_recorded(tmp_path, sim: SimParams, params: RecordParams):
    unseen = dataclasses.replace(params, pictures=False)
    record(tmp_path / "d", changed(sim, {"cameras": {"front": CAMERA}}, "sim"), unseen, [11])

    assert FRONT not in Dataset.open(tmp_path / "d").features
    assert ACTION in Dataset.open(tmp_path / "d").features
