from __future__ import annotations

import dataclasses
import itertools
import types

import numpy as np
import pytest

from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.runtime import way
from soarm.runtime.limits import Limits
from soarm.runtime.safety import lowest_m

ARM = Calibration.nominal()
LIMITS = Limits.usual(ARM.lower, ARM.upper)
PARK = np.clip(ArmConfig().park, ARM.lower, ARM.upper)
START = np.array([0.0, 0.0, 5.0, 85.0, -85.0, 30.0])


def lowest_between(*poses):
    share = np.linspace(0, 1, 300)[:, None]
    return min(float(lowest_m(a + (b - a) * share).min()) for a, b in itertools.pairwise(poses))


def poses_low_over_the_table(n):
    poses = np.random.default_rng(3).uniform(ARM.lower, ARM.upper, (40 * n, 6))
    heights = lowest_m(poses)
    return poses[(heights > 0.0) & (heights < 0.1)][:n]


@pytest.mark.parametrize("goal", [PARK, START], ids=["park", "start"])
def test_no_way_to_start_or_park_dips_under_the_table(goal):
    poses = poses_low_over_the_table(150)
    straight = [lowest_between(pose, goal) for pose in poses]
    lifted = [way.over(pose, goal, LIMITS) for pose in poses]
    found = [lowest_between(p, goal) if w is None else lowest_between(p, w, goal) for p, w in zip(poses, lifted, strict=True)]

    assert min(straight) < -0.02
    assert min(found) > -0.015, "the table lies at -0.01, and the way is looked at in steps"
    assert sum(w is not None for w in lifted) < len(poses) / 4, "most ways are straight"
    assert all((w[[0, 4, 5]] == p[[0, 4, 5]]).all() for p, w in zip(poses, lifted, strict=True) if w is not None)


def test_where_there_is_no_table_every_way_is_straight():
    free = dataclasses.replace(LIMITS, table_m=None)

    assert all(way.over(pose, PARK, free) is None for pose in poses_low_over_the_table(20))


def test_an_arm_whose_way_dips_is_lifted_first_and_another_is_not():
    moves = []
    low = min(poses_low_over_the_table(150), key=lambda one: lowest_between(one, PARK))
    for pose in (low, START):
        arm = types.SimpleNamespace(
            observe=lambda pose=pose: types.SimpleNamespace(q=pose), move_to=lambda q, each: moves.append(q)
        )
        way.lift(arm, PARK, LIMITS, lambda: None)

    assert lowest_between(low, PARK) < -0.02
    assert len(moves) == 1
    assert lowest_between(low, moves[0], PARK) > -0.015
