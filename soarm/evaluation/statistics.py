"""Intervals and tests for success rates and paired differences.

Knows numbers only. The unit of inference is the training seed: many episodes of one trained policy measure that policy, not
the method that trained it. `wilson`, `mcnemar_p` and `paired_bootstrap` speak about given policies;
`iqm_bootstrap`, `crossed_bootstrap` and `welch_p` speak about methods, given several training seeds.

Sources: Wilson 1927 (interval of a proportion); McNemar 1947 (paired test, here exact: a binomial test on the discordant
pairs); Efron 1979 (bootstrap, percentile intervals); Agarwal et al. 2021, arXiv 2108.13264 (interquartile mean); Hesterberg
2015, arXiv 1411.5279 (why bootstraps of few are too narrow, and by how much); Welch 1947 (means of unequal spread); Holm 1979
(several comparisons).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

CONFIDENCE = 0.95
"""Of every interval here; metric keys (`ci95`) and figures say so by name."""

ANYTHING = (-math.inf, math.inf)

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

    @property
    def mcnemar_p(self) -> float:
        """Return the two-sided p-value of the exact McNemar test, see `mcnemar_p`."""
        return mcnemar_p(self.residual_only, self.base_only)


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
    return _percentiles(float(difference.mean()), _resampled(difference, rng, n_resamples), n)


def iqm(values: ArrayLike) -> float:
    """Return the interquartile mean: the mean without the lowest and highest quarter."""
    return float(stats.trim_mean(np.asarray(values, np.float64), 0.25, axis=None))


def iqm_bootstrap(
    scores: ArrayLike, rng: np.random.Generator, n_resamples: int, limits: tuple[float, float] = ANYTHING
) -> Estimate:
    """Return the interquartile mean of scores over training seeds with its bootstrap interval, widened for few (`_widened`).

    Args:
        scores: One per training seed.
        rng: Where the resamples come from.
        n_resamples: How many.
        limits: What a score can be.
    """
    values = np.asarray(scores, np.float64)
    n = len(values)
    if n < 2:
        return Estimate(iqm(values), math.nan, math.nan, n)
    resampled = np.array([iqm(values[rng.integers(n, size=n)]) for _ in range(n_resamples)])
    return _widened(_percentiles(iqm(values), resampled, n), limits)


def crossed_bootstrap(
    values: ArrayLike, rng: np.random.Generator, n_resamples: int, limits: tuple[float, float] = ANYTHING
) -> Estimate:
    """Return the mean over training seeds and scenes with its interval, for other seeds and other scenes of the same kind.

    All seeds are tried on the same scenes, and a scene that is easy is easy for every one of them. So seeds and scenes are
    resampled by themselves, seeds with all their scenes and scenes with all their seeds; the interval of seeds is widened
    where there are few (`_widened`), and what both are uncertain by is added as variances are.

    Args:
        values: Of a method, or a paired difference of two, shape (training seeds, scenes).
        rng: Where the resamples come from.
        n_resamples: How many.
        limits: What the mean can be.
    """
    table = np.asarray(values, np.float64)
    value, n_seeds = float(table.mean()), len(table)
    if n_seeds < 2:
        return Estimate(value, math.nan, math.nan, n_seeds)
    over_seeds = _widened(_percentiles(value, _resampled(table.mean(axis=1), rng, n_resamples), n_seeds), ANYTHING)
    over_scenes = _percentiles(value, _resampled(table.mean(axis=0), rng, n_resamples), table.shape[1])
    low = value - math.hypot(value - over_seeds.low, value - over_scenes.low)
    high = value + math.hypot(over_seeds.high - value, over_scenes.high - value)
    return Estimate(value, max(low, limits[0]), min(high, limits[1]), n_seeds)


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


def _resampled(values: Floats, rng: np.random.Generator, n_resamples: int) -> Floats:
    n, sizes = len(values), (min(_BLOCK, n_resamples - start) for start in range(0, n_resamples, _BLOCK))
    return np.concatenate([values[rng.integers(n, size=(size, n))].mean(axis=1) for size in sizes])


def _percentiles(value: float, resampled: Floats, n: int) -> Estimate:
    low, high = np.quantile(resampled, [0.5 - CONFIDENCE / 2.0, 0.5 + CONFIDENCE / 2.0])
    return Estimate(value, float(low), float(high), n)


def _widened(estimate: Estimate, limits: tuple[float, float]) -> Estimate:
    """Return a percentile interval as wide as so few training seeds ask for.

    Resampling n seeds spreads by sqrt((n - 1) / n) too little, and knows nothing of the doubt about the spread itself, which
    makes Student's t out of the normal distribution. Both ends are moved away from the value by the quotient: 2.7 times as far
    for three seeds, 1.6 times for five.
    """
    value, low, high, n = estimate
    quantile = 0.5 + CONFIDENCE / 2.0
    factor = math.sqrt(n / (n - 1)) * float(stats.t.ppf(quantile, n - 1) / stats.norm.ppf(quantile))
    low, high = (min(max(value + factor * (end - value), limits[0]), limits[1]) for end in (low, high))
    return Estimate(value, low, high, n)
