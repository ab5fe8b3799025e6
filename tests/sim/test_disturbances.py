from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import ParamsError
from soarm.params import changed
from soarm.sim.batch_env import BatchSim
from soarm.sim.draw import draw_scene
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, TRUE_OBJECTS

SOME = {
    "severity": [0.0, 1.0],
    "physics": {"cube_mass_kg": [0.036, 0.056], "zero_deg": [-2.0, 2.0], "cube_edge_m": [0.027, 0.027]},
    "observation_error": {"offset_m": [0.01, 0.01]},
}


@pytest.fixture
def disturbed(sim: SimParams) -> SimParams:
    return changed(sim, {"disturbances": SOME}, "sim")


def test_ranges_of_an_episode_lie_between_the_usual_and_the_worst_at_one_severity(disturbed: SimParams) -> None:
    for seed in range(40):
        severity = disturbed.disturbances.of_episode(seed)
        scene = draw_scene(disturbed, seed).physics

        assert scene["cube_edge_m"] == pytest.approx(0.025 + severity * 0.002)
        assert 0.016 + severity * 0.02 - 1e-9 <= scene["cube_mass_kg"] <= 0.016 + severity * 0.04 + 1e-9
        assert np.abs(scene["zero_deg"]).max() <= 2.0 * severity
        assert disturbed.observation_error_of(seed).offset_m == pytest.approx((0.01 * severity,) * 2)


def test_severities_are_spread_over_their_range_and_follow_from_the_seed(disturbed: SimParams) -> None:
    drawn = [disturbed.disturbances.of_episode(seed) for seed in range(300)]

    assert drawn == [disturbed.disturbances.of_episode(seed) for seed in range(300)]
    assert np.histogram(drawn, 3, (0.0, 1.0))[0].min() > 70


def test_policies_are_told_as_wrongly_as_the_severity_says(disturbed: SimParams) -> None:
    seen = BatchSim(disturbed, 200).reset(np.arange(200), range(200))
    wrong_m = np.abs(seen[ENVIRONMENT_STATE] - seen[TRUE_OBJECTS])[:, [0, 1, 5, 6]].mean(axis=1)
    severity = [disturbed.disturbances.of_episode(seed) for seed in range(200)]

    assert np.corrcoef(wrong_m, severity)[0, 1] > 0.6


def test_at_severity_zero_a_scene_is_what_it_was(sim: SimParams, disturbed: SimParams) -> None:
    never = changed(disturbed, {"disturbances": {"severity": [0.0, 0.0]}}, "sim")

    for seed in range(5):
        was, now = draw_scene(sim, seed), draw_scene(never, seed)
        np.testing.assert_array_equal(was.qpos, now.qpos)
        assert was.physics["cube_mass_kg"] == now.physics["cube_mass_kg"]
    assert never.plain_servos
    assert not never.tells_wrongly
    assert never.widest_physics == vars(sim.physics)


def test_the_widest_physics_holds_both(sim: SimParams, disturbed: SimParams) -> None:
    assert disturbed.widest_physics["cube_mass_kg"] == pytest.approx((sim.physics.cube_mass_kg[0], 0.056))
    assert disturbed.widest_physics["cube_edge_m"] == (0.025, 0.027)
    assert not disturbed.plain_servos
    assert disturbed.tells_wrongly


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"physics": {"mass": [1, 2]}}, r"disturbances\.physics has unknown keys.*mass.*cube_mass_kg"),
        ({"physics": {"zero_deg": [2.0, -2.0]}}, r"disturbances\.physics\.zero_deg.*low <= high"),
        ({"observation_error": {"dropout": [0.0, 1.0]}}, r"disturbances\.observation_error\.dropout.*at most 0\.95"),
        ({"severity": [0.5, 1.5]}, r"disturbances\.severity\[1\] is 1\.5; it must be at least 0 and at most 1"),
    ],
)
def test_what_is_no_range_of_a_field_is_refused(sim: SimParams, change: dict[str, object], message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        changed(sim, {"disturbances": change}, "sim")


def test_growing_disturbances_begin_at_a_scene_and_are_whole_from_another_on(disturbed: SimParams) -> None:
    seeds = range(1000, 2000)
    growing = disturbed.growing(seeds, (100, 300))
    whole = disturbed.disturbances

    assert [growing.disturbances.of_episode(seed) for seed in seeds[:101]] == [0.0] * 101
    assert growing.disturbances.of_episode(seeds[200]) == pytest.approx(whole.of_episode(seeds[200]) / 2)
    assert [growing.disturbances.of_episode(seed) for seed in seeds[300:400]] == [
        whole.of_episode(seed) for seed in seeds[300:400]
    ]
    assert draw_scene(growing, seeds[0]).physics["cube_edge_m"] == 0.025
    assert growing.observation_error_of(seeds[0]).is_none
    assert growing.disturbances.of_episode(2000) == whole.of_episode(2000)
    assert growing.tells_wrongly
    assert disturbed.growing(seeds, None) is disturbed


def test_disturbances_grow_from_their_least_severity(disturbed: SimParams) -> None:
    growing = changed(disturbed, {"disturbances": {"severity": [0.4, 1.0]}}, "sim").growing(range(10), (0, 2))

    assert growing.disturbances.of_episode(0) == pytest.approx(0.4)


def test_an_undisturbed_simulator_grows_no_disturbances(sim: SimParams) -> None:
    assert sim.growing(range(10), (0, 2)) is sim
