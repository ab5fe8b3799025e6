import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from soarm.evaluation.statistics import (
    PairedTable,
    crossed_bootstrap,
    holm,
    iqm,
    iqm_bootstrap,
    mcnemar_p,
    paired_bootstrap,
    paired_table,
    welch_p,
    wilson,
)

RATES = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
SCORES = st.lists(st.floats(-100.0, 100.0), min_size=2, max_size=30)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (25, 50, 0.366, 0.634),
        (40, 50, 0.670, 0.888),
        (50, 50, 0.929, 1.0),
        (80, 100, 0.711, 0.867),
        (95, 100, 0.888, 0.978),
        (100, 200, 0.431, 0.569),
        (160, 200, 0.739, 0.850),
        (190, 200, 0.910, 0.973),
        (200, 200, 0.981, 1.0),
        (475, 500, 0.927, 0.966),
    ],
)
def test_wilson_gives_the_published_intervals(successes, n, low, high):
    assert wilson(successes, n) == pytest.approx((low, high), abs=6e-4)


@given(RATES)
def test_wilson_agrees_with_scipy(rate):
    expected = stats.binomtest(*rate).proportion_ci(0.95, method="wilson")

    assert wilson(*rate) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(RATES)
def test_wilson_holds_the_rate_inside_0_to_1_and_mirrors_failures(rate):
    k, n = rate
    low, high = wilson(k, n)

    assert 0.0 <= low <= k / n <= high <= 1.0
    assert wilson(n - k, n) == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)


@given(RATES)
def test_wilson_narrows_with_more_scenes_of_the_same_rate(rate):
    k, n = rate
    few, many = wilson(k, n), wilson(4 * k, 4 * n)

    assert many.high - many.low < few.high - few.low


@pytest.mark.parametrize(("k", "n"), [(-1, 5), (6, 5), (0, 0)])
def test_wilson_refuses_a_rate_that_is_none(k, n):
    with pytest.raises(ValueError, match=f"{k} successes of {n}"):
        wilson(k, n)


@pytest.mark.parametrize(
    ("gains", "regressions", "p"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (5, 0, 0.0625),  # 2 / 2^5
        (10, 2, 2 * (1 + 12 + 66) / 2**12),
        (0, 6, 2 / 2**6),
    ],
)
def test_mcnemar_is_exact(gains, regressions, p):
    assert mcnemar_p(gains, regressions) == pytest.approx(p, rel=1e-12)


def test_differences_of_outcomes_are_tested_scene_by_scene():
    assert paired_table([True] * 10, [True] * 10).mcnemar_p == 1.0
    assert paired_table([True] * 10, [False] * 10).mcnemar_p < 0.01


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_a_p_value_blind_to_direction(gains, regressions):
    p = mcnemar_p(gains, regressions)
    n = gains + regressions
    tail = sum(math.comb(n, i) for i in range(min(gains, regressions) + 1)) / 2**n

    assert 0.0 < p <= 1.0
    assert p == pytest.approx(mcnemar_p(regressions, gains), rel=1e-9)
    assert p == pytest.approx(min(1.0, 2.0 * tail), rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_the_paired_table_counts_every_scene_once(pairs):
    base, residual = np.array(pairs).T
    table = paired_table(base, residual)

    assert sum(table) == len(pairs)
    assert table.both + table.base_only == base.sum()
    assert table.both + table.residual_only == residual.sum()


def test_the_paired_table_names_who_solved_what():
    base, residual = [1, 1, 1, 0, 0, 0, 0], [1, 1, 0, 1, 1, 1, 0]

    assert paired_table(base, residual) == PairedTable(both=2, base_only=1, residual_only=3, neither=1)


def test_paired_bootstrap_agrees_with_the_normal_interval_on_many_scenes():
    rng = np.random.default_rng(0)
    before = rng.normal(size=2000)
    after = before + 0.3 + 0.5 * rng.normal(size=2000)
    estimate = paired_bootstrap(before, after, rng, 4000)
    half = 1.96 * (after - before).std() / math.sqrt(2000)

    assert estimate.value == pytest.approx((after - before).mean())
    assert (estimate.low, estimate.high) == pytest.approx((estimate.value - half, estimate.value + half), abs=0.1 * half)
    assert estimate.n == 2000


def test_paired_bootstrap_covers_the_truth_about_95_times_in_100():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        after = (rng.random(200) < 0.7).astype(float)
        before = (rng.random(200) < 0.5).astype(float)
        estimate = paired_bootstrap(before, after, rng, 400)
        hits += estimate.low <= 0.2 <= estimate.high

    assert 0.91 <= hits / 300 <= 0.98


@settings(max_examples=30)
@given(SCORES, st.integers(0, 2**32 - 1))
def test_paired_bootstrap_stays_within_the_differences_and_follows_the_generator(scores, seed):
    before, after = np.zeros(len(scores)), np.array(scores)
    first = paired_bootstrap(before, after, np.random.default_rng(seed), 200)

    assert first == paired_bootstrap(before, after, np.random.default_rng(seed), 200)
    assert min(scores) - 1e-9 <= first.low <= first.high <= max(scores) + 1e-9


@settings(max_examples=30)
@given(SCORES, st.integers(0, 2**32 - 1))
def test_swapping_the_policies_swaps_the_interval(scores, seed):
    before, after = np.zeros(len(scores)), np.array(scores)
    there = paired_bootstrap(before, after, np.random.default_rng(seed), 200)
    back = paired_bootstrap(after, before, np.random.default_rng(seed), 200)

    assert (back.value, back.low, back.high) == pytest.approx((-there.value, -there.high, -there.low), abs=1e-9)


def test_paired_bootstrap_leaves_out_scenes_without_a_number():
    nan = math.nan
    estimate = paired_bootstrap([1.0, nan, 3.0, 1.0], [2.0, 5.0, nan, 2.0], np.random.default_rng(0), 200)

    assert estimate == (1.0, 1.0, 1.0, 2)


@pytest.mark.parametrize(("after", "value", "n"), [([], math.nan, 0), ([3.0], 3.0, 1)])
def test_too_few_scenes_have_no_interval(after, value, n):
    estimate = paired_bootstrap([0.0] * n, after, np.random.default_rng(0), 200)

    np.testing.assert_equal(tuple(estimate), (value, math.nan, math.nan, n))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0, 1, 2, 3], 1.5), ([0, 0, 4, 6, 100, 100, 5, 5], 5.0), ([7], 7.0), (np.arange(12).reshape(3, 4), 5.5)],
)
def test_iqm_is_the_mean_of_the_middle_half(values, expected):
    assert iqm(values) == pytest.approx(expected)


