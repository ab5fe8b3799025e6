"""Faults that come together, late, or with servos that do not do as they are told; the twin plays them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from soarm.errors import BusError, FaultError
from soarm.hardware.mirror import RegisterMirror
from soarm.hardware.states import State
from soarm.twin.faults import Fault
from soarm.twin.servo import FirmwareAssumptions

IDS = range(1, 7)


@pytest.mark.parametrize("torque_at_power_up", [False, True])
@pytest.mark.parametrize("servo_id", IDS)
def test_a_restart_is_seen_within_six_cycles_whether_or_not_torque_comes_back_with_it(
    make_twin, connect, servo_id, torque_at_power_up
):
    twin = make_twin(assumptions=FirmwareAssumptions(torque_at_power_up=torque_at_power_up))
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
    twin = make_twin(assumptions=FirmwareAssumptions(torque_at_power_up=True))
    arm = connect(twin)
    for _ in range(12):
        arm.observe()

    assert arm.state is State.HOLD


def test_a_servo_that_was_silent_when_the_watch_began_is_judged_by_its_torque_alone(twin, active):
    twin.inject(Fault("mute", servo_id=3, count=None))
    mirror = RegisterMirror.of(active.bus)
    twin.mend()
    twin.servos[3].put("acceleration", 7)
    verdicts = [verdict for _ in IDS for verdict in mirror.audit([0] * 6)]

    assert verdicts == []
    twin.servos[3].put("torque_enable", 0)
    verdicts = [verdict for _ in IDS for verdict in mirror.audit([0] * 6)]
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
    assert re.search(r"shoulder_lift \(servo 2\) has 6\d degC, the limit is 65; it was released", str(active.fault))
    assert any(re.search(r"wrist_roll \(servo 5\) has 6\d degC, .*; it was released", text) for _, text in active.events)


def test_a_servo_that_becomes_too_hot_after_the_arm_stopped_is_let_go_and_said_once(twin, active):
    twin.inject(Fault("overload", servo_id=3))
    active.observe()
    first = active.fault
    twin.inject(Fault("heat", servo_id=2, value=67))
    for _ in range(5):
        active.observe()

    assert not twin.torque(2)
    assert active.fault == first
    assert sum("shoulder_lift (servo 2) has 6" in text and "was released" in text for _, text in active.events) == 1


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


def test_a_lost_write_does_not_leave_a_hot_servo_live(twin, active, deafen):
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

    assert re.search(r"shoulder_lift \(servo 2\) has 6\d degC, .*; it did not confirm that it was released", str(active.fault))
    assert twin.torque(2)
    twin.servos[2].deaf = False
    active.observe()
    assert not twin.torque(2)
    assert sum("did not confirm" in text for _, text in active.events) == 1


def test_a_hold_that_fails_half_way_names_who_may_still_be_live(twin, connect, when_torque_comes):
    arm = connect(twin)

    def fail():
        twin.servos[2].deaf = True
        twin.inject(Fault("mute", servo_id=5, count=None))

    when_torque_comes(arm, 4, fail)
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


def test_taking_over_an_arm_that_holds_does_not_give_a_hot_servo_its_torque_back(make_twin, connect, settle):
    arm = connect(twin := make_twin(assumptions=FirmwareAssumptions(torque_at_power_up=True)))
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


def test_whatever_is_commanded_the_servos_get_nothing_outside_their_range(twin, active, settle):
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
