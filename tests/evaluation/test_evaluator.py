import dataclasses
import math

import numpy as np
import pytest

from soarm.errors import ObservationError, ParamsError
from soarm.evaluation.evaluator import EvaluationParams, blocks_of, difference_rms, evaluate, provenance_of
from soarm.evaluation.results import Results
from soarm.params import build


def test_one_row_per_seed_in_the_order_of_the_seeds_whatever_the_episodes_last(scripted_env, cubic):
    results = evaluate(scripted_env, cubic, [7, 4, 5, 10, 12, 3], knocked_away_m=0.05)

    assert results.seeds == (7, 4, 5, 10, 12, 3)
    assert list(results.column("outcome")) == [
        "knocked_away",
        "success",
        "never_reached",
        "dropped",
        "success",
        "knocked_away",
    ]
    assert list(results.column("steps")) == [7, 5, 6, 3, 5, 7]
    assert list(results.column("furthest_stage")) == ["reach", "place", "start", "lift", "place", "reach"]


def test_a_row_does_not_depend_on_how_many_episodes_run_at_once(make_env, scripted_env, cubic):
    seeds = range(17)
    alone = evaluate(make_env(scripted_env.scripts, 1), cubic, seeds, knocked_away_m=0.05)
    together = evaluate(make_env(scripted_env.scripts, 8), cubic, seeds, knocked_away_m=0.05)

    np.testing.assert_equal([vars(row) for row in alone.rows], [vars(row) for row in together.rows])


def test_a_row_holds_returns_time_and_where_the_cube_lay_before_anything_moved(scripted_env, cubic):
    row = evaluate(scripted_env, cubic, [24], knocked_away_m=0.05).rows[0]

    assert row.success
    assert row.time_to_success_s == pytest.approx(5 / 30)
    assert row.return_shaped == pytest.approx(0.25 * 5)
    assert row.return_sparse == 1.0
    assert (row.value("cube_x_m"), row.value("cube_y_m")) == pytest.approx((0.04, -0.203))
    assert row.value("cube_yaw_deg") == pytest.approx(24.0, abs=1e-4)
    assert (row.value("bin_x_m"), row.value("bin_y_m")) == pytest.approx((0.1, -0.25))


def test_a_failed_episode_has_no_time_to_success(scripted_env, cubic):
    assert math.isnan(evaluate(scripted_env, cubic, [1], knocked_away_m=0.05).rows[0].time_to_success_s)


def test_jerk_is_the_third_derivative_of_the_commanded_angles(scripted_env, cubic):
    row = evaluate(scripted_env, cubic, [3], knocked_away_m=0.05).rows[0]  # joints follow t^3 / 6: third difference 1 deg

    assert row.action_jerk_rms_deg_s3 == pytest.approx(30.0**3, rel=1e-4)


@pytest.mark.parametrize("order", [2, 3])
def test_a_straight_line_has_neither_acceleration_nor_jerk(order):
    line = np.outer(np.arange(20), np.ones(6)).astype(np.float32)

    assert difference_rms(line, 30, order) == 0.0


def test_the_gripper_does_not_count_as_jerk():
    actions = np.zeros((20, 6), np.float32)
    actions[10:, 5] = 100.0

    assert difference_rms(actions, 30, order=3) == 0.0


def test_jerk_does_not_depend_on_the_control_rate():
    rms = []
    for hz in (30, 60):
        time_s = np.arange(2 * hz) / hz
        rms.append(difference_rms(np.repeat(np.sin(3.0 * time_s)[:, None] * 20.0, 6, axis=1).astype(np.float32), hz, order=3))

    assert rms[0] == pytest.approx(rms[1], rel=0.05)


@pytest.mark.parametrize("order", [2, 3])
def test_an_episode_too_short_for_a_difference_has_none(order):
    assert math.isnan(difference_rms(np.zeros((order, 6), np.float32), 30, order))
    assert difference_rms(np.zeros((order + 1, 6), np.float32), 30, order) == 0.0


def test_an_environment_that_hides_the_objects_is_refused_by_name(make_env, scripted_env, cubic):
    env = make_env(scripted_env.scripts, 1, observe_objects=False)

    with pytest.raises(ObservationError, match=r"observes \['observation.state'\] but not observation.environment_state"):
        evaluate(env, cubic, [0], knocked_away_m=0.05)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_scenes": 0}, "n_scenes is 0; it must be at least 1"),
        ({"knocked_away_m": 0.0}, "knocked_away_m is 0.0; it must be above"),
        ({"blocks": 201}, "blocks is 201, and there are 200 scenes; a block has at least one"),
    ],
)
def test_parameters_out_of_range_are_refused(change, message):
    good = {"n_scenes": 200, "n_rows": 16, "n_threads": 1, "knocked_away_m": 0.05, "blocks": 200}

    with pytest.raises(ParamsError, match=message):
        build(EvaluationParams, good | change, "eval_base")


def test_rows_say_what_they_follow_from(scripted_env, cubic, tmp_path):
    for name, weights in (("a", b"1"), ("again", b"1"), ("other", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_bytes(weights)
    params = EvaluationParams(200, 16, 1, 0.05, 1)
    provenance = provenance_of(tmp_path / "a", {"gain": 50.0}, params)
    results = evaluate(scripted_env, cubic, [1], knocked_away_m=0.05, provenance=provenance)

    assert results.provenance == provenance == provenance_of(tmp_path / "again", {"gain": 50.0}, params)
    assert provenance != provenance_of(tmp_path / "other", {"gain": 50.0}, params)
    assert provenance != provenance_of(tmp_path / "a", {"gain": 51.0}, params)
    for change in ({"n_rows": 8}, {"knocked_away_m": 0.04}, {"blocks": 2}):
        assert provenance != provenance_of(tmp_path / "a", {"gain": 50.0}, dataclasses.replace(params, **change))


def test_blocks_hold_every_seed_once_and_in_order():
    blocks = blocks_of(range(10, 21), 3)

    assert {name: list(seeds) for name, seeds in blocks.items()} == {
        "1-of-3": [10, 11, 12],
        "2-of-3": [13, 14, 15, 16],
        "3-of-3": [17, 18, 19, 20],
    }
    assert blocks_of(range(5), 1) == {"1-of-1": range(5)}


def test_rows_of_blocks_are_the_rows_of_all(scripted_env, cubic):
    whole = evaluate(scripted_env, cubic, range(4), knocked_away_m=0.05, provenance={"policy": "cubic"})
    blocks = blocks_of(range(4), 2).values()
    several = [evaluate(scripted_env, cubic, one, knocked_away_m=0.05, provenance={"policy": "cubic"}) for one in blocks]

    assert Results.joined(several) == whole
