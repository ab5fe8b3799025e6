from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm.errors import ParamsError
from soarm.params import changed
from soarm.sim.batch_env import BatchSim
from soarm.sim.draw import draw_scene
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, TRUE_OBJECTS

SOME = {
    "share": 0.3,
    "physics": {"cube_mass_kg": [0.03, 0.04], "zero_deg": [-2.0, 2.0], "cube_edge_m": [0.026, 0.027]},
    "observation_error": {"offset_m": [0.01, 0.01]},
}


@pytest.fixture
def disturbed(sim: SimParams) -> SimParams:
    return changed(sim, {"disturbances": SOME}, "sim")


def test_each_is_in_its_share_of_the_episodes_and_by_itself(sim: SimParams, disturbed: SimParams) -> None:
    scenes = [draw_scene(disturbed, seed).physics for seed in range(400)]
    heavy = np.array([scene["cube_mass_kg"] >= 0.03 for scene in scenes])
    off = np.array([bool(scene["zero_deg"].any()) for scene in scenes])
    usual = sim.physics.cube_mass_kg[0]

    assert {scene["cube_mass_kg"] for scene, one in zip(scenes, heavy, strict=True) if not one} == {usual}
    assert heavy.mean() == pytest.approx(0.3, abs=0.07)
    assert off.mean() == pytest.approx(0.3, abs=0.07)
    assert (heavy & off).mean() == pytest.approx(0.09, abs=0.05)


def test_policies_are_told_wrongly_in_its_share_of_the_episodes(disturbed: SimParams) -> None:
    seen = BatchSim(disturbed, 100).reset(np.arange(100), range(100))
    wrong = np.abs(seen[ENVIRONMENT_STATE] - seen[TRUE_OBJECTS]).max(axis=1) > 1e-4

    assert wrong.mean() == pytest.approx(0.3, abs=0.12)


def test_without_a_share_a_scene_is_what_it_was(sim: SimParams, disturbed: SimParams) -> None:
    never = dataclasses.replace(disturbed, disturbances=dataclasses.replace(disturbed.disturbances, share=0.0))

    for seed in range(5):
        was, now = draw_scene(sim, seed), draw_scene(never, seed)
        np.testing.assert_array_equal(was.qpos, now.qpos)
        assert was.physics["cube_mass_kg"] == now.physics["cube_mass_kg"]
    assert never.plain_servos
    assert not never.tells_wrongly
    assert never.widest_physics == vars(sim.physics)


def test_the_widest_physics_holds_both(sim: SimParams, disturbed: SimParams) -> None:
    assert disturbed.widest_physics["cube_mass_kg"] == (sim.physics.cube_mass_kg[0], 0.04)
    assert disturbed.widest_physics["cube_edge_m"] == (0.025, 0.027)
    assert not disturbed.plain_servos


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physics": {"mass": [1, 2]}}, r"disturbances\.physics has unknown keys.*mass.*cube_mass_kg"),
        ({"physics": {"zero_deg": [2.0, -2.0]}}, r"disturbances\.physics\.zero_deg.*low <= high"),
        ({"observation_error": {"dropout": [0.0, 1.0]}}, r"disturbances\.observation_error\.dropout.*at most 0\.95"),
        ({"share": 1.5}, r"disturbances\.share is 1\.5; it must be at least 0 and at most 1"),
    ],
)
def test_what_is_no_range_of_a_field_is_refused(sim: SimParams, change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        changed(sim, {"disturbances": change}, "sim")
