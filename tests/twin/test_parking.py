"""What goes wrong on the way to the parking pose, or to where a run starts: the arm holds, is mended, and goes on."""

from __future__ import annotations

import dataclasses
import signal

import numpy as np
import pytest

from soarm.errors import FaultError
from soarm.hardware.states import State
from soarm.runtime import shutdown
from soarm.runtime.persist import passing, persist
from soarm.signals import StopRequests
from soarm.twin.faults import Fault

IDS = range(1, 7)
SPEED = 150.0


@pytest.fixture
def arm(twin, connect):
    made = connect(twin, park_speed=SPEED, wait_s=0.3)
    made.hold()
    made.activate()
    return made


def rest_of(arm):
    return np.clip(arm.config.park, arm.calibration.lower, arm.calibration.upper)


def far_at_release(twin, arm):
    """Return a list that gets how far each joint is from the parking pose when the arm is let go, shape (6,)."""
    far, release = [], arm.release

    def noted():
        far.append(np.abs(twin.q() - rest_of(arm)))
        return release()

    arm.release = noted
    return far


@pytest.mark.parametrize(
    "fault",
    [
        Fault("mute", 3, count=6),
        Fault("mute", 2, count=12),
        Fault("mute", 3, count=30),
        Fault("mute", 1, count=30),
        Fault("overload", 3),
        Fault("overload", 1),
        Fault("reboot", 2),
        Fault("sag", None, 3.8),
    ],
    ids=lambda fault: f"{fault.kind} {fault.servo_id} {fault.count}",
)
def test_what_passes_or_can_be_mended_while_parking_drops_no_arm(twin, arm, fault):
    far, beats = far_at_release(twin, arm), []
    if fault.kind == "mute":
        arm.config = dataclasses.replace(arm.config, wait_s=20.0)
    twin.inject(Fault(fault.kind, fault.servo_id, fault.value, after_writes=8, count=fault.count))
    ended = shutdown.shut_down(arm, lambda: beats.append(twin.q()), park=True)

    assert ended == shutdown.Shutdown((), True, False)
    assert far[0].max() < 3.0
    assert not any(twin.torque(i) for i in IDS)
    steps = np.abs(np.diff(np.array(beats), axis=0))
    assert steps.max() < 1.3 * SPEED / 30, "after a hold the way is planned anew from where the arm is, without a jump"


def test_a_supply_that_comes_back_is_waited_for_before_it_goes_on(twin, arm):
    states = []

    def beat():
        states.append(arm.state)
        if states.count(State.HOLD) == 8:
            twin.mend()

    far = far_at_release(twin, arm)
    twin.inject(Fault("sag", value=3.8, after_writes=8))

    assert shutdown.shut_down(arm, beat, park=True).parked is True
    assert far[0].max() < 3.0
    assert states.count(State.HOLD) >= 10, "it held until the supply had been back for 0.2 s"
    assert states[-1] is State.ACTIVE


def test_a_joint_that_does_not_carry_the_arm_and_overloads_again_and_again_is_left_out(twin, arm, caplog):
    far = far_at_release(twin, arm)
    for n in range(8, 100, 6):
        twin.inject(Fault("overload", servo_id=6, after_writes=n))

    assert shutdown.shut_down(arm, lambda: None, park=True).parked is True
    assert far[0][:5].max() < 3.0
    assert "not recovered: it has already been recovered 3 times" in caplog.text


def test_a_cable_that_is_plugged_in_again_within_seconds_is_waited_for(twin, arm):
    far, beats = far_at_release(twin, arm), []

    def beat():
        beats.append(arm.state)
        if len(beats) == 10:
            twin.unplug()
        if beats.count(State.FAULT) == 15:
            twin.replug()

    arm.config = dataclasses.replace(arm.config, wait_s=20.0)
    ended = shutdown.shut_down(arm, beat, park=True)

    assert ended == shutdown.Shutdown((), True, False)
    assert far[0].max() < 3.0
    assert not any(twin.torque(i) for i in IDS)


