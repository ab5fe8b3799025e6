from __future__ import annotations

import io
import logging
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from soarm import arm, kinematics
from soarm.errors import TeleopError
from soarm.runtime.safety import lowest_m
from soarm.spec import STATE
from soarm.teleop import gamepad, keyboard
from soarm.teleop.cartesian import Cartesian, Speeds, Twist, leads
from soarm.teleop.gamepad import Gamepad
from soarm.teleop.keyboard import FIRST_HELD_S, HELD_S, KEYS, HeldKeys, Keyboard, Terminal
from soarm.teleop.leader import Leader

HOME = np.array([0.0, 0.0, 5.0, 90.0, -90.0, 30.0], np.float32)
SHARE = st.floats(-1.0, 1.0)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_held_direction_moves_the_gripper_point_that_way_and_no_other(axis: str, sign: float) -> None:
    hand = Cartesian(30, Speeds(linear_m_s=0.09))
    hand.start(HOME)
    before, _ = kinematics.forward(HOME)
    q = HOME
    for _ in range(10):
        q = hand.move(Twist(**{axis: sign}), q)
    moved = kinematics.forward(q)[0] - before
    along = "xyz".index(axis)

    assert moved[along] == pytest.approx(sign * 0.03, abs=3e-3)
    assert np.abs(np.delete(moved, along)).max() < 3e-3
    assert q[arm.GRIPPER] == HOME[arm.GRIPPER]


def test_out_of_reach_stays_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    hand = Cartesian(30)
    hand.start(HOME)
    poses = [HOME]
    for _ in range(130):
        poses.append(hand.move(Twist(y=-1.0), poses[-1]))

    assert hand.out_of_reach
    np.testing.assert_array_equal(poses[-1], poses[-2])
    assert caplog.text.count("out of reach: the hand stays here; move it another way") == 1
    hand.move(Twist(), poses[-1])
    hand.move(Twist(y=-1.0), poses[-1])
    assert caplog.text.count("out of reach") == 2, "whoever tries again hears it again"


def test_a_step_costs_no_more_than_20_iterations_wherever_the_hand_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """30 Hz leave 33 ms for all of a step; thirty iterations each of five times took 50."""
    jacobian, calls = kinematics.jacobian, []
    monkeypatch.setattr(kinematics, "jacobian", lambda q: (calls.append(1), jacobian(q))[1])
    hand, q, most = Cartesian(30), HOME, 0
    hand.start(HOME)
    for _ in range(75):
        q = hand.move(Twist(y=-1.0), q)
        most, calls = max(most, len(calls)), calls[:0]

    assert hand.out_of_reach
    assert 0 < most <= 20


def test_the_hand_stays_above_the_table_and_may_leave_it_from_below() -> None:
    hand = Cartesian(30)
    q = HOME
    hand.start(q)
    for _ in range(60):
        q = hand.move(Twist(z=-1.0), q)
    low = lowest_m(q)
    assert hand.out_of_reach
    assert 0.0 <= low < 0.006

    q = np.array([1.4, 24.0, 12.4, 87.4, -86.8, 34.1], np.float32)  # an arm that was let go, lying on its fingers
    hand.start(q)
    assert (below := lowest_m(q)) < 0
    assert lowest_m(hand.move(Twist(z=1.0), q)) > below


def test_the_targets_wait_for_an_arm_that_meets_something_and_the_gripper_may_still_move(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    hand = Cartesian(30)
    hand.start(HOME)
    for _ in range(50):
        q = hand.move(Twist(x=1.0, gripper=1.0), HOME)  # the arm stands still

    ahead = np.abs(q - HOME)
    assert (ahead[:5] <= leads([32] * 6)[:5]).all()
    assert ahead[0] > 6.0
    assert q[arm.GRIPPER] == 100.0
    assert caplog.text.count("the arm does not follow: something blocks it") == 1
    back = hand.move(Twist(x=-1.0), HOME)
    assert abs(back[0] - HOME[0]) < ahead[0], "the way back is free"


def test_a_target_is_as_far_ahead_as_the_gains_allow() -> None:
    np.testing.assert_allclose(leads([32, 16, 8, 32, 32, 32])[:4], [7.55, 15.1, 30.2, 7.55], atol=0.01)
    assert leads([32] * 6)[arm.GRIPPER] == np.inf


def test_a_target_that_sags_far_behind_is_not_pulled_down() -> None:
    hand = Cartesian(30)
    hand.start(HOME)
    sagging = HOME + np.array([0, 15, 0, 0, 0, 0], np.float32)

    np.testing.assert_array_equal(hand.move(Twist(), sagging), HOME)
    assert hand.move(Twist(roll=1.0), sagging)[4] > HOME[4]


@given(st.lists(st.tuples(*[SHARE] * 6), max_size=5))
@settings(deadline=None, max_examples=30)
def test_whatever_a_hand_asks_for_targets_stay_inside_the_limits(twists: list[tuple[float, ...]]) -> None:
    hand = Cartesian(5, Speeds(linear_m_s=1.0, angular_deg_s=900.0, gripper_percent_s=900.0))
    hand.start(HOME)
    q = HOME
    for twist in twists:
        q = hand.move(Twist(*twist), q)

        assert np.isfinite(q).all()
        assert (q >= arm.LOWER - 1e-4).all()
        assert (q <= arm.UPPER + 1e-4).all()


def test_a_key_is_held_between_its_repeats_and_let_go_after_them() -> None:
    clock = SimpleNamespace(t=0.0)
    keys = HeldKeys(lambda: clock.t)
    keys.hear("w")
    clock.t = FIRST_HELD_S - 0.01
    first = keys.held()
    keys.hear("w")
    clock.t += HELD_S - 0.01
    repeated = keys.held()
    clock.t += 0.02

    assert first == repeated == {"w"}
    assert keys.held() == frozenset()


def test_opposite_keys_cancel_and_unknown_ones_do_nothing() -> None:
    assert keyboard.twist_of("ad?") == Twist()
    assert keyboard.twist_of("wr") == Twist(y=-1.0, z=1.0)
    assert keyboard.twist_of(()) == Twist()
    assert set(map(keyboard.twist_of, KEYS)) == set(KEYS.values())


def test_no_key_leaves_the_arm_where_it_stands() -> None:
    board = Keyboard(HeldKeys(lambda: 0.0), 30)
    board.connect()
    board.start({STATE: HOME})

    np.testing.assert_array_equal(board.action({STATE: HOME + 1}), HOME)
    assert not board._cartesian.out_of_reach


def test_without_a_terminal_there_is_no_keyboard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())

    with pytest.raises(TeleopError, match="no terminal, so no key can be read"), Terminal():
        pass


