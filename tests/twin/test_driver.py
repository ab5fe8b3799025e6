"""The driver's states, one by one; the acceptance scenarios are beside it."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import BusError, FaultError, PortError
from soarm.hardware import bringup
from soarm.hardware.calibration import TICKS_PER_DEG
from soarm.hardware.observation import sag_ticks
from soarm.hardware.states import TRANSITIONS, State
from soarm.twin.faults import Fault

IDS = range(1, 7)


def test_every_step_there_is_starts_or_ends_somewhere_else_and_all_states_are_reached():
    assert {state for _, state in TRANSITIONS} == set(State)
    assert (State.LIMP, State.ACTIVE) not in TRANSITIONS
    assert (State.FAULT, State.ACTIVE) not in TRANSITIONS


def test_a_limp_arm_takes_no_command_and_cannot_be_activated(twin, connect):
    arm = connect(twin)

    with pytest.raises(FaultError, match="in LIMP, not ACTIVE; nothing was sent"):
        arm.command(np.zeros(6))
    with pytest.raises(FaultError, match="in LIMP; this needs HOLD or ACTIVE"):
        arm.activate()
    with pytest.raises(FaultError, match="this needs FAULT"):
        arm.recover()


def test_a_closed_arm_does_nothing_and_says_so(twin, connect):
    arm = connect(twin)
    arm.close()
    arm.close()

    assert arm.state is State.DISCONNECTED
    assert arm.release() == ()
    with pytest.raises(FaultError, match="in DISCONNECTED"):
        arm.observe()


@pytest.mark.parametrize(
    ("q", "message"),
    [
        ([0.0] * 5, "six finite numbers"),
        ([np.nan] * 6, "six finite numbers"),
        ([500.0, 0, 0, 0, 0, 30], "out of range for shoulder_pan; allowed are"),
    ],
)
def test_a_command_that_is_none_is_refused_before_a_byte_goes_out(twin, active, q, message):
    before = twin.goal_writes()

    with pytest.raises(ValueError, match=message):
        active.command(q)
    active.bus.ping(1)
    assert twin.goal_writes() == before


def test_holding_and_letting_on_again(twin, active):
    active.hold()
    assert active.state is State.HOLD
    active.hold()
    active.activate()
    active.activate()
    assert active.state is State.ACTIVE
    assert [text for _, text in active.events if "ACTIVE" in text]


def let_pass(twin, arm, periods):
    """Let the physics of a twin in lockstep go on without telling the arm anything new."""
    for _ in range(periods):
        arm.bus.sync_write("goal_position", {6: twin.servos[6].get("goal_position")})
    arm.bus.ping(1)


def stretch(twin, arm):
    """Hold an arm where its weight pulls hardest."""
    arm.hold()
    arm.move_to([0, 60.0, -70, 0, 0, 30])
    let_pass(twin, arm, 30)


def test_an_arm_that_is_told_to_hold_again_and_again_does_not_sink(make_twin, connect):
    twin = make_twin(servo_model="sts3215")
    arm = connect(twin, timeout_s=2.0)
    stretch(twin, arm)
    before, states = twin.q(), []
    for _ in range(5):
        arm.hold()
        let_pass(twin, arm, 15)
        arm.activate()
        states.append(arm.state)
        arm.hold()
        let_pass(twin, arm, 15)

    assert states == [State.ACTIVE] * 5
    assert twin.servos[2].get("p_coefficient") == 32
    assert np.abs(twin.q() - before).max() < 0.3, "it sank by 3 degrees with each hold"


def test_an_arm_met_with_torque_that_is_told_to_hold_does_not_sink(make_twin, connect):
    twin = make_twin(servo_model="sts3215")
    first = connect(twin, timeout_s=2.0)
    stretch(twin, first)
    before = twin.q()
    first.close()
    arm = connect(twin, timeout_s=2.0)
    arm.hold()
    let_pass(twin, arm, 15)

    assert np.abs(twin.q() - before).max() < 0.3


def test_an_arm_that_was_moved_by_hand_or_far_under_way_holds_where_it_is(make_twin, connect):
    twin = make_twin(servo_model="sts3215")
    arm = connect(twin, timeout_s=2.0)
    arm.hold()
    arm.activate()
    q = arm.observe().q
    q[0] += 30.0
    arm.command(q)
    arm.hold()

    assert abs(twin.servos[1].get("goal_position") - arm.calibration.to_ticks(q)[0]) > 100


@pytest.mark.parametrize(
    ("p", "volts", "deg"), [(32, 7.4, 4.83), (64, 7.4, 2.42), (32, 5.0, 7.15), (4, 5.0, 10.0), (0, 7.4, 10.0)]
)
def test_how_far_an_arm_may_sag_follows_its_gain_and_its_supply(p, volts, deg):
    assert sag_ticks(p, volts) / TICKS_PER_DEG == pytest.approx(deg, abs=0.01)


def test_parking_moves_slowly_and_ends_in_hold(twin, active):
    before, beats = twin.q(), []
    active.park(lambda: beats.append(twin.q()))
    steps = np.abs(np.diff(np.array([before, *beats, twin.q()]), axis=0))

    assert active.state is State.HOLD
    assert steps.max() < 1.875 * active.config.park_speed / 30 * 1.3


def test_a_move_that_is_stopped_on_its_way_says_why(twin, active):
    twin.inject(Fault("overload", servo_id=3, after_writes=5))

    with pytest.raises(FaultError, match=r"elbow_flex \(servo 3\) reports OVERLOAD"):
        active.park()


def test_gains_are_written_only_where_they_differ_and_said(twin, connect):
    twin.servos[2].put("p_coefficient", 16)
    twin.servos[2]._saved = bytes(twin.servos[2].memory)
    arm = connect(twin)
    arm.hold()

    changes = [text for _, text in arm.events if "->" in text and "coefficient" in text]
    assert changes == ["shoulder_lift: p_coefficient 16 -> 32"]
    assert twin.servos[2].get("p_coefficient") == 32
    assert twin.servos[6].get("torque_limit") == 500


def test_an_arm_met_with_torque_gets_its_limits_and_must_have_the_gains(twin, connect):
    for servo in twin.servos.values():
        servo.put("torque_enable", 1)
    arm = connect(twin)
    assert arm.state is State.HOLD
    arm.activate()
    assert twin.servos[6].get("torque_limit") == 500
    arm.close()

    twin.servos[5].put("d_coefficient", 8)
    again = connect(twin)
    with pytest.raises(FaultError, match=r"wrist_roll: d_coefficient is 8, not 32"):
        again.activate()


def test_an_arm_of_which_some_servos_have_torque_counts_as_limp(twin, connect):
    twin.servos[3].put("torque_enable", 1)
    arm = connect(twin)

    assert arm.state is State.LIMP
    assert any("some servos have torque" in text for _, text in arm.events)


@pytest.mark.parametrize(
    ("register", "value", "message"),
    [
        ("operating_mode", 1, r"shoulder_lift \(servo 2\): its operating_mode is 1"),
        ("phase", 0b0001_1100, r"shoulder_lift \(servo 2\): multi-turn feedback is on"),
        ("model_number", 9, "of model 9, not an STS3215"),
        ("firmware_minor", 9, "different firmware"),
    ],
)
def test_a_servo_that_is_not_set_up_is_refused(twin, connect, register, value, message):
    twin.servos[2].put(register, value)

    with pytest.raises(FaultError, match=message):
        connect(twin)


def test_a_silent_servo_is_refused_by_name_with_all_other_faults(twin, connect):
    twin.inject(Fault("mute", servo_id=4, count=None))
    twin.servos[1].put("homing_offset", 3)

    with pytest.raises(FaultError, match=r"(?s)shoulder_pan .*homing_offset is 3.*wrist_flex \(servo 4\): .*did not answer"):
        connect(twin)


def test_a_servo_that_does_not_take_its_goal_or_its_torque_gets_none(twin, connect):
    arm = connect(twin)
    arm.hold()
    arm.release()
    twin.servos[2].place(twin.servos[2].actual_ticks + 30)
    twin.servos[2].deaf = True

    with pytest.raises(FaultError, match=r"shoulder_lift \(servo 2\) was given the goal \d+ and holds \d+"):
        arm.hold()
    assert not any(twin.torque(i) for i in IDS if i != 2)


def test_a_servo_that_keeps_its_torque_off_is_named(twin, connect, monkeypatch):
    arm = connect(twin)
    read = arm.bus.read
    monkeypatch.setattr(arm.bus, "read", lambda i, name: 0 if (i, name) == (5, "torque_enable") else read(i, name))

    with pytest.raises(FaultError, match=r"wrist_roll \(servo 5\) did not switch its torque on"):
        bringup.torque_on(arm.bus, arm.calibration)
    assert not any(twin.torque(i) for i in IDS)


def test_a_joint_that_moves_when_torque_comes_on_loses_it_again(twin, connect, when_torque_comes):
    arm = connect(twin)
    when_torque_comes(arm, 6, lambda: twin.servos[4].place(twin.servos[4].actual_ticks - 200))
    with pytest.raises(FaultError, match="wrist_flex moved when torque came on"):
        arm.hold()
    assert not any(twin.torque(i) for i in IDS)


def test_an_arm_that_falls_silent_is_not_moved_without_knowing_where_it_is(twin, connect):
    arm = connect(twin)
    twin.inject(Fault("mute", servo_id=3, count=None))

    with pytest.raises((FaultError, BusError), match=r"elbow_flex did not answer|servo 3"):
        arm.hold()
    assert arm.state is State.LIMP
    with pytest.raises(FaultError, match="elbow_flex did not answer; the arm is not moved"):
        bringup.fresh_ticks(arm.bus, arm.calibration)


def test_a_cable_pulled_while_holding_commanding_or_letting_go_is_a_fault(twin, connect):
    arm = connect(twin)
    twin.unplug()
    with pytest.raises(FaultError, match="the port was lost"):
        arm.hold()
    assert arm.state is State.FAULT
    twin.replug()
    arm.recover()
    arm.activate()
    q = np.clip(arm.observe().q, arm.calibration.lower, arm.calibration.upper)
    twin.unplug()
    with pytest.raises(FaultError, match="the port was lost"):
        for _ in range(3):
            arm.command(q)
    assert len(arm.release()) == 6
    with pytest.raises((FaultError, PortError)):
        arm.recover()


def test_a_recovery_that_fails_leaves_the_fault(twin, active):
    twin.inject(Fault("overload", servo_id=6))
    active.observe()
    twin.inject(Fault("deaf", servo_id=6))

    with pytest.raises(FaultError, match=r"\[6\] do not confirm that their torque is off"):
        active.recover()
    assert active.state is State.FAULT
    assert all(twin.torque(i) for i in IDS)
    assert any("not recovered" in text for _, text in active.events)


def test_a_servo_that_does_not_answer_the_question_for_its_torque_is_not_called_restarted(twin, active, monkeypatch):
    def silent(servo_id, address, n_bytes):
        raise BusError("silence")

    monkeypatch.setattr(active.bus, "read_block", silent)
    active.observe()

    assert active.state is State.ACTIVE


def test_an_arm_that_heard_nobody_keeps_every_goal(twin, active):
    before = twin.goal_writes()
    twin.inject(Fault("mute", count=None))
    for _ in range(3):
        active.observe()
    twin.mend()
    active.bus.ping(1)

    assert active.state is State.HOLD
    assert twin.goal_writes() == before


def test_another_thread_may_take_the_bus_over(twin, active):
    import threading

    seen = []

    def other():
        active.bus.line.adopt()
        seen.append(active.observe().misses.max())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()

    assert seen == [0]


def test_an_arm_that_stops_in_the_last_step_of_a_move_has_not_arrived(twin, active):
    here = active.observe().q
    twin.inject(Fault("overload", servo_id=6, after_writes=1))

    with pytest.raises(FaultError, match=r"stopped on its way because gripper \(servo 6\) reports OVERLOAD"):
        active.move_to(here)


def test_letting_a_limp_arm_go_again_changes_nothing(twin, active):
    assert active.release() == ()
    n_events = len(active.events)
    assert active.release() == ()
    assert (active.state, len(active.events)) == (State.LIMP, n_events)


def test_a_limp_arm_that_falls_silent_is_a_fault_and_gets_no_goals(twin, connect):
    arm = connect(twin)
    writes = twin.goal_writes()
    twin.inject(Fault("mute", servo_id=2, count=None))
    for _ in range(10):
        arm.observe()

    assert arm.state is State.FAULT
    assert twin.goal_writes() == writes


def test_a_cable_pulled_between_telemetry_and_audit_is_a_fault(twin, active, monkeypatch):
    def gone(servo_id, address, n_bytes):
        raise PortError("unplugged")

    monkeypatch.setattr(active.bus, "read_block", gone)
    with pytest.raises(FaultError, match="the port was lost: unplugged"):
        active.observe()
    assert active.state is State.FAULT


def test_going_on_after_a_hold_forgets_its_cause(twin, active):
    twin.inject(Fault("mute", servo_id=3, count=6))
    for _ in range(4):
        active.observe()
    assert active.fault is not None
    active.activate()

    assert active.fault is None


def test_a_servo_that_falls_silent_between_two_questions_is_named(twin, connect, monkeypatch):
    arm = connect(twin)
    read = arm.bus.read

    def half(servo_id, name):
        if (servo_id, name) == (4, "phase"):
            raise BusError("servo 4 did not answer")
        return read(servo_id, name)

    monkeypatch.setattr(arm.bus, "read", half)
    with pytest.raises(FaultError, match=r"(?s)must not be driven.*servo 4 did not answer"):
        bringup.require_fit(arm.bus, arm.calibration, arm.config)
    monkeypatch.setattr(arm.bus, "sync_read", dict)
    with pytest.raises(FaultError, match=r"shoulder_pan, .* did not answer in 5 cycles"):
        bringup.require_heard(arm.bus, arm.calibration)
