from __future__ import annotations

import numpy as np
import pytest

from soarm.identification.physics import (
    ENTRIES,
    ArmPhysics,
    bounds,
    determined,
    errors_in_units,
    to_physics,
    to_vector,
    values,
)

SOME = ArmPhysics(np.arange(10.0, 70, 10), np.arange(1.0, 7), np.arange(1, 7) / 10, 0.05, 0.04)


def test_physics_become_a_vector_and_come_back() -> None:
    back = to_physics(to_vector(SOME))

    assert len(to_vector(SOME)) == len(ENTRIES) == 20
    np.testing.assert_allclose(values(back), values(SOME))
    assert back.delay_s == pytest.approx(0.04)


def test_every_bound_is_a_value() -> None:
    low, high = (to_physics(edge) for edge in bounds())

    assert (values(low) < values(SOME)).all()
    assert (values(SOME) < values(high)).all()
    assert low.delay_s == 0.0
    np.testing.assert_allclose(high.gain, 300.0)


def test_an_error_of_a_logarithm_is_a_share_of_the_value() -> None:
    errors = dict(zip(ENTRIES, errors_in_units(to_vector(SOME), np.ones(20)), strict=True))
    by_name = {(entry.quantity.name, entry.joint): error for entry, error in errors.items()}

    assert by_name["gain", 2] == pytest.approx(0.1 * 30)
    assert by_name["delay_s", None] == pytest.approx(0.005)
    assert by_name["friction_nm", 0] == pytest.approx(0.02)


def test_what_is_determined_keeps_the_promise_at_twice_its_error() -> None:
    most = np.array([entry.quantity.most_error / entry.quantity.step for entry in ENTRIES])
    of = {entry.quantity.name: entry.quantity.most_error for entry in ENTRIES}

    assert determined(most).all()
    assert not determined(1.01 * most).any()
    assert not determined(np.full(20, np.inf)).any()
    assert (2 * of["gain"], 2 * of["delay_s"]) == (0.1, 0.005)
