"""Faults that come together, late, or with servos that do not do as they are told; the twin plays them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from soarm.errors import BusError, FaultError
from soarm.hardware.patrol import Patrol
from soarm.hardware.states import State
from soarm.twin.faults import Fault
from soarm.twin.servo import Unknowns

IDS = range(1, 7)


def settle(arm):
    """Wait until what nobody acknowledges has arrived."""
    arm.bus.ping(1)


def deafen(servo, address, times):
    """Make a servo miss so many writes to a register; return a list that grows with each."""
    write, missed = servo.write, []

    def hear(at, data):
        if at == address and len(missed) < times:
            missed.append(data)
        else:
            write(at, data)

    servo.write = hear
    return missed


@pytest.mark.parametrize("torque_at_power_up", [False, True])
@pytest.mark.parametrize("servo_id", IDS)
def test_a_restart_is_seen_within_six_cycles_whether_or_not_torque_comes_back_with_it(
    make_twin, connect, servo_id, torque_at_power_up
):
    twin = make_twin(unknowns=Unknowns(torque_at_power_up=torque_at_power_up))
    arm = connect(twin)
    arm.hold()
    arm.activate()
    twin.inject(Fault("reboot", servo_id=servo_id))
    for _ in IDS:
        arm.observe()

    assert arm.state is State.FAULT
    assert f"(servo {servo_id}) lost its {'settings' if torque_at_power_up else 'torque'}" in str(arm.fault)
    arm.recover()
    assert arm.state is State.HOLD
    assert twin.servos[servo_id].get("goal_velocity") == arm.config.gains.velocity[servo_id - 1]


def test_of_an_arm_met_with_torque_the_settings_are_not_judged_before_they_are_written(make_twin, connect):
    twin = make_twin(unknowns=Unknowns(torque_at_power_up=True))
    arm = connect(twin)
    for _ in range(12):
        arm.observe()

    assert arm.state is State.HOLD


def test_a_servo_that_was_silent_when_the_watch_began_is_judged_by_its_torque_alone(twin, active):
    twin.inject(Fault("mute", servo_id=3, count=None))
    patrol = Patrol.of(active.bus)
    twin.mend()
    twin.servos[3].put("acceleration", 7)
    verdicts = [verdict for _ in IDS for verdict in patrol.step(active.bus, [0] * 6)]

    assert verdicts == []
    twin.servos[3].put("torque_enable", 0)
    verdicts = [verdict for _ in IDS for verdict in patrol.step(active.bus, [0] * 6)]
    assert [verdict.joint for verdict in verdicts] == [2]


def test_a_silent_servo_is_not_asked_for_its_settings_as_well(twin, active, monkeypatch):
    asked, read_block = [], active.bus.read_block

    def noted(servo_id, address, n_bytes):
        asked.append(servo_id)
        return read_block(servo_id, address, n_bytes)

    monkeypatch.setattr(active.bus, "read_block", noted)
    twin.inject(Fault("mute", servo_id=2, count=None))
    for _ in IDS:
        active.observe()

    assert asked == [1, 3, 4, 5, 6]


def test_all_servos_that_are_too_hot_are_let_go_and_the_others_hold(twin, active):
    for servo_id in (2, 5):
        twin.inject(Fault("heat", servo_id=servo_id, value=67))
    active.observe()

    assert active.state is State.FAULT
    assert [twin.torque(i) for i in IDS] == [True, False, True, True, False, True]
    assert re.search(r"shoulder_lift \(servo 2\) has 6\d degC, the limit is 65; it was let go", str(active.fault))
    assert any(re.search(r"wrist_roll \(servo 5\) has 6\d degC, .*; it was let go", text) for _, text in active.events)


def test_a_servo_that_becomes_too_hot_after_the_arm_stopped_is_let_go_and_said_once(twin, active):
    twin.inject(Fault("overload", servo_id=3))
    active.observe()
    first = active.fault
    twin.inject(Fault("heat", servo_id=2, value=67))
    for _ in range(5):
        active.observe()

    assert not twin.torque(2)
    assert active.fault == first
    assert sum("shoulder_lift (servo 2) has 6" in text and "was let go" in text for _, text in active.events) == 1


def test_a_hot_limp_arm_is_a_fault_and_gets_no_goals(twin, connect):
    arm = connect(twin)
    before = twin.goal_writes()
    twin.inject(Fault("heat", servo_id=2, value=67))
    arm.observe()

    assert arm.state is State.FAULT
    assert twin.goal_writes() == before


def test_a_servo_that_reports_heat_is_let_go_whatever_its_thermometer_says(twin, active):
    twin.inject(Fault("error", servo_id=4, value=4))
    active.observe()

    assert "wrist_flex (servo 4) reports HEAT and has 31 degC" in str(active.fault)
    assert not twin.torque(4)


def test_a_lost_write_does_not_leave_a_hot_servo_live(twin, active):
    missed = deafen(twin.servos[2], 40, 2)
    twin.inject(Fault("heat", servo_id=2, value=67))
    active.observe()

    assert len(missed) == 2
    assert not twin.torque(2)


def test_a_hot_servo_that_cannot_be_let_go_is_named_and_tried_again(twin, active):
    twin.servos[2].deaf = True
    twin.inject(Fault("heat", servo_id=2, value=67))
    for _ in range(3):
        active.observe()

    assert re.search(r"shoulder_lift \(servo 2\) has 6\d degC, .*; it did not confirm that it was let go", str(active.fault))
    assert twin.torque(2)
    twin.servos[2].deaf = False
    active.observe()
    assert not twin.torque(2)
    assert sum("did not confirm" in text for _, text in active.events) == 1


def test_a_hold_that_fails_half_way_names_who_may_still_be_live(twin, connect, monkeypatch):
    arm = connect(twin)
    write = arm.bus.write

    def half(servo_id, name, value):
        write(servo_id, name, value)
        if (servo_id, name) == (4, "torque_enable"):
            twin.servos[2].deaf = True
            twin.inject(Fault("mute", servo_id=5, count=None))

    monkeypatch.setattr(arm.bus, "write", half)
    with pytest.raises(FaultError, match=r"servo 5 .* did not answer.*shoulder_lift \(servo 2\).* may still be live"):
        arm.hold()

    assert arm.state is State.FAULT
    assert "may still be live: cut the power" in str(arm.fault)
    assert [twin.torque(i) for i in IDS] == [False, True, False, False, False, False]


def test_a_cable_pulled_while_torque_comes_on_is_a_fault(twin, connect, monkeypatch):
    arm = connect(twin)
    write = arm.bus.write

    def pull(servo_id, name, value):
        if (servo_id, name) == (4, "torque_enable"):
            twin.unplug()
        write(servo_id, name, value)

    monkeypatch.setattr(arm.bus, "write", pull)
    with pytest.raises(FaultError, match="the port was lost"):
        arm.hold()

    assert arm.state is State.FAULT
    assert len(arm.release()) == 6


def test_a_hold_that_fails_before_any_torque_leaves_the_arm_limp(twin, connect, monkeypatch):
    arm = connect(twin)
    twin.servos[3].deaf = True
    twin.servos[3].place(twin.servos[3].actual_ticks + 30)

    with pytest.raises((FaultError, BusError)):
        arm.hold()
    assert arm.state is State.LIMP


def test_taking_over_an_arm_that_holds_does_not_give_a_hot_servo_its_torque_back(make_twin, connect):
    arm = connect(twin := make_twin(unknowns=Unknowns(torque_at_power_up=True)))
    twin.inject(Fault("heat", servo_id=2, value=61))
    arm.observe()
    arm.activate()
    arm.observe()
    settle(arm)

    assert twin.servos[2].get("torque_limit") == 500


def test_a_closed_arm_does_not_claim_to_be_limp(twin, active):
    active.close()

    assert twin.torque(1)
    assert len(active.release()) == 6


def test_an_arm_that_was_let_go_before_it_was_closed_is_limp(twin, active):
    active.release()
    active.close()

    assert active.release() == ()


@pytest.mark.parametrize("q", [{}, "arm", [1j] * 6, [None] * 6, object(), [[1], [2, 3]], np.zeros((6, 1)), True])
def test_what_is_no_target_at_all_is_refused(active, q):
    with pytest.raises(ValueError, match=r"six finite numbers|could not convert|inhomogeneous"):
        active.command(q)


def test_whatever_is_commanded_the_servos_get_nothing_outside_their_range(twin, active):
    active.bus.line.timeout_s = 5.0  # 200 periods of physics lie between the last target and the next answer
    rng = np.random.default_rng(4)
    ends = np.array([joint.range_ticks for joint in active.calibration.joints])
    odd = [np.nan, np.inf, -np.inf, 1e300, -1e300, 0.0]
    sent = 0
    for _ in range(200):
        q = rng.uniform(1.1 * active.calibration.lower, 1.1 * active.calibration.upper) * rng.choice([1.0, 0.5])
        if rng.random() < 0.2:
            q[rng.integers(6)] = rng.choice(odd)
        try:
            ticks = active.command(q)
        except ValueError:
            continue
        sent += 1
        assert ((ends[:, 0] <= ticks) & (ticks <= ends[:, 1])).all()
    settle(active)
    goals = np.array([twin.servos[i].get("goal_position") for i in IDS])

    assert 20 < sent < 180
    np.testing.assert_array_equal(goals, ticks)


@pytest.mark.parametrize("stop", ["hold", "fault", "silence"])
def test_a_lost_frame_does_not_leave_a_joint_under_way_in_an_arm_that_stopped(make_twin, connect, stop):
    twin = make_twin(law="sts3215")
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


def test_a_goal_that_changes_later_is_found_by_the_patrol_and_told_again(twin, active):
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
def test_a_lost_write_does_not_leave_a_hot_servo_at_its_full_torque(twin, active, times):
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
    twin = make_twin(unknowns=Unknowns(goal_enables_torque=True))
    arm = connect(twin)
    arm.hold()
    arm.activate()
    twin.inject(Fault("heat", servo_id=2, value=67))
    for _ in range(14):
        arm.observe()

    assert [twin.torque(i) for i in IDS] == [True, False, True, True, True, True]


def torque_writes(twin):
    """Return a list that grows with every write of a torque register: (servo, value)."""
    seen = []

    def listen(servo):
        write = servo.write

        def hear(at, data):
            if at == 40:
                seen.append((servo.id, data[0]))
            write(at, data)

        servo.write = hear

    for servo in twin.servos.values():
        listen(servo)
    return seen


def test_clearing_one_overload_lets_no_other_servo_go(twin, active):
    twin.inject(Fault("overload", servo_id=6))
    active.observe()
    writes = torque_writes(twin)
    active.recover()

    assert active.state is State.HOLD
    assert {servo_id for servo_id, _ in writes} == {6}
    assert all(twin.torque(i) for i in IDS)
    assert active.observe().telemetry[5].status == 0


def test_a_servo_that_restarted_gets_its_torque_and_no_other_one_is_let_go(twin, active):
    twin.inject(Fault("reboot", servo_id=4))
    for _ in IDS:
        active.observe()
    writes = torque_writes(twin)
    active.recover()

    assert (4, 1) in writes
    assert {servo_id for servo_id, _ in writes} == {4}
    assert twin.servos[4].get("acceleration") == 254


def test_an_arm_whose_joint_does_not_come_back_keeps_the_others_and_stays_in_fault(twin, active, monkeypatch):
    twin.inject(Fault("overload", servo_id=6))
    active.observe()
    read = active.bus.read
    monkeypatch.setattr(active.bus, "read", lambda i, name: 7 if (i, name) == (6, "goal_position") else read(i, name))

    with pytest.raises(FaultError, match=r"gripper \(servo 6\) was given the goal \d+ and holds 7"):
        active.recover()
    assert active.state is State.FAULT
    assert [twin.torque(i) for i in IDS] == [True] * 5 + [False]


def test_an_overload_that_does_not_go_with_the_torque_leaves_this_servo_limp(twin, active):
    twin.inject(Fault("overload", servo_id=6))
    active.observe()
    twin.inject(Fault("error", servo_id=6, value=32, count=None))

    with pytest.raises(FaultError, match=r"gripper \(servo 6\) reports OVERLOAD with its torque off"):
        active.recover()
    assert [twin.torque(i) for i in IDS] == [True] * 5 + [False]


def broken(arm, twin, kind, servo_id):
    """Break a servo, and let the arm find out."""
    if kind == "silent":
        twin.inject(Fault("mute", servo_id=servo_id, count=None))
    else:
        twin.inject(Fault(kind, servo_id=servo_id, value={"heat": 67.0, "sag": 8.6}.get(kind)))
    for _ in range(10):
        arm.observe()
    assert arm.state is State.FAULT


@pytest.mark.parametrize(
    ("kind", "servo_id", "can"),
    [
        ("overload", 6, True),
        ("overload", 2, True),
        ("heat", 6, True),
        ("heat", 2, False),
        ("reboot", 5, True),
        ("reboot", 3, False),
        ("silent", 1, True),
        ("silent", 2, False),
        ("sag", None, False),
    ],
)
def test_an_arm_in_fault_can_be_parked_where_the_joints_that_carry_it_are_sound(twin, active, kind, servo_id, can):
    broken(active, twin, kind, servo_id)

    assert active.can_park() is can
    assert not all(active.sound)
    if not can:
        with pytest.raises(FaultError, match=r"the arm cannot be parked because .* \(not sound: .*\); support it"):
            active.park()


@pytest.mark.parametrize(("kind", "servo_id"), [("overload", 6), ("overload", 2), ("heat", 5), ("reboot", 1), ("silent", 4)])
def test_parking_in_fault_moves_the_sound_joints_and_stays_in_fault(twin, active, kind, servo_id):
    active.move_to([10, -40.0, 40, 20, 20, 30])
    active.activate()
    before = twin.q()
    broken(active, twin, kind, servo_id)
    beats = []
    active.park(lambda: beats.append(twin.q()))
    settle(active)
    moved = [i for i in range(6) if i != servo_id - 1 or (kind, servo_id) == ("overload", 2)]
    park = np.clip(active.config.park, active.calibration.lower, active.calibration.upper)

    assert active.state is State.FAULT
    assert np.abs(twin.q() - park)[moved].max() < 3.0
    assert np.abs(np.diff(np.array(beats), axis=0))[:, moved].max() < 1.875 * active.config.park_speed / 30 * 1.3
    if servo_id - 1 not in moved:
        assert twin.servos[servo_id].get("goal_position") != active.calibration.to_ticks(park)[servo_id - 1]
    assert abs(before[0] - 10) < 1
    assert active.release() == (("wrist_flex (servo 4)",) if kind == "silent" else ())


def test_a_second_fault_ends_parking_in_fault(twin, active):
    active.move_to([10, -40.0, 40, 20, 20, 30])
    broken(active, twin, "overload", 6)
    twin.inject(Fault("overload", servo_id=3, after_writes=5))

    with pytest.raises(FaultError, match=r"stopped on its way to the parking pose"):
        active.park()
    assert active.state is State.FAULT
    assert all(twin.torque(i) for i in IDS)


def test_an_arm_that_holds_can_be_parked_and_one_that_is_limp_or_gone_cannot(twin, connect):
    arm = connect(twin)
    assert not arm.can_park()
    arm.hold()
    assert arm.can_park()
    arm.activate()
    assert arm.can_park()
    twin.unplug()
    with pytest.raises(FaultError, match="the port was lost"):
        for _ in range(3):
            arm.observe()
    assert not arm.can_park()


def test_an_arm_that_was_let_go_in_vain_cannot_be_parked(twin, active):
    twin.inject(Fault("deaf", servo_id=6))
    active.release()

    assert active.state is State.FAULT
    assert not active.can_park()
