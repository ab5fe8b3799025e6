from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from soarm.dataset.statistics import NAMES, QUANTILES, summarise, to_json


@given(arrays(np.float32, st.tuples(st.integers(1, 40), st.integers(1, 3)), elements=st.floats(-1e3, 1e3, width=32)))
def test_statistics_are_those_of_numpy_in_double_precision(values):
    found, exact = summarise(values), values.astype(np.float64)

    assert np.array_equal(found["min"], exact.min(axis=0))
    assert np.array_equal(found["max"], exact.max(axis=0))
    assert found["mean"] == pytest.approx(exact.mean(axis=0), abs=1e-9)
    assert found["std"] == pytest.approx(exact.std(axis=0), abs=1e-9)
    assert found["count"].tolist() == [len(values)]
    for name, q in QUANTILES.items():
        assert found[name] == pytest.approx(np.quantile(exact, q, axis=0), abs=1e-9)


def test_a_small_spread_far_from_zero_is_not_lost():
    values = (1000.0 + 0.01 * np.array([-1.0, 1.0] * 500)).astype(np.float32)[:, None]

    assert summarise(values)["std"] == pytest.approx(values.astype(np.float64).std(), rel=1e-9)


def test_whole_numbers_keep_whole_extremes():
    found = summarise(np.arange(11))

    assert to_json({"index": found})["index"] == {
        "min": [0], "max": [10], "mean": [5.0], "std": [pytest.approx(10**0.5)], "count": [11],
        "q01": [0.1], "q10": [1.0], "q50": [5.0], "q90": [9.0], "q99": [9.9],
    }  # fmt: skip
    assert tuple(found) == NAMES
    assert found["min"].dtype == np.int64
