"""Intervals and tests for success rates and paired differences.

Knows numbers only. The unit of inference is the training seed: many episodes of one trained policy measure that policy, not
the method that trained it. `wilson`, `mcnemar_p` and `paired_bootstrap` speak about given policies;
`stratified_bootstrap`, `hierarchical_bootstrap` and `welch_p` speak about methods, given several training seeds.

Sources: Wilson 1927 (interval of a proportion); McNemar 1947 (paired test, here exact: a binomial test on the discordant
pairs); Efron 1979 (bootstrap, percentile intervals); Agarwal et al. 2021, arXiv 2108.13264 (interquartile mean, bootstrap
stratified by task); Welch 1947 (means of unequal spread); Holm 1979 (several comparisons).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
"""Of every interval here; metric keys (`ci95`) and figures say so by name."""

Floats = NDArray[np.float64]
_BLOCK = 1000  # resamples drawn at once: bounds the memory of a bootstrap


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


class Estimate(NamedTuple):
    """A number with its 95 % interval; NaN where `n` is too small for one.

    `n` counts what was resampled: scenes, or training seeds.
    """

    value: float
    low: float
    high: float
    n: int


def wilson(successes: int, n: int) -> Interval:
    """Return Wilson's interval of a success rate.

    Raises:
        ValueError: Not 0 <= successes <= n, or n is 0.
    """
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes of {n}; a rate needs n >= 1 and 0 <= successes <= n")
    z = float(stats.norm.ppf(0.5 + CONFIDENCE / 2.0))
    p, shrink = successes / n, 1.0 + z * z / n
    centre = (p + z * z / (2.0 * n)) / shrink
    half = z / shrink * math.sqrt(p * (1.0 - p) / n + z * z / (4.0 * n * n))
    low = 0.0 if successes == 0 else centre - half  # exact at the ends, where rounding would leave 1e-17
    high = 1.0 if successes == n else centre + half
    return Interval(low, high)


class PairedTable(NamedTuple):
    """Scenes counted by who solved them."""

    both: int
    base_only: int
    residual_only: int
    neither: int


def paired_table(base: ArrayLike, residual: ArrayLike) -> PairedTable:
    """Count the scenes both, one or neither policy solved; `base` and `residual` are success per scene, shape (N,) bool."""
    b, r = np.asarray(base, bool), np.asarray(residual, bool)
    assert b.shape == r.shape, "paired policies run on the same scenes"
    return PairedTable(int((b & r).sum()), int((b & ~r).sum()), int((~b & r).sum()), int((~b & ~r).sum()))


def mcnemar_p(gains: int, regressions: int) -> float:
    """Return the two-sided p-value of the exact McNemar test.

    The question: if a scene the two policies disagree on were as likely a gain as a regression, how often would the split be
    at least as lopsided as the one seen? 1 when they disagree on none.
    """
    n = gains + regressions
    return 1.0 if n == 0 else float(stats.binomtest(gains, n, 0.5).pvalue)


def paired_bootstrap(before: ArrayLike, after: ArrayLike, rng: np.random.Generator, n_resamples: int) -> Estimate:
    """Return the mean difference `after` - `before` over scenes with its percentile bootstrap interval.

    Scenes where either value is NaN (no time to success where nobody succeeded) are left out; `Estimate.n` counts the rest. A
    single scene has a value and no interval, none has neither.

    Args:
        before: One value per scene, shape (N,).
        after: The same for the other policy.
        rng: Where the resamples come from.
        n_resamples: How many.
    """
    difference = np.asarray(after, np.float64) - np.asarray(before, np.float64)
    difference = difference[np.isfinite(difference)]
    n = len(difference)
    if n < 2:
        return Estimate(float(difference[0]) if n else math.nan, math.nan, math.nan, n)
    means = np.concatenate([difference[rng.integers(n, size=(size, n))].mean(axis=1) for size in _blocks(n_resamples)])
    return _percentiles(float(difference.mean()), means, n)


def iqm(values: ArrayLike) -> float:
    """Return the interquartile mean: the mean without the lowest and highest quarter."""
    return float(stats.trim_mean(np.asarray(values, np.float64), 0.25, axis=None))


def stratified_bootstrap(
    strata: Sequence[ArrayLike], rng: np.random.Generator, n_resamples: int, statistic: Callable[[Floats], float] = iqm
) -> Estimate:
    """Return a statistic of scores over several training seeds with its bootstrap interval, resampling seeds within strata.

    Args:
        strata: One array of scores per stratum (task, difficulty), one score per training seed.
        rng: Where the resamples come from.
        n_resamples: How many.
        statistic: Of all scores together.
    """
    scores = [np.asarray(stratum, np.float64) for stratum in strata]
    n = min((len(stratum) for stratum in scores), default=0)
    if n == 0:
        raise ValueError(f"scores per stratum: {[len(stratum) for stratum in scores]}; every stratum needs at least one")
    value = float(statistic(np.concatenate(scores)))
    if n < 2:
        return Estimate(value, math.nan, math.nan, n)
    resampled = [
        statistic(np.concatenate([stratum[rng.integers(len(stratum), size=len(stratum))] for stratum in scores]))
        for _ in range(n_resamples)
    ]
    return _percentiles(value, np.asarray(resampled, np.float64), n)


def hierarchical_bootstrap(differences: ArrayLike, rng: np.random.Generator, n_resamples: int) -> Estimate:
    """Return the mean paired difference over training seeds and scenes: seeds are resampled first, then scenes within each.

    Args:
        differences: Residual minus base, shape (training seeds, scenes).
        rng: Where the resamples come from.
        n_resamples: How many.
    """
    values = np.asarray(differences, np.float64)
    n_seeds, n_scenes = values.shape
    if n_seeds < 2:
        return Estimate(float(values.mean()), math.nan, math.nan, n_seeds)
    means = np.empty(n_resamples)
    for i in range(n_resamples):
        seeds = rng.integers(n_seeds, size=(n_seeds, 1))
        means[i] = values[seeds, rng.integers(n_scenes, size=(n_seeds, n_scenes))].mean()
    return _percentiles(float(values.mean()), means, n_seeds)


def welch_p(left: ArrayLike, right: ArrayLike) -> float:
    """Return the two-sided p-value of Welch's t-test: do two methods differ in their mean, given one score per training seed?

    NaN where there is nothing to judge by: a side with fewer than two scores, or no spread on either.
    """
    a, b = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if min(len(a), len(b)) < 2 or (np.ptp(a) == 0.0 and np.ptp(b) == 0.0):
        return math.nan
    return float(stats.ttest_ind(a, b, equal_var=False).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values of several comparisons, in the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    running = 0.0
    for rank, i in enumerate(order):
        running = max(running, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = running
    return [float(p) for p in adjusted]


def _percentiles(value: float, resampled: Floats, n: int) -> Estimate:
    low, high = np.quantile(resampled, [0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0])
    return Estimate(value, float(low), float(high), n)


def _blocks(total: int) -> list[int]:
    return [min(_BLOCK, total - start) for start in range(0, total, _BLOCK)]
