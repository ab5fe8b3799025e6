from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from soarm import arm
from soarm.errors import FaultError
from soarm.runtime import safety
from soarm.runtime.safety import Last, Limits, Reason, check

DT_S = 0.02
HOME = np.array([0.0, 0.0, 5.0, 90.0, -90.0, 30.0])
FAR = np.full(6, 1e6)
WIDE = Limits(arm.LOWER, arm.UPPER, FAR, FAR, FAR, None)
USUAL = Limits(arm.LOWER, arm.UPPER, np.full(6, 200.0), np.full(6, 4000.0), np.full(6, 30.0), 0.0)
AT_REST = Last(HOME, np.zeros(6))


def with_(**changes: Any) -> Limits:
    return dataclasses.replace(WIDE, **changes)


def test_what_is_allowed_goes_through_untouched() -> None:
    wanted = HOME + np.array([1.0, -1.0, 0.5, 0.0, 0.2, 1.0])
    found = check(wanted, AT_REST, HOME, DT_S, USUAL)

    np.testing.assert_array_equal(found.q, wanted)
    assert not found.clamped
    np.testing.assert_allclose(found.velocity, (wanted - HOME) / DT_S)


@pytest.mark.parametrize(
    ("action", "fault"),
    [
        (np.full(6, np.nan), "shoulder_pan, shoulder_lift, .* is not finite"),
        (HOME + np.array([0, 0, np.inf, 0, 0, 0]), "the action of elbow_flex is not finite"),
        (np.zeros(5), r"shape \(6,\) was expected, not \(5,\)"),
        (np.zeros((1, 6)), r"not \(1, 6\)"),
        ("left", "numbers was expected, not 'left'"),
        ([None] * 6, "is not finite|numbers was expected"),
    ],
)
def test_what_is_no_action_is_refused_and_the_arm_stays(action: Any, fault: str) -> None:
    found = check(action, AT_REST, HOME, DT_S, USUAL)

    assert found.refused is not None
    assert re.search(fault, found.refused)
    assert found.clamped
    np.testing.assert_array_equal(found.q, HOME)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e6, -1e300])
def test_a_position_that_cannot_be_is_refused_and_does_not_lead_the_arm_away(bad: float) -> None:
    present = HOME.copy()
    present[2] = bad
    found = check(HOME + 2.0, AT_REST, present, DT_S, USUAL)

    assert found.refused is not None
    assert re.search(r"the present position of elbow_flex \S+ cannot be", found.refused)
    np.testing.assert_array_equal(found.q, HOME)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e6])
def test_a_last_target_that_cannot_be_is_the_present_position(bad: float) -> None:
    found = check(HOME + 2.0, Last(np.full(6, bad), np.zeros(6)), HOME, DT_S, USUAL)

    assert found.refused is not None
    assert "the last target of shoulder_pan" in found.refused
    np.testing.assert_array_equal(found.q, HOME)
    assert check(HOME, Last(HOME, np.full(6, bad if bad != 1e6 else np.nan)), HOME, DT_S, USUAL).refused is not None


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -0.02, 3.0, 1e-300])
def test_without_a_time_the_arm_stays(bad: float) -> None:
    found = check(HOME + 2.0, Last(HOME, np.full(6, 50.0)), HOME, bad, USUAL)

    assert found.refused is not None
    assert "s since the last target cannot be; allowed are 0.0001 to 1 s" in found.refused
    np.testing.assert_array_equal(found.q, HOME)
    np.testing.assert_array_equal(found.velocity, np.zeros(6))


def test_a_joint_of_which_nothing_is_known_is_sent_nowhere() -> None:
    nowhere = HOME.copy()
    nowhere[3] = np.nan

    with pytest.raises(FaultError, match="of wrist_flex neither the last target nor the present position is a number"):
        check(HOME, Last(nowhere, np.zeros(6)), nowhere, DT_S, USUAL)


def test_each_limit_cuts_and_names_the_joint() -> None:
    pan = np.array([1.0, 0, 0, 0, 0, 0])
    cases = {
        Reason.RANGE: (WIDE, HOME + 200 * pan, arm.UPPER[0]),
        Reason.LEAD: (with_(lead=np.full(6, 30.0)), HOME + 40 * pan, 30.0),
        Reason.VELOCITY: (with_(velocity=np.full(6, 200.0)), HOME + 10 * pan, 4.0),
        Reason.ACCELERATION: (with_(acceleration=np.full(6, 4000.0)), HOME + 10 * pan, 1.6),
    }
    for reason, (limits, wanted, expected) in cases.items():
        found = check(wanted, AT_REST, HOME, DT_S, limits)

        assert found.q[0] == pytest.approx(expected)
        assert found.reasons == (reason, *[Reason.NONE] * 5)
        np.testing.assert_array_equal(found.q[1:], HOME[1:])


def test_a_joint_pushed_away_is_led_back_whatever_velocity_says() -> None:
    limits = with_(lead=np.full(6, 10.0), velocity=np.full(6, 1.0))
    found = check(HOME, AT_REST, HOME + 50.0, DT_S, limits)

    np.testing.assert_allclose(found.q[:5], np.minimum(HOME + 40.0, arm.UPPER)[:5])
    assert all(Reason.LEAD in reason for reason in found.reasons)


