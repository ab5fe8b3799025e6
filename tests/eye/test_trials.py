from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from soarm.evaluation.evaluator import ScenesParams
from soarm.eye import checkpoint
from soarm.eye.training import TrainedEye
from soarm.eye.trials import TRUE, TamperedEnv, compared, without_the_eye
from soarm.policy import Array, Observation, Rows
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE, TRUE_OBJECTS

ROWS = np.arange(3)


def test_blank_pictures_are_grey_and_permuted_ones_are_of_the_next_row(seeing: SimParams) -> None:
    env = BatchSim(seeing, 3)
    whole, blank, permuted = (
        one.reset(ROWS, [0, 1, 2]) for one in (env, TamperedEnv(env, "blank"), TamperedEnv(env, "permuted"))
    )

    for camera in ("front", "wrist"):
        key = f"observation.images.{camera}"
        assert np.unique(blank[key]).tolist() == [128]
        np.testing.assert_array_equal(permuted[key], whole[key][[1, 2, 0]])
        assert not np.array_equal(permuted[key], whole[key])


class Still:
    """A policy that stays, and keeps what it was told first."""

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Nothing to start."""

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Stay."""
        self.told.append(dict(observation))
        return observation[STATE]

    def __init__(self) -> None:
        self.told: list[Observation] = []


def test_a_policy_is_told_true_poses_and_shown_pictures_that_say_nothing(
    seeing: SimParams, tried: TrainedEye, tmp_path: Path
) -> None:
    checkpoint.save(tried.model, tmp_path)
    still, how = Still(), ScenesParams(3, 3, 1, 0.03)

    def track(scenes: range, total: None, description: str) -> range:
        return scenes

    found = without_the_eye(seeing, tmp_path, still, (), range(3), 2, how, track)

    assert {name: len(rows) for name, rows in found.items()} == {TRUE: 3, "blank_pictures": 2, "permuted_pictures": 2}
    assert TRUE_OBJECTS not in still.told[0]
    lying = still.told[-1]
    assert not np.array_equal(lying[ENVIRONMENT_STATE], lying[TRUE_OBJECTS])
    pairs = compared(found[TRUE], found)
    assert pairs[TRUE]["only_the_eye"] == pairs[TRUE]["only_this"] == 0
    assert pairs["blank_pictures"]["n_scenes"] == 2
    assert without_the_eye(seeing.told(), tmp_path / "nothing", still, (), range(3), 2, how, track) == {}