@pytest.mark.parametrize(
    ("fault", "live", "said"),
    [
        (Fault("heat", 2, 67.0), (), "not parked: shoulder_lift (servo 2) has 6"),
        (Fault("mute", 3, count=None), ("elbow_flex (servo 3)",), "not parked: elbow_flex (servo 3) did not answer"),
    ],
    ids=["heat", "silent for good"],
)
def test_a_carrying_joint_beyond_recovery_is_let_go_above_the_rest_pose_and_that_is_said(twin, arm, caplog, fault, live, said):
    twin.inject(Fault(fault.kind, fault.servo_id, fault.value, after_writes=8, count=fault.count))

    assert shutdown.shut_down(arm, lambda: None, park=True) == shutdown.Shutdown(live, False, False)
    assert said in caplog.text
    assert "RELEASED ABOVE ITS REST POSE, from which it is shoulder_lift" in caplog.text
    assert "degrees away. It falls now: support it" in caplog.text


def test_an_arm_that_was_switched_off_and_on_while_it_parked_gets_no_torque(twin, arm, caplog):
    once = iter([twin.power_cycle])

    def beat():
        if twin.goal_writes() > 8:
            next(once, lambda: None)()

    assert shutdown.shut_down(arm, beat, park=True).parked is False
    assert "no servo has torque any more: the arm was switched off" in caplog.text
    assert not any(twin.torque(i) for i in IDS)


@pytest.mark.parametrize("fault", ["heat", "unplug"])
def test_a_limp_arm_in_fault_is_not_given_torque_to_be_parked(twin, connect, fault):
    limp, before = connect(twin, wait_s=0.1), twin.goal_writes()
    twin.inject(Fault(fault, servo_id=6, value=67.0))
    while limp.state is not State.FAULT:  # the cable goes between one observation and the next
        try:
            limp.observe()
        except FaultError:
            twin.replug()

    assert shutdown.shut_down(limp, lambda: None, park=True).parked is None
    assert twin.goal_writes() == before
    assert not any(twin.torque(i) for i in IDS)


def test_a_port_that_is_gone_for_good_is_reported_as_such(twin, arm, caplog):
    twin.inject(Fault("unplug", after_writes=8))
    ended = shutdown.shut_down(arm, lambda: None, park=True)

    assert (len(ended.live), ended.parked, ended.lost) == (6, False, True)
    assert "waiting 0.3 s for it to come back" in caplog.text
    assert "LEFT ABOVE ITS REST POSE" in caplog.text
    assert "It stays there until its power is cut, and then it falls" in caplog.text


def test_a_second_ctrl_c_while_it_waits_for_a_servo_lets_go_at_once_and_is_no_parking(twin, arm):
    signals, beats = StopRequests(), []

    def beat():
        beats.append(1)
        if arm.state is State.HOLD and len(beats) > 8:
            signals.record(signal.SIGINT, None)

    twin.inject(Fault("mute", servo_id=3, after_writes=8, count=12))

    assert shutdown.shut_down(arm, beat, park=True, signals=signals).parked is False
    assert not any(twin.torque(i) for i in IDS)


def test_what_the_caller_raises_ends_a_move_and_is_not_taken_for_a_stop_of_the_arm(twin, arm):
    moves = []

    def stop():
        raise FaultError("SIGINT came before the run began")

    def go(each):
        moves.append(1)
        arm.move_to([0, 0, 5, 85, -85, 30], each)

    with pytest.raises(FaultError, match="SIGINT came"):
        persist(arm, go, stop, lambda: True)
    assert len(moves) == 1


def test_nothing_passes_by_itself_in_an_arm_that_is_well_or_was_never_looked_at(twin, arm):
    arm.observe()
    assert passing(arm) == frozenset()
    arm.seen = None
    assert passing(arm) == frozenset()
