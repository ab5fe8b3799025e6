"""Things that are put somewhere else than where the seed has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soarm import params as params_file
from soarm.sim.env import EpisodeSim
from soarm.sim.params import SimParams
from soarm.tasks.registry import TASKS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", sorted(TASKS))
def test_things_lie_where_they_are_put_whatever_the_seed(name: str) -> None:
    params = params_file.load(ROOT / "params.yaml", name).section("sim", SimParams)
    sim = EpisodeSim(params, visuals=False)
    objects = params.sim_task.objects
    there = np.array(objects(sim.start(7)))

    placed = np.array(objects(sim.start(3, objects=there)))

    np.testing.assert_allclose(placed, there, atol=1e-9)
    assert not np.allclose(np.array(objects(sim.start(3))), there, atol=1e-3)
