"""Winding down against an arm in memory."""

from __future__ import annotations

import types

import numpy as np
import pytest

from soarm.errors import FaultError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.states import State
from soarm.runtime.ending import wind_down


class FakeArm:
    """Says what it was asked; parks where `can` says so."""

    def __init__(self, state, can=True, raises=None):
        self.state, self.fault, self._can, self._raises = state, "gripper (servo 6) reports OVERLOAD", can, raises
        self.asked = []
        self.calibration, self.config = Calibration.nominal(), ArmConfig()

        self.q = np.asarray(self.config.park)

    def observe(self):
        return types.SimpleNamespace(q=self.q)

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
        if self._raises is not None:
            raise self._raises

    def release(self):
        self.asked.append("release")
        return ()


@pytest.mark.parametrize(
    ("state", "can", "asked"),
    [
        (State.ACTIVE, True, ["hold", "park", "release"]),
        (State.HOLD, True, ["park", "release"]),
        (State.FAULT, True, ["park", "release"]),
        (State.FAULT, False, ["release"]),
        (State.LIMP, False, ["release"]),
    ],
)
def test_an_arm_is_parked_wherever_it_can_be_and_always_let_go(state, can, asked):
    arm = FakeArm(state, can)

    assert wind_down(arm, lambda: None, park=True) == ()
    assert arm.asked == asked


def test_a_hand_that_would_dip_under_the_table_on_its_way_to_park_is_lifted_first():
    arm = FakeArm(State.HOLD)
    arm.q = np.array([-12.0, 65.0, 90.0, 27.0, 0.0, 10.0])

    wind_down(arm, lambda: None, park=True)
    assert arm.asked == ["move_to", "park", "release"]


def test_what_cannot_be_parked_is_said(caplog):
    wind_down(FakeArm(State.FAULT, can=False), lambda: None, park=True)

    assert "not parked: gripper (servo 6) reports OVERLOAD; the port or a joint that carries the arm" in caplog.text


@pytest.mark.parametrize("state", [State.HOLD, State.FAULT])
def test_an_arm_that_stops_on_its_way_is_let_go(state, caplog):
    arm = FakeArm(state, raises=FaultError("the arm stopped on its way"))
    wind_down(arm, lambda: None, park=True)

    assert arm.asked == ["park", "release"]
    assert "not parked: the arm stopped on its way" in caplog.text


def test_an_error_of_ours_lets_go_before_it_goes_on():
    arm = FakeArm(State.HOLD, raises=AssertionError("ours"))

    with pytest.raises(AssertionError, match="ours"):
        wind_down(arm, lambda: None, park=True)
    assert arm.asked == ["park", "release"]
