from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm import arm
from soarm.errors import FaultError
from soarm.runtime.excitation import CENTRE, Playback, motion
from soarm.runtime.limits import Limits
from soarm.runtime.safety import lowest_m

LIMITS = Limits.usual(arm.LOWER, arm.UPPER)


def test_the_motion_stays_inside_the_range_and_above_the_table() -> None:
    q = motion(60.0, 30, LIMITS)
    speed = np.abs(np.diff(q, axis=0)).max(axis=0) * 30
    acceleration = np.abs(np.diff(q, 2, axis=0)).max(axis=0) * 30**2

    assert q.shape == (1800, 6)
    assert (q > LIMITS.lower).all()
    assert (q < LIMITS.upper).all()
    assert lowest_m(q).min() > 0.03
    assert (speed < 150).all()
    assert (acceleration < 1500).all()
    np.testing.assert_allclose(q[[0, -1]], [CENTRE, CENTRE])


def test_every_joint_swings_in_every_band_with_a_frequency_of_its_own() -> None:
    q = motion(60.0, 30, LIMITS)
    spectrum = np.abs(np.fft.rfft(q - q.mean(axis=0), axis=0))
    hz = np.fft.rfftfreq(len(q), 1 / 30)
    for low, high in ((0.1, 0.25), (0.5, 1.1), (1.4, 2.6)):
        band = (hz >= low) & (hz <= high)
        peaks = hz[band][spectrum[band].argmax(axis=0)]

        assert len(set(np.round(peaks, 2))) == 6
        assert (spectrum[band].max(axis=0) > 100 * np.median(spectrum, axis=0)).all()


def test_a_narrow_range_and_a_near_table_make_it_smaller() -> None:
    narrow = dataclasses.replace(LIMITS, lower=np.array(CENTRE) - 4, upper=np.array(CENTRE) + 4)
    high = dataclasses.replace(LIMITS, table_m=0.06)
    for limits in (narrow, high):
        q = motion(20.0, 30, limits)

        assert (q >= limits.lower).all()
        assert (q <= limits.upper).all()
        assert lowest_m(q).min() > limits.table_m + 0.03
    assert np.ptp(motion(20.0, 30, LIMITS, size=0.5), axis=0).max() < 0.6 * np.ptp(motion(20.0, 30, LIMITS), axis=0).max()


def test_a_table_without_room_above_it_is_refused() -> None:
    with pytest.raises(FaultError, match=r"table is 0\.2 m above the base, .* mount the arm higher, or correct table_m"):
        motion(20.0, 30, dataclasses.replace(LIMITS, table_m=0.2))


def test_after_a_stop_it_is_played_on_from_where_the_clock_stands() -> None:
    targets = np.arange(60.0).reshape(10, 6)
    playback = Playback(targets, 10)
    playback.ask(5.0, {})
    first = playback.take()
    playback.ask(5.4, {})
    playback.forget()
    nothing = playback.take()
    playback.ask(5.6, {})
    rest = playback.take()
    playback.ask(6.1, {})

    assert first is not None
    assert rest is not None
    np.testing.assert_array_equal(first.actions, targets)
    assert nothing is None
    assert rest.t_s == 5.6
    np.testing.assert_array_equal(rest.actions, targets[6:])
    assert playback.take() is None
