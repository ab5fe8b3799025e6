"""What a paired evaluation of n spots can show, and what looking early costs. No arm and no simulator: arithmetic and draws.

    python benchmarks/bench_proof.py

First table: gains that p < 0.05 takes, and the least true gain that 80 of 100 evaluations find. Second: how often p < 0.05
comes out although both policies are equally good, for somebody who looks once, at the end, and for one who looks after every
pair and stops there.
"""

from __future__ import annotations

import argparse

import numpy as np

from soarm.evaluation.power import SIGNIFICANT, exact_p, power_of

SPOTS = (10, 20, 30, 50, 100)
LOST = 0.02


def false_alarms(n: int, disagree: float, n_drawn: int) -> tuple[float, float]:
    """Return the share of evaluations without a true difference that find one: looked at once, and after every pair.

    Args:
        n: Pairs.
        disagree: Probability that one of two equally good policies alone solves a spot.
        n_drawn: Evaluations to draw.
    """
    table = np.array([[exact_p(gains, losses) < SIGNIFICANT for losses in range(n + 1)] for gains in range(n + 1)])
    draws = np.random.default_rng(0).random((n_drawn, n))
    gains = np.cumsum(draws < disagree / 2, axis=1)
    losses = np.cumsum((draws >= disagree / 2) & (draws < disagree), axis=1)
    found = table[gains, losses]
    return float(found[:, -1].mean()), float(found.any(axis=1).mean())


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--drawn", type=int, default=20_000, help="evaluations to draw")
    options = parser.parse_args()
    print("spots   gains for p < 0.05, none lost   found by 80 of 100, 2 % lost")
    for n in SPOTS:
        found = power_of(n, LOST)
        points = "none" if found.found is None else f"{100 * (found.found - LOST):.0f} points"
        print(f"{n:5d}   {found.least_gains!s:>30}   {points:>28}")
    print("\nspots   looked at once   after every pair   (equally good policies that disagree on 4 of 10 spots)")
    for n in SPOTS:
        once, always = false_alarms(n, 0.4, options.drawn)
        print(f"{n:5d}   {100 * once:12.1f} %   {100 * always:14.1f} %")


if __name__ == "__main__":
    main()
