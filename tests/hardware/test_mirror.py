"""Frames that get lost: what an arm was told to keep is read back, and told again."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.hardware.states import State
from soarm.twin.faults import Fault
from soarm.twin.servo import FirmwareAssumptions

IDS = range(1, 7)


@pytest.mark.parametrize("stop", ["hold", "fault", "silence"])
def test_a_lost_frame_does_not_leave_a_joint_under_way_in_an_arm_that_stopped(make_twin, connect, stop, settle, deafen):
    twin = make_twin(servo_model="sts3215")
    arm = connect(twin)
    arm.hold()
    arm.activate()
    q = np.clip(arm.observe().q + np.array([30.0, 0, 0, 0, 0, 0]), arm.calibration.lower, arm.calibration.upper)
    arm.command(q)
    settle(arm)
    under_way = twin.servos[1].get("goal_position")
    missed = deafen(twin.servos[1], 42, 1)
    if stop == "fault":
        twin.inject(Fault("overload", servo_id=6))
    elif stop == "silence":
        twin.inject(Fault("mute", servo_id=6, count=6))
    else:
        arm.hold()
    for _ in range(3):
        arm.observe()

    assert arm.state is (State.FAULT if stop == "fault" else State.HOLD)
    assert len(missed) == 1
    assert abs(twin.servos[1].get("goal_position") - under_way) > 100
    assert abs(twin.servos[1].get("goal_position") - twin.servos[1].present_ticks) < 100
    assert any("shoulder_pan (servo 1) had goal_position" in text for _, text in arm.events)


def test_a_goal_that_changes_later_is_found_by_the_audit_and_told_again(twin, active):
    active.hold()
    goal = twin.servos[4].get("goal_position")
    twin.servos[4].put("goal_position", goal + 200)
    for _ in IDS:
        active.observe()

    assert twin.servos[4].get("goal_position") == goal


def test_a_joint_that_was_silent_when_the_arm_stopped_stays_as_soon_as_it_is_heard(twin, active):
    q = active.observe().q
    q[0] += 30.0
    twin.inject(Fault("mute", servo_id=1, count=6))
    for _ in range(3):
        active.command(q)
        active.observe()
    assert active.state is State.HOLD
    assert twin.servos[1].get("goal_position") == active.calibration.to_ticks(q)[0]
    seen = active.observe()

    assert seen.misses[0] == 0
    assert twin.servos[1].get("goal_position") == seen.ticks[0]


@pytest.mark.parametrize("times", [1, 3])
def test_a_lost_write_does_not_leave_a_hot_servo_at_its_full_torque(twin, active, times, deafen):
    missed = deafen(twin.servos[2], 48, times)
    twin.inject(Fault("heat", servo_id=2, value=62))
    for _ in range(3):
        active.observe()

    assert len(missed) == times
    assert twin.servos[2].get("torque_limit") == 500
    assert active.state is State.ACTIVE


def test_a_torque_limit_that_somebody_else_changed_is_set_again_and_said(twin, active):
    twin.servos[3].put("torque_limit", 300)
    for _ in IDS:
        active.observe()

    assert twin.servos[3].get("torque_limit") == 1000
    assert any("elbow_flex (servo 3) had torque_limit 300 instead of 1000" in text for _, text in active.events)


def test_a_servo_that_was_let_go_is_told_no_goal_which_might_switch_it_on_again(make_twin, connect):
    twin = make_twin(assumptions=FirmwareAssumptions(goal_enables_torque=True))
    arm = connect(twin)
    arm.hold()
    arm.activate()
    twin.inject(Fault("heat", servo_id=2, value=67))
    for _ in range(14):
        arm.observe()

    assert [twin.torque(i) for i in IDS] == [True, False, True, True, True, True]
