"""No scene serves two purposes."""

from __future__ import annotations

import itertools

import pytest

from soarm.seeds import scene_seeds

SPLITS = ("record", "residual", "validation", "test")


def test_splits_are_disjoint_for_every_pair_of_runs() -> None:
    ranges = {(split, seed): scene_seeds(split, seed) for split in SPLITS for seed in range(10)}

    for (one, first), (other, second) in itertools.combinations(ranges.items(), 2):
        if one[0] != other[0]:
            assert max(first[0], second[0]) > min(first[-1], second[-1])


def test_training_scenes_change_with_the_run_and_test_scenes_do_not() -> None:
    assert scene_seeds("record", 0)[0] != scene_seeds("record", 1)[0]
    assert scene_seeds("test", 0) == scene_seeds("test", 1)


@pytest.mark.parametrize("seed", [-1, 10])
def test_a_seed_that_would_overlap_another_run_is_refused(seed: int) -> None:
    with pytest.raises(ValueError, match=rf"seed is {seed}; allowed are 0..9"):
        scene_seeds("record", seed)