@given(SCORES)
def test_iqm_ignores_order_and_follows_shift_and_scale(scores):
    values = np.array(scores)

    assert iqm(values[::-1]) == pytest.approx(iqm(values), abs=1e-9)
    assert iqm(2.0 * values + 3.0) == pytest.approx(2.0 * iqm(values) + 3.0, abs=1e-9)
    assert values.min() - 1e-9 <= iqm(values) <= values.max() + 1e-9


def test_iqm_bootstrap_gives_the_iqm_with_an_interval_around_it():
    scores = np.random.default_rng(2).normal(0.8, 0.05, size=16)
    estimate = iqm_bootstrap(scores, np.random.default_rng(0), 2000)

    assert estimate.value == pytest.approx(iqm(scores))
    assert estimate.low < estimate.value < estimate.high
    assert estimate.high - estimate.low == pytest.approx(2 * 2.13 * 0.05 / math.sqrt(16), rel=0.5)  # 2.13: t of 16 seeds


def test_intervals_end_where_the_statistic_does():
    estimate = iqm_bootstrap([0.8, 0.9, 1.0, 1.0, 1.0], np.random.default_rng(0), 100, (0.0, 1.0))

    assert estimate.high == 1.0
    assert 0.0 <= estimate.low < 0.9


@pytest.mark.parametrize("n_seeds", [3, 5])
def test_crossed_bootstrap_covers_the_truth_about_95_times_in_100_with_scenes_that_all_seeds_share(n_seeds):
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(300):
        scenes, seeds = rng.normal(0.0, 0.4, size=(1, 200)), rng.normal(0.0, 0.03, size=(n_seeds, 1))
        estimate = crossed_bootstrap(0.9 + scenes + seeds + rng.normal(0.0, 0.2, (n_seeds, 200)), rng, 200)
        hits += estimate.low <= 0.9 <= estimate.high

    assert 0.91 <= hits / 300 <= 0.995


def test_crossed_bootstrap_of_seeds_that_agree_is_as_wide_as_their_scenes_are_few():
    scenes = np.arange(100) < 70
    estimate = crossed_bootstrap([scenes, scenes, scenes], np.random.default_rng(5), 4000)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 100)  # as many scenes as one of them has, not three times as many

    assert estimate.value == pytest.approx(0.7)
    assert (estimate.low, estimate.high) == pytest.approx((0.7 - half, 0.7 + half), abs=0.012)


def test_one_training_seed_has_no_interval_over_seeds():
    alone = iqm_bootstrap([0.7], np.random.default_rng(0), 100)
    crossed = crossed_bootstrap(np.ones((1, 200)), np.random.default_rng(0), 100)

    np.testing.assert_equal(tuple(alone), (0.7, math.nan, math.nan, 1))
    np.testing.assert_equal(tuple(crossed), (1.0, math.nan, math.nan, 1))


def test_crossed_bootstrap_is_wider_than_scenes_alone_when_training_seeds_differ():
    rng = np.random.default_rng(3)
    differences = rng.normal(0.2, 0.3, size=(5, 1)) + rng.normal(0.0, 0.2, size=(5, 100))
    over_seeds = crossed_bootstrap(differences, rng, 1000)
    over_scenes = paired_bootstrap(np.zeros(500), differences.ravel(), rng, 1000)

    assert over_seeds.value == pytest.approx(over_scenes.value)
    assert over_seeds.high - over_seeds.low > 3.0 * (over_scenes.high - over_scenes.low)


def test_holm_gives_the_textbook_values():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=10))
def test_holm_lies_between_raw_and_bonferroni_and_keeps_the_order(p_values):
    adjusted = holm(p_values)
    raw = np.array(p_values)

    assert (np.array(adjusted) >= raw).all()
    assert (np.array(adjusted) <= np.minimum(1.0, len(raw) * raw) + 1e-15).all()
    assert min(adjusted) == pytest.approx(min(1.0, len(raw) * raw.min()))
    assert (np.diff(np.array(adjusted)[np.argsort(raw, kind="stable")]) >= 0).all()


def test_welch_s_p_value_is_that_of_the_textbook_and_nan_without_spread():
    a, b = [27.5, 21.0, 19.0, 23.6, 17.0, 17.9], [27.1, 22.0, 20.8, 23.4, 23.4, 23.5, 25.8]
    difference = np.mean(a) - np.mean(b)
    va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))

    assert welch_p(a, b) == pytest.approx(2 * stats.t.sf(abs(difference) / math.sqrt(va + vb), freedom))
    assert math.isnan(welch_p([0.9], [0.8, 0.7]))
    assert math.isnan(welch_p([0.9, 0.9], [0.8, 0.8]))
