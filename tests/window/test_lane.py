"""An arm with a policy in a simulator of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soarm.rollout import rollout
from soarm.sim.batch_env import BatchSim
from soarm.window.artefact import DEMONSTRATOR, open_artefact
from soarm.window.lane import Lane

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("task", ["pick_place", "push", "stack"])
def test_an_episode_is_that_of_an_evaluation_to_the_bit(task: str) -> None:
    artefact = open_artefact(Path(DEMONSTRATOR), task=task, params=ROOT / "params.yaml")
    lane = Lane(artefact.sim, artefact.makers["demonstrator"](), artefact.knocked_away_m)
    (episode,) = rollout(BatchSim(artefact.sim, 1, 1), artefact.makers["demonstrator"]().policy, [11])
    lane.start(11)
    while not lane.over:
        lane.step()
    before = lane.data.qpos.copy()
    lane.step()

    assert lane.steps == len(episode)
    assert lane.succeeded == episode.success
    assert lane.told == f"{artefact.sim.sim_task.task.outcomes['success']}, {len(episode) / 30:.1f} s"
    np.testing.assert_array_equal(before, lane.data.qpos)


def test_pushes_in_two_lanes_are_the_same(lane: Any) -> None:
    lanes = [lane("one"), lane("other")]
    for one in lanes:
        one.start(3)
        one.push(0.5)
        one.step()

    np.testing.assert_array_equal(lanes[0].data.qpos, lanes[1].data.qpos)
    assert lanes[0].data.qvel[6] > 0.3
