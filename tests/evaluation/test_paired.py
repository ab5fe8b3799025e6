import json
import math

import numpy as np
import pytest

from soarm.errors import ParamsError, SpecMismatchError
from soarm.evaluation.paired import CompareParams, compare
from soarm.evaluation.results import Results
from soarm.params import build
from soarm.records import write_json
from soarm.tasks.pick_place import TASK


def rng():
    return np.random.default_rng(0)


def test_a_comparison_counts_gains_and_regressions_and_names_their_scenes(make_results):
    comparison = compare(make_results([1, 1, 0, 0, 0]), make_results([1, 0, 1, 1, 0]), rng(), 200)

    assert comparison.table == (1, 1, 2, 1)
    assert comparison.regressed == (101,)
    assert comparison.gained == (102, 103)
    assert comparison.mcnemar_p == 1.0
    assert comparison.differences["success_rate"].value == pytest.approx(0.2)
    assert not comparison.identical


def test_a_policy_compared_with_itself_differs_in_nothing(make_results):
    results = make_results([1, 0, 1, 1])
    comparison = compare(results, results, rng(), 200)

    assert comparison.identical
    assert comparison.mcnemar_p == 1.0
    assert {one[:3] for one in comparison.differences.values()} == {(0.0, 0.0, 0.0)}


def test_time_to_success_is_compared_on_scenes_both_solve(make_results):
    nan = math.nan
    base = make_results([1, 1, 0, 1], time_to_success_s=[4.0, 5.0, nan, 6.0])
    residual = make_results([1, 1, 1, 0], time_to_success_s=[3.0, 4.5, 9.0, nan])
    difference = compare(base, residual, rng(), 500).differences["time_to_success_s"]

    assert (difference.value, difference.n) == (-0.75, 2)
    assert (difference.low, difference.high) == (-1.0, -0.5)


def test_the_metrics_hold_what_the_contract_names(make_results, tmp_path):
    written = write_json(tmp_path / "compare.json", compare(make_results([0, 0]), make_results([1, 0]), rng(), 200).to_dict())

    assert {"base", "residual", "n_scenes", "mcnemar_p", "gains", "regressions", "table", "differences"} <= set(written)
    for side in ("base", "residual"):
        contract = {"success_rate", "success_ci95", "n_scenes", "return_mean", "time_to_success_s", "failures"}
        assert contract <= set(written[side])
        assert len(written[side]["success_ci95"]) == 2
    assert (written["gains"], written["regressions"]) == (1, 0)
    assert written["differences"]["time_to_success_s"] == {"mean": None, "ci95": [None, None], "n_scenes": 0}
    assert json.loads((tmp_path / "compare.json").read_text()) == written


def test_the_same_rows_and_seed_give_the_same_comparison(make_results):
    base, residual = make_results([1, 0, 0, 1] * 5), make_results([1, 1, 0, 1] * 5)

    assert compare(base, residual, rng(), 300) == compare(base, residual, rng(), 300)


def test_results_of_other_seeds_do_not_pair(make_results):
    with pytest.raises(SpecMismatchError, match=r"seeds \(100, 101\)...\), the residual 2 \(seeds \(7, 8\)"):
        compare(make_results([1, 0]), make_results([1, 0], first_seed=7), rng(), 200)


def test_a_scene_counted_twice_does_not_pair(make_results):
    twice = Results(make_results([1]).rows * 2, TASK)

    with pytest.raises(SpecMismatchError, match="distinct seeds"):
        compare(twice, twice, rng(), 200)


def test_the_same_seeds_in_another_world_do_not_pair(make_results):
    with pytest.raises(SpecMismatchError, match=r"seed 101 gave bin_x_m 0.15 to the base and 0.3 to the residual"):
        compare(make_results([1, 0]), make_results([1, 0], bin_x_m=[0.15, 0.3]), rng(), 200)


@pytest.mark.parametrize(
    ("n_scenes", "resamples", "message"),
    [(1, 2000, "n_scenes is 1"), (200, 10, "bootstrap_resamples is 10; .* at least 100.*percentiles")],
)
def test_parameters_out_of_range_are_refused(n_scenes, resamples, message):
    with pytest.raises(ParamsError, match=message):
        build(CompareParams, {"n_scenes": n_scenes, "bootstrap_resamples": resamples}, "compare")
