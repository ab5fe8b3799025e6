from __future__ import annotations

from pathlib import Path

import numpy as np

from soarm.eye import checkpoint
from soarm.eye.training import TrainedEye
from soarm.eye.trials import TRUE, TamperedEnv, other_ways
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, TRUE_OBJECTS

ROWS = np.arange(3)


def test_blank_pictures_are_grey_and_permuted_ones_are_of_the_next_row(seeing: SimParams) -> None:
    whole = BatchSim(seeing, 3).reset(ROWS, [0, 1, 2])
    blank = TamperedEnv(BatchSim(seeing, 3), "blank").reset(ROWS, [0, 1, 2])
    permuted = TamperedEnv(BatchSim(seeing, 3), "permuted").reset(ROWS, [0, 1, 2])

    for camera in ("front", "wrist"):
        key = f"observation.images.{camera}"
        assert np.unique(blank[key]).tolist() == [128]
        np.testing.assert_array_equal(permuted[key], whole[key][[1, 2, 0]])
        assert not np.array_equal(permuted[key], whole[key])


def test_other_ways_are_true_poses_and_pictures_that_say_nothing(seeing: SimParams, tried: TrainedEye, tmp_path: Path) -> None:
    checkpoint.save(tried.model, tmp_path)
    ways = other_ways(seeing, tmp_path, 3, 1)

    seen = {name: env.reset(ROWS, [0, 1, 2]) for name, env in ways.items()}

    assert list(seen) == [TRUE, "blank_pictures", "permuted_pictures"]
    truth = seen[TRUE][ENVIRONMENT_STATE]
    for name in ("blank_pictures", "permuted_pictures"):
        np.testing.assert_array_equal(seen[name][TRUE_OBJECTS], truth)
        assert not np.array_equal(seen[name][ENVIRONMENT_STATE], truth)
    assert other_ways(seeing.told, tmp_path / "nothing", 3, 1) == {}
