"""What n pairs can show, against SciPy and against drawn evaluations."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.evaluation.power import exact_p, power, power_of
from soarm.evaluation.statistics import mcnemar_p


@pytest.mark.parametrize(("gains", "losses"), [(0, 0), (1, 0), (6, 0), (9, 2), (2, 9), (5, 5), (70, 31)])
def test_the_p_value_is_that_of_scipy(gains: int, losses: int) -> None:
    assert exact_p(gains, losses) == pytest.approx(mcnemar_p(gains, losses), rel=1e-12)


def test_power_is_the_share_of_drawn_evaluations_that_find_the_gain() -> None:
    drawn = np.random.default_rng(0).multinomial(20, [0.4, 0.05, 0.55], size=4000)

    found = np.mean([gains > losses and exact_p(gains, losses) < 0.05 for gains, losses, _ in drawn.tolist()])

    assert power(20, 0.4, 0.05) == pytest.approx(found, abs=0.03)


@pytest.mark.parametrize(("n", "least", "found"), [(5, None, None), (6, 6, 0.97), (20, 6, 0.43), (50, 6, 0.21)])
def test_a_plan_says_how_many_gains_it_takes_and_which_gain_it_finds(n: int, least: int | None, found: float | None) -> None:
    planned = power_of(n, 0.02)

    assert (planned.least_gains, planned.found) == (least, found)
    if found is not None:
        assert power(n, found, 0.02) >= 0.8 > power(n, found - 0.01, 0.02)