def test_sticks_rest_in_the_dead_zone_and_reach_full_speed() -> None:
    assert gamepad.twist_of({"ABS_X": 3000.0, "ABS_Y": -3000.0}) == Twist()
    assert gamepad.twist_of({"ABS_X": -32768.0, "ABS_RY": 32767.0}) == pytest.approx(Twist(x=-1.0, z=-1.0), abs=1e-4)
    assert gamepad.twist_of({"ABS_Z": 255.0, "ABS_RZ": 51.0}).gripper == pytest.approx(-0.8)


class UnpluggedError(RuntimeError):
    """As in the package `inputs`."""


class Pad:
    def __init__(self, events: list[Any], end: Exception) -> None:
        self.events, self.end, self.heard = events, end, threading.Event()
        self.unplugged = threading.Event()

    def read(self) -> list[Any]:
        if not self.events:
            self.heard.set()
            assert self.unplugged.wait(10.0)
            raise self.end
        return [self.events.pop(0)]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (OSError("No such device"), "OSError: No such device"),
        (UnpluggedError("it was pulled"), "UnpluggedError: it was pulled"),
        (ValueError("half an event"), "ValueError: half an event"),
    ],
    ids=["gone", "unplugged", "damaged"],
)
def test_a_gamepad_moves_the_arm_until_it_goes_away_with_its_stick_pushed(end: Exception, words: str) -> None:
    pushed = SimpleNamespace(ev_type="Absolute", code="ABS_RZ", state=255)
    pad = Pad([pushed, SimpleNamespace(ev_type="Sync", code="", state=0)], end)
    device = Gamepad(30, lambda: SimpleNamespace(devices=SimpleNamespace(gamepads=[pad])))
    device.start({STATE: HOME})
    device.connect()
    assert pad.heard.wait(10.0)
    assert gamepad.twist_of(device._axes).gripper == 1.0
    assert device.action({STATE: HOME})[arm.GRIPPER] > HOME[arm.GRIPPER]
    pad.unplugged.set()
    assert device._thread is not None
    device._thread.join(timeout=10.0)

    assert gamepad.twist_of(device._axes) == Twist(), "no stick stays pushed"
    with pytest.raises(TeleopError, match=rf"the gamepad was disconnected \({words}\).*Kept episodes are safe"):
        device.action({STATE: HOME})
    device.close()


def test_a_missing_package_or_gamepad_is_named() -> None:
    def missing() -> Any:
        raise ImportError

    with pytest.raises(TeleopError, match="pip install inputs"):
        Gamepad(30, missing).connect()
    with pytest.raises(TeleopError, match="no gamepad was found"):
        Gamepad(30, lambda: SimpleNamespace(devices=SimpleNamespace(gamepads=[]))).connect()


class LeaderArm:
    def __init__(self, q: np.ndarray) -> None:
        self.q, self.age_s = q, np.zeros(6)

    def observe(self) -> Any:
        return SimpleNamespace(q=self.q, age_s=self.age_s)


def test_the_follower_goes_slowly_to_where_the_leader_is_and_then_follows() -> None:
    arm_in_hand = LeaderArm(HOME + np.array([60.0, 0, 0, 0, 0, 0], np.float32))
    leader = Leader(arm_in_hand, control_hz=30)
    leader.connect()
    leader.start({STATE: HOME})
    way = np.array([leader.action({STATE: HOME}) for _ in range(80)])
    arm_in_hand.q = HOME

    assert np.abs(np.diff(way[:, 0], prepend=HOME[0])).max() * 30 <= 60.0 * 1.01
    np.testing.assert_allclose(way[-1], HOME + np.array([60.0, 0, 0, 0, 0, 0]), atol=1e-4)
    np.testing.assert_array_equal(leader.action({STATE: HOME}), HOME)


def test_a_leader_gone_silent_is_not_followed() -> None:
    arm_in_hand = LeaderArm(HOME)
    leader = Leader(arm_in_hand, control_hz=30)
    leader.start({STATE: HOME})
    before = leader.action({STATE: HOME})
    arm_in_hand.q, arm_in_hand.age_s = HOME + 20, np.array([0.0, 0.0, 0.2, 0.0, 0.0, 0.0])

    np.testing.assert_array_equal(leader.action({STATE: HOME}), before)
    assert leader.stale_steps == 1
    with pytest.raises(TeleopError, match="the leader's elbow_flex did not answer"):
        leader.connect()
