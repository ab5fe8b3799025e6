"""The one formula, and the checks on what goes into a policy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import arm
from soarm.errors import ObservationError
from soarm.policy import Array, Observation, VectorPolicy, add_residual, clip_to_limits, require_finite, residual_correction

LOWER, UPPER = arm.LOWER.astype(np.float32), arm.UPPER.astype(np.float32)
SCALE = np.array([5, 5, 5, 5, 5, 10], np.float32)
shares = st.lists(st.floats(0, 1, width=32), min_size=6, max_size=6).map(lambda s: np.array(s, np.float32))
residuals = st.lists(st.floats(-1, 1, width=32), min_size=6, max_size=6).map(lambda s: np.array(s, np.float32))


@given(shares)
def test_a_zero_residual_changes_nothing_to_the_bit(share: Array) -> None:
    base = clip_to_limits(LOWER + share * (UPPER - LOWER))

    executed = add_residual(base, np.zeros(6), SCALE)

    assert executed.dtype == np.float32
    assert executed.tobytes() == (base + np.float32(0)).tobytes()


@given(shares, residuals)
def test_a_residual_moves_at_most_by_its_scale_and_never_past_a_limit(share: Array, residual: Array) -> None:
    base = clip_to_limits(LOWER + share * (UPPER - LOWER))

    executed = add_residual(base, residual, SCALE)

    assert (np.abs(executed - base) <= SCALE + 1e-4).all()
    assert (executed >= LOWER).all()
    assert (executed <= UPPER).all()


@given(shares, residuals)
def test_the_correction_of_a_base_action_makes_of_it_what_is_executed(share: Array, residual: Array) -> None:
    base = LOWER + (1.5 * share - 0.25) * (UPPER - LOWER)  # now and then outside the limits

    correction = residual_correction(base, residual, SCALE)

    executed = add_residual(base, residual, SCALE)
    np.testing.assert_allclose(add_residual(clip_to_limits(base), correction, 1.0), executed, atol=1e-4)
    np.testing.assert_array_equal(residual_correction(base, np.zeros(6), SCALE), 0.0)


def test_the_formula_broadcasts_over_rows() -> None:
    base, residual = np.zeros((4, 6)), np.full((4, 6), 0.5)
    base[:, arm.GRIPPER] = 50.0

    executed = add_residual(base, residual, SCALE)

    np.testing.assert_allclose(executed, np.tile([2.5, 2.5, 2.5, 2.5, 2.5, 55.0], (4, 1)))


def test_values_that_are_not_finite_are_named() -> None:
    values = np.zeros((2, 3))
    values[1, 2] = np.nan

    with pytest.raises(
        ObservationError, match=r"observation.state holds values that are not finite at \[\(1, 2\)\] \(shape \(2, 3\)\)"
    ):
        require_finite("observation.state", values)


class Echo:
    """Answers with its number and how often it was asked since it was reset."""

    def __init__(self, number: int) -> None:
        self.number, self.seed, self.steps = number, -1, 0

    def reset(self, seed: int) -> None:
        self.seed, self.steps = seed, 0

    def act(self, observation: Observation) -> Array:
        self.steps += 1
        return np.array([self.number, self.seed, self.steps, *observation["x"], 0, 0], np.float32)


def test_one_policy_per_row_gets_its_own_row_and_seed() -> None:
    policy = VectorPolicy([Echo(0), Echo(1), Echo(2)])
    seeds: Sequence[int] = [20, 10]

    policy.reset(np.array([2, 1]), seeds)
    action = policy.act({"x": np.array([[7], [8]], np.float32)}, np.array([1, 2]))

    np.testing.assert_array_equal(action[:, :4], [[1, 10, 1, 7], [2, 20, 1, 8]])
    assert action.dtype == np.float32
