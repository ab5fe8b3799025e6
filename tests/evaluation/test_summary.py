import math

import pytest

from soarm.evaluation.evaluator import evaluate
from soarm.evaluation.statistics import wilson
from soarm.evaluation.summary import summarise
from soarm.tasks.pick_place import TASK


def test_a_summary_counts_successes_failures_and_stages(scripted_env, cubic):
    summary = summarise(evaluate(scripted_env, cubic, range(8), knocked_away_m=0.05))

    assert (summary.n_scenes, summary.success_rate, summary.success_ci95) == (8, 0.25, wilson(2, 8))
    assert {name: count for name, count in summary.failures.items() if count} == {
        "dropped": 2,
        "knocked_away": 2,
        "never_reached": 2,
    }
    assert list(summary.failures) == list(TASK.failures)
    assert summary.reached == {"reach": 6, "grasp": 4, "lift": 4, "transport": 2, "place": 2}
    assert summary.return_sparse_mean == 0.25


def test_time_to_success_is_the_mean_over_successes(make_results):
    summary = summarise(make_results([True, False, True]))

    assert summary.time_to_success_s == pytest.approx((120 + 122) / 2 / 30)
    assert summary.steps_mean == pytest.approx((120 + 300 + 122) / 3)
    assert summary.return_mean == pytest.approx((1.0 + 0.5 + 1.02) / 3)


def test_without_a_success_there_is_no_time_to_it(make_results):
    assert math.isnan(summarise(make_results([False, False])).time_to_success_s)


def test_failures_and_successes_add_up_to_the_scenes(make_results):
    summary = summarise(make_results([True, False, True, False, False]))

    assert sum(summary.failures.values()) + round(summary.success_rate * summary.n_scenes) == summary.n_scenes