def test_a_refused_action_brakes_a_moving_arm_inside_its_acceleration() -> None:
    moving = Last(HOME, np.full(6, 100.0))
    found = check(np.full(6, np.nan), moving, HOME, DT_S, with_(acceleration=np.full(6, 2000.0)))

    np.testing.assert_allclose(found.velocity, 60.0)


def reaching_down() -> np.ndarray:
    """A pose whose finger tip is below the table."""
    grid = np.array(
        [[0.0, lift, elbow, wrist, -90.0, 10.0] for lift in (20, 40, 60) for elbow in (-20, 10, 40) for wrist in (40, 70)]
    )
    return grid[int(np.argmin(safety.lowest_m(grid)))]


def test_the_hand_stops_above_the_table() -> None:
    down = reaching_down()
    found = check(down, AT_REST, HOME, DT_S, with_(table_m=0.0))

    assert safety.lowest_m(HOME) > 0.0 > safety.lowest_m(down)
    assert 0.0 <= safety.lowest_m(found.q) < 0.003
    assert all(Reason.TABLE in reason for reason, moved in zip(found.reasons, down != HOME, strict=True) if moved)


def test_a_hand_below_the_table_may_go_up_and_not_further_down() -> None:
    down = reaching_down()
    below = Last(down, np.zeros(6))
    up = check(HOME, below, down, DT_S, with_(table_m=0.0))
    deeper = check(down + np.array([0, 5.0, 5.0, 0, 0, 0]), below, down, DT_S, with_(table_m=0.0))

    np.testing.assert_array_equal(up.q, HOME)
    assert safety.lowest_m(deeper.q) >= safety.lowest_m(down) - 1e-9


def run_after(wanted: np.ndarray, limits: Limits, n: int, dt_s: float = 1 / 60) -> np.ndarray:
    """What is sent when `wanted` is asked for again and again, of an arm that goes where it is told."""
    last, sent = AT_REST, []
    for _ in range(n):
        found = check(wanted, last, last.q, dt_s, limits)
        last = Last(found.q, found.velocity)
        sent.append(found.q)
    return np.array(sent)


@pytest.mark.parametrize("dt_s", [1 / 30, 1 / 60, 1 / 120])
@pytest.mark.parametrize("acceleration", [2_230.0, 10_000.0])
def test_a_jump_is_ramped_up_and_down_and_does_not_swing(acceleration: float, dt_s: float) -> None:
    jump = HOME + np.array([60.0, 0, 0, 0, 0, 0])
    limits = with_(acceleration=np.full(6, acceleration), velocity=np.full(6, 360.0))
    sent = run_after(jump, limits, 120, dt_s)[:, 0]
    speed = np.diff(sent, prepend=[0.0, 0.0]) / dt_s

    assert (np.abs(np.diff(speed)) <= acceleration * dt_s + 1e-6).all()
    assert sent.max() <= 60.0 + 0.15 * acceleration * dt_s**2
    assert sent[-1] == pytest.approx(60.0)
    assert (np.diff(speed) < -1.0).sum() >= min(360.0, (60 * acceleration) ** 0.5) // (acceleration * dt_s), "it brakes"


def test_the_usual_acceleration_is_active_against_jumps_and_not_in_motion_of_the_demonstrations() -> None:
    usual = Limits.usual(arm.LOWER, arm.UPPER)
    first = run_after(HOME + np.array([90.0, 0, 0, 0, 0, 0]), usual, 3)[:, 0]
    t_s = np.arange(0, 2, 1 / 60)
    smooth = HOME + 40.0 * (1 - np.cos(2 * np.pi * t_s / 2))[:, None] * np.array([1.0, 0, 0, 0, 0, 0])  # 126 deg/s
    last, cut = AT_REST, 0
    for wanted in smooth:
        found = check(wanted, last, last.q, 1 / 60, usual)
        last, cut = Last(found.q, found.velocity), cut + found.clamped

    assert first[0] * 60 == pytest.approx(10_000 / 60)
    assert np.diff(first).max() * 60 <= 360.0 + 1e-6
    assert cut == 0


