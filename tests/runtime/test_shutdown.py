"""Winding down against an arm in memory."""

from __future__ import annotations

import types

import numpy as np
import pytest

from soarm.errors import BusError, FaultError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.registers import Status
from soarm.hardware.states import State
from soarm.runtime import persist
from soarm.runtime.shutdown import Shutdown, shut_down
from soarm.signals import StopRequests

ALOFT = np.array([0.0, 0.0, 5.0, 85.0, -85.0, 30.0])
WELL = (types.SimpleNamespace(voltage_v=7.4, status=Status(0)),) * 6


class FakeArm:
    """Says what it was asked; parks where `can` says so, but for the first `stops` times."""

    def __init__(self, state, can=True, raises=None, stops=10**6):
        self.state, self.fault, self._can, self._raises = state, "gripper (servo 6) reports OVERLOAD", can, raises
        self.asked, self._stops = [], stops
        self.calibration, self.config = Calibration.nominal(), ArmConfig()
        self.bus = types.SimpleNamespace(line=types.SimpleNamespace(is_open=True), servo_ids=(1,), read=lambda *_: 1)
        self.q, self.told = ALOFT, np.full(6, 2048)

    @property
    def seen(self):
        return types.SimpleNamespace(q=self.q, misses=np.zeros(6, int), telemetry=WELL)

    def observe(self):
        return self.seen

    def recover(self):
        raise FaultError("brought back 3 times")

    def move_to(self, q, each):
        each()
        self.asked.append("move_to")

    def hold(self):
        self.asked.append("hold")
        self.state = State.HOLD

    def can_park(self):
        return self._can

    def park(self, each):
        each()
        self.asked.append("park")
        if self._raises is not None and self.asked.count("park") <= self._stops:
            raise self._raises
        self.q = np.clip(self.config.park, self.calibration.lower, self.calibration.upper)

    def release(self):
        self.asked.append("release")
        return ()


@pytest.mark.parametrize(
    ("state", "can", "parked", "asked"),
    [
        (State.ACTIVE, True, True, ["hold", "park", "release"]),
        (State.HOLD, True, True, ["park", "release"]),
        (State.FAULT, True, True, ["park", "release"]),
        (State.FAULT, False, False, ["release"]),
        (State.LIMP, False, None, ["release"]),
    ],
)
def test_an_arm_is_parked_wherever_it_can_be_and_always_let_go(state, can, parked, asked):
    arm = FakeArm(state, can)

    assert shut_down(arm, lambda: None, park=True) == Shutdown((), parked, False)
    assert arm.asked == asked


def test_an_arm_that_is_not_to_be_parked_is_only_let_go():
    arm = FakeArm(State.ACTIVE)

    assert shut_down(arm, lambda: None, park=False).parked is None
    assert arm.asked == ["hold", "release"]


def test_an_arm_that_lies_in_its_parking_pose_is_not_dropped_when_it_is_let_go_at_once():
    arm = FakeArm(State.HOLD)
    arm.q = np.clip(arm.config.park, arm.calibration.lower, arm.calibration.upper)
    signals = StopRequests()
    signals.came = ["SIGINT", "SIGINT"]

    assert shut_down(arm, lambda: None, park=True, signals=signals).parked is True
    assert arm.asked == ["release"]


def test_a_hand_that_would_dip_under_the_table_on_its_way_to_park_is_lifted_first():
    arm = FakeArm(State.HOLD)
    arm.q = np.array([-12.0, 65.0, 90.0, 27.0, 0.0, 10.0])

    shut_down(arm, lambda: None, park=True)
    assert arm.asked == ["move_to", "park", "release"]


def test_what_cannot_be_parked_is_said(caplog):
    shut_down(FakeArm(State.FAULT, can=False), lambda: None, park=True)

    assert "not parked: gripper (servo 6) reports OVERLOAD; the port or a joint that carries the arm" in caplog.text
    assert "RELEASED ABOVE ITS REST POSE, from which it is shoulder_lift 95, elbow_flex 85, wrist_flex 15" in caplog.text


@pytest.mark.parametrize("state", [State.HOLD, State.FAULT])
@pytest.mark.parametrize("error", [FaultError("the arm stopped on its way"), BusError("servo 2 did not answer")])
def test_an_arm_that_stops_on_its_way_goes_on(state, error):
    arm = FakeArm(state, raises=error, stops=2)

    assert shut_down(arm, lambda: None, park=True).parked is True
    assert arm.asked == ["park", "park", "park", "release"]


@pytest.mark.parametrize("state", [State.HOLD, State.FAULT])
def test_an_arm_that_stops_again_and_again_on_its_way_is_let_go(state, caplog):
    arm = FakeArm(state, raises=FaultError("the arm stopped on its way"))

    assert shut_down(arm, lambda: None, park=True).parked is False
    assert arm.asked == ["park"] * (persist.MOST_STOPS + 1) + ["release"]
    assert "not parked: the move was given up: the arm stopped on its way" in caplog.text


def test_a_switch_that_took_torque_while_a_servo_is_silent_is_made_good_as_soon_as_it_answers(monkeypatch):
    arm, tried = FakeArm(State.HOLD, raises=FaultError("stopped"), stops=2), []

    def write_ram(*_):
        tried.append(1)
        if len(tried) == 1:
            raise BusError("servo 2 did not answer")

    def gone():
        raise FaultError("the dead man's switch acted")

    monkeypatch.setattr("soarm.runtime.shutdown.bringup.write_ram", write_ram)

    assert shut_down(arm, gone, park=True).parked is True
    assert len(tried) == 2


def test_an_error_of_ours_lets_go_before_it_goes_on():
    arm = FakeArm(State.HOLD, raises=AssertionError("ours"))

    with pytest.raises(AssertionError, match="ours"):
        shut_down(arm, lambda: None, park=True)
    assert arm.asked == ["park", "release"]
