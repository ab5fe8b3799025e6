"""Values that are computed when somebody takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from soarm.lazy import LazyRow, LazyRows, stack
from soarm.policies import predict_in_batches
from soarm.policy import Array, Observation, require_finite


class Counter:
    """Computes two features of rows from a number, and counts."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def compute(self, numbers: Sequence[int]) -> dict[str, Array]:
        self.asked += numbers
        value = np.array(numbers, np.float32)[:, None] + np.arange(2, dtype=np.float32)
        return {"x": value, "negative": -value}

    def rows(self, *numbers: int) -> tuple[LazyRows, LazyRows]:
        rows = [LazyRow(number) for number in numbers]
        x, negative = (LazyRows(rows, key, (2,), np.float32, self.compute) for key in ("x", "negative"))
        return x, negative


def test_only_rows_that_are_taken_are_computed_once_for_all_features() -> None:
    counter = Counter()
    x, negative = counter.rows(10, 20, 30)
    chosen = x[np.array([2, 0, 0])]

    assert counter.asked == []
    np.testing.assert_array_equal(chosen, [[30, 31], [10, 11], [10, 11]])
    assert counter.asked == [30, 10]
    np.testing.assert_array_equal(negative[[True, False, True]], [[-10, -11], [-30, -31]])
    np.testing.assert_array_equal(x, [[10, 11], [20, 21], [30, 31]])
    assert counter.asked == [30, 10, 20]


def test_copying_replacing_and_stacking_rows_computes_nothing() -> None:
    counter = Counter()
    (x, _), (other, _) = counter.rows(1, 2, 3), counter.rows(7)
    changed = x.copy()
    changed[np.array([1])] = other
    stacked = stack([changed[1], x[1].copy()])

    assert counter.asked == []
    assert (len(changed), changed.shape, stacked.shape, changed[1].shape) == (3, (3, 2), (2, 2), (2,))
    np.testing.assert_array_equal(changed, [[1, 2], [7, 8], [3, 4]])
    np.testing.assert_array_equal(stacked, [[7, 8], [2, 3]])
    np.testing.assert_array_equal(stack([x[0], np.zeros(2)]), [[1, 2], [0, 0]])


def test_lazy_rows_count_and_compare_as_arrays_do() -> None:
    counter = Counter()
    x, negative = counter.rows(1, 2)
    array = np.asarray(x)
    array[:] = 0.0

    assert isinstance(x + negative, np.ndarray)
    np.testing.assert_array_equal(x + negative, np.zeros((2, 2)))
    np.testing.assert_array_equal(x == [1, 3], [[True, False], [False, True]])
    assert (x[0, 1], x[1][0]) == (2.0, 2.0)
    assert np.ascontiguousarray(x, np.float64).dtype == np.float64
    assert np.asarray(x[np.array([], np.intp)]).shape == (0, 2)
    with pytest.raises(ValueError, match="copy=False"):
        np.array(x, copy=False)


def test_a_network_gets_arrays_of_the_rows_it_is_asked_and_no_check_takes_them_before() -> None:
    counter = Counter()
    x, _ = counter.rows(*range(9))

    def double(observation: Observation) -> Array:
        assert type(observation["x"]) is np.ndarray
        return 2 * observation["x"]

    require_finite("x", x)
    assert counter.asked == []
    for size in (2, None):
        np.testing.assert_array_equal(predict_in_batches(double, {"x": x[4:7]}, size), 2 * np.asarray(x[4:7]))
    assert counter.asked == [4, 5, 6]