def test_limits_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "limits.json"
    file.write_text('{"velocity": 90, "lead": [1, 2, 3, 4, 5, 6], "table_m": null}')
    found, usual = Limits.load(file, arm.LOWER, arm.UPPER), Limits.usual(arm.LOWER, arm.UPPER)

    np.testing.assert_array_equal(found.velocity, np.full(6, 90.0))
    np.testing.assert_array_equal(found.lead, np.arange(1.0, 7.0))
    assert (found.table_m, usual.table_m) == (None, -0.01)
    np.testing.assert_array_equal(found.acceleration, usual.acceleration)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "No such file"),
        ("[1", "Expecting"),
        ("[]", "may name velocity, acceleration, lead, table_m"),
        ('{"speed": 3}', "there is no limit named speed"),
        ('{"velocity": Infinity}', "velocity is .* 6 finite numbers"),
        ('{"acceleration": -1}', "each must be above 0"),
        ('{"lead": [1, 2]}', "no file of limits"),
        ('{"table_m": NaN}', "table_m is nan"),
        ('{"table_m": "low"}', "table_m is 'low'"),
    ],
)
def test_a_file_that_holds_no_limits_is_refused(tmp_path: Path, content: str | None, fault: str) -> None:
    file = tmp_path / "limits.json"
    if content is not None:
        file.write_text(content)

    with pytest.raises(FaultError, match=fault):
        Limits.load(file, arm.LOWER, arm.UPPER)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"velocity": np.zeros(6)}, "velocity is .* each must be above 0"),
        ({"lead": np.ones(5)}, "lead is .* 6 finite numbers"),
        ({"upper": np.full(6, np.nan)}, "upper is .* 6 finite numbers"),
        ({"lower": arm.UPPER}, "each joint needs a range"),
    ],
)
def test_limits_that_are_none_are_refused(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        with_(**change)


ANYTHING = hnp.arrays(np.float64, 6, elements=st.floats(allow_nan=True, allow_infinity=True, width=64))
SHARES = hnp.arrays(np.float64, 6, elements=st.floats(0.0, 1.0))


@given(ANYTHING, SHARES, SHARES, hnp.arrays(np.float64, 6, elements=st.floats(-200.0, 200.0)))
@settings(deadline=None, max_examples=300)
def test_whatever_comes_in_what_goes_out_is_inside_every_limit(
    action: np.ndarray, last: np.ndarray, present: np.ndarray, velocity: np.ndarray
) -> None:
    span = arm.UPPER - arm.LOWER
    before, at = arm.LOWER + last * span, arm.LOWER + present * span
    found = check(action, Last(before, velocity), at, DT_S, USUAL)
    lead_low, lead_high = at - USUAL.lead, at + USUAL.lead
    pulled = (before < lead_low) | (before > lead_high)  # where the lead forces more than the velocity allows
    step = np.abs(found.q - before)

    assert np.isfinite(found.q).all()
    assert (found.q >= arm.LOWER).all()
    assert (found.q <= arm.UPPER).all()
    assert safety.lowest_m(found.q) >= min(0.0, float(safety.lowest_m(before))) - 1e-9
    assert (step[~pulled] <= USUAL.velocity[~pulled] * DT_S + 1e-9).all()
    if not any(Reason.TABLE in reason for reason in found.reasons):
        assert (found.q >= np.clip(lead_low, arm.LOWER, arm.UPPER) - 1e-9).all()
        assert (found.q <= np.clip(lead_high, arm.LOWER, arm.UPPER) + 1e-9).all()
        free = ~pulled & (np.abs(velocity) * DT_S + step < 1e9)
        change = np.abs(found.velocity - velocity)
        forced = (before + velocity * DT_S < np.maximum(lead_low, arm.LOWER)) | (
            before + velocity * DT_S > np.minimum(lead_high, arm.UPPER)
        )
        assert (change[free & ~forced] <= USUAL.acceleration[free & ~forced] * DT_S + 1e-6).all()


ODD = st.sampled_from([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e-310, 1e7, -1e300, 1.7e308])
ODD_JOINTS = hnp.arrays(np.float64, 6, elements=st.one_of(st.floats(-150.0, 150.0), ODD))


@given(ANYTHING, ODD_JOINTS, ODD_JOINTS, ODD_JOINTS, st.one_of(st.floats(1e-3, 0.1), ODD))
@settings(deadline=None, max_examples=400)
def test_whatever_comes_beside_an_action_what_goes_out_is_finite_and_in_range(
    action: np.ndarray, q: np.ndarray, velocity: np.ndarray, present: np.ndarray, dt_s: float
) -> None:
    known = np.abs(q) <= 1000.0, np.abs(present) <= 1000.0
    if not (known[0] | known[1]).all():
        with pytest.raises(FaultError, match="nothing can be sent"):
            check(action, Last(q, velocity), present, dt_s, USUAL)
        return
    found = check(action, Last(q, velocity), present, dt_s, USUAL)

    assert np.isfinite(found.q).all()
    assert np.isfinite(found.velocity).all()
    assert (found.q >= arm.LOWER).all()
    assert (found.q <= arm.UPPER).all()
    sane = known[0].all() and known[1].all() and np.isfinite(velocity).all() and 1e-4 <= dt_s <= 1.0
    assert (found.refused is None) == (sane and bool(np.isfinite(action).all()))


@given(ANYTHING, SHARES)
@settings(deadline=None, max_examples=50)
def test_the_same_input_gives_the_same_bits(action: np.ndarray, last: np.ndarray) -> None:
    before = arm.LOWER + last * (arm.UPPER - arm.LOWER)
    one, other = (check(action, Last(before, np.zeros(6)), before, DT_S, USUAL) for _ in range(2))

    np.testing.assert_array_equal(one.q, other.q)
    assert one.reasons == other.reasons
