"""What an exact McNemar test on n pairs can show, before any pair is run: the table that fixes n beforehand.

Needs the standard library alone, because a robot host plans an evaluation; `soarm.evaluation.statistics` has the same test on
SciPy, and everything that is computed afterwards.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SIGNIFICANT = 0.05
"""p-values below this count as a difference."""
WANTED = 0.8
"""Share of evaluations that shall find a difference which is there."""


class Power(NamedTuple):
    """What n pairs can show.

    Attributes:
        least_gains: Pairs that have to be gained for p < 0.05 if none is lost; None where n is too small for any result.
        found: Least true gain, as a share of the pairs, that 80 % of such evaluations find; None where none is large enough.
        lost: Share of the pairs that is lost meanwhile.
    """

    least_gains: int | None
    found: float | None
    lost: float


def exact_p(gains: int, losses: int) -> float:
    """Return the two-sided p-value of the exact McNemar test: "gains and losses are equally likely"."""
    n, least = gains + losses, min(gains, losses)
    return min(1.0, sum(math.comb(n, k) for k in range(least + 1)) / float(2 ** (n - 1))) if n else 1.0


def power(n: int, gained: float, lost: float) -> float:
    """Return the share of evaluations of n pairs that find p < 0.05 with more gains than losses.

    Args:
        n: Pairs.
        gained: Probability that a pair is gained.
        lost: Probability that it is lost.
    """
    total = 0.0
    for gains in range(n + 1):
        for losses in range(n - gains + 1):
            if gains > losses and exact_p(gains, losses) < SIGNIFICANT:
                ways = math.comb(n, gains) * math.comb(n - gains, losses)
                total += ways * gained**gains * lost**losses * (1.0 - gained - lost) ** (n - gains - losses)
    return total


def power_of(n: int, lost: float) -> Power:
    """Return what n pairs can show where a share of them is lost; found gains are whole percents."""
    least = next((gains for gains in range(1, n + 1) if exact_p(gains, 0) < SIGNIFICANT), None)
    shares = [percent / 100 for percent in range(1, 100) if percent / 100 + lost <= 1.0]
    low, high = 0, len(shares)
    while low < high:  # power grows with the share that is gained
        middle = (low + high) // 2
        low, high = (low, middle) if power(n, shares[middle], lost) >= WANTED else (middle + 1, high)
    return Power(least, shares[low] if low < len(shares) else None, lost)
