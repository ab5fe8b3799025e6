from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.chunking import ChunkPlayer
from soarm.runtime.schedule import Schedule

HZ, T = 30, 10
DT = 1.0 / HZ


def chunk(value, slope=0.0):
    return (value + slope * np.arange(T)[:, None] * np.ones(6)).astype(np.float32)


@pytest.mark.parametrize(("n_action_steps", "coeff"), [(4, None), (T, None), (1, None), (1, 0.0), (1, 0.01), (1, -0.3)])
def test_chunks_that_come_at_once_play_as_in_the_simulator(n_action_steps, coeff):
    rng = np.random.default_rng(0)
    chunks = [rng.normal(size=(T, 6)).astype(np.float32) for _ in range(15)]
    player = ChunkPlayer(1, T, n_action_steps, coeff, n_lookahead=3)
    schedule = Schedule(HZ, n_action_steps, temporal_ensemble_coeff=coeff)
    rows, asked, answered = np.zeros(1, int), iter(chunks), iter(chunks)
    for k in range(15):
        t_s = 1e5 + k * DT
        expected = player.advance(rows, lambda _: next(asked)[None])
        if schedule.due(t_s):
            schedule.add(t_s, next(answered), t_s)
        found = schedule.step(t_s, 3)

        exact = 0.0 if coeff is None else 1e-5  # the player's average is a running one
        np.testing.assert_allclose(found.action, expected.action, rtol=0, atol=exact)
        np.testing.assert_allclose(found.lookahead, expected.lookahead, rtol=0, atol=exact)
        np.testing.assert_array_equal(found.phase, expected.phase)
    assert len(list(asked)) == len(list(answered))


def test_the_phase_stays_at_the_end_while_the_next_chunk_is_late():
    schedule = Schedule(HZ, 4)
    schedule.add(0.0, chunk(1.0), 0.0)

    np.testing.assert_array_equal([schedule.step(k * DT, 3).phase[0] for k in (0, 3, 4, 8)], np.float32([0, 0.75, 0.75, 0.75]))


@given(st.floats(0.0, T * DT - 0.01))
def test_a_chunk_that_comes_late_skips_what_has_passed(late_s):
    schedule = Schedule(HZ, 4)
    schedule.add(1.0, chunk(0.0, 1.0), 1.0 + late_s)

    assert schedule.at(1.0 + late_s)[0] == pytest.approx(min(late_s / DT, T - 1), abs=1e-3)


def test_a_chunk_that_has_passed_as_a_whole_is_lost_and_counted():
    schedule = Schedule(HZ, 4)

    assert not schedule.add(0.0, chunk(1.0), T * DT + 0.01)
    assert (schedule.lost, schedule.late) == (1, 0)
    assert schedule.at(T * DT + 0.01) is None
    assert schedule.step(0.5, 3) is None
    assert schedule.due(0.5)


def test_a_schedule_that_has_run_out_says_so_and_so_does_one_that_was_cleared():
    schedule = Schedule(HZ, 4)
    schedule.add(0.0, chunk(1.0), 0.0)

    assert schedule.at(T * DT - 1e-3) is not None
    assert schedule.at(T * DT + 1e-3) is None
    schedule.clear()
    assert schedule.at(0.0) is None


def test_one_chunk_fades_into_the_next():
    schedule = Schedule(HZ, 4, fade_s=0.1)
    schedule.add(0.0, chunk(0.0), 0.0)
    schedule.add(0.1, chunk(10.0), 0.1)
    values = [schedule.at(0.1 + share * 0.1)[0] for share in (0.0, 0.25, 0.5, 0.75, 1.0, 1.2)]

    np.testing.assert_allclose(values, [0.0, 2.5, 5.0, 7.5, 10.0, 10.0], atol=1e-4)


def test_one_action_that_is_none_counts_in_its_own_period_alone():
    schedule = Schedule(HZ, 4)
    with_none = chunk(0.0, 1.0)
    with_none[3] = np.nan
    schedule.add(0.0, with_none, 0.0)

    assert schedule.at(2.5 * DT)[0] == pytest.approx(2.0)
    assert np.isnan(schedule.at(3 * DT)).all()
    assert np.isnan(schedule.at(3.5 * DT)).all()
    assert schedule.at(4 * DT)[0] == pytest.approx(4.0)
    np.testing.assert_allclose(schedule.step(1 * DT, 3).lookahead[0, :, 0], [2.0, 2.0, 4.0])


def test_a_chunk_that_says_nothing_does_not_spoil_the_one_it_fades_into():
    schedule = Schedule(HZ, 4, fade_s=0.1)
    schedule.add(0.0, chunk(np.nan), 0.0)
    schedule.add(0.1, chunk(10.0), 0.1)

    assert schedule.at(0.12)[0] == 10.0


def test_where_chunks_are_averaged_the_oldest_weighs_most():
    schedule = Schedule(HZ, 1, temporal_ensemble_coeff=1.0)
    for k in range(3):
        schedule.add(k * DT, chunk(float(k)), k * DT)
    weights = np.exp(-np.arange(3.0))

    assert schedule.at(2 * DT)[0] == pytest.approx((weights * np.arange(3)).sum() / weights.sum(), abs=1e-5)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(-5, 5), st.floats(0, 0.4)), max_size=6),
    st.floats(0, 2),
    st.sampled_from([0.0, 0.1]),
)
def test_whatever_comes_when_the_base_stays_inside_its_chunks(arrivals, t_s, fade_s):
    schedule = Schedule(HZ, 4, fade_s)
    values = []
    for at_s, value, late_s in sorted(arrivals):
        values.append(value)
        schedule.add(at_s, chunk(value), at_s + late_s)
    found = schedule.at(t_s)

    if found is not None:
        assert min(values) - 1e-4 <= found.min() <= found.max() <= max(values) + 1e-4
