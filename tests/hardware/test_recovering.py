"""Back from a fault without letting the arm fall, or parked with the joints that are sound."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import FaultError
from soarm.hardware.states import State
from soarm.twin.faults import Fault

IDS = range(1, 7)


def settle(arm):
    """Wait until what nobody acknowledges has arrived."""
    arm.bus.ping(1)


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
    active.move_to([10, -80.0, 75, 55, 20, 30])
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


def test_an_arm_is_not_activated_as_long_as_the_supply_sags(twin, active):
    twin.inject(Fault("sag", value=3.8))
    active.observe()
    assert active.state is State.HOLD

    for _ in range(3):
        with pytest.raises(FaultError, match=r"stays in HOLD as long as shoulder_pan \(servo 1\) has 3\.8 V, .*; nothing"):
            active.activate()
    assert active.state is State.HOLD
    assert active.fault is not None
    twin.mend()
    active.activate()
    assert active.state is State.ACTIVE
    assert active.fault is None


def test_an_arm_is_not_activated_as_long_as_a_servo_is_silent(twin, active):
    twin.inject(Fault("mute", servo_id=3, count=None))
    for _ in range(3):
        active.observe()

    with pytest.raises(FaultError, match=r"stays in HOLD as long as elbow_flex \(servo 3\) did not answer for 4 cycles"):
        active.activate()
    for _ in range(5):
        active.observe()
    with pytest.raises(FaultError, match="in FAULT because elbow_flex"):  # the look at it was the tenth
        active.activate()


def test_an_arm_whose_supply_sags_can_be_parked_all_the_same(twin, active):
    active.move_to([10, -40.0, 40, 20, 20, 30])
    twin.inject(Fault("sag", value=3.8))
    active.observe()
    active.park()
    settle(active)

    assert active.state is State.HOLD
    assert np.abs(twin.q() - np.clip(active.config.park, active.calibration.lower, active.calibration.upper)).max() < 3.0


def test_a_reconnection_that_fails_leaves_an_arm_that_says_so_and_can_try_again(twin, active):
    twin.unplug()
    with pytest.raises(FaultError, match="the port was lost"):
        for _ in range(3):
            active.observe()
    twin.replug()
    twin.inject(Fault("mute", servo_id=3, count=None))
    with pytest.raises(FaultError, match="elbow_flex did not answer in 5 cycles"):
        active.reconnect()

    with pytest.raises(FaultError, match=r"the port was lost: .* then reconnect"):
        active.observe()
    assert active.state is State.FAULT
    assert not active.can_park()
    assert len(active.release()) == 6
    twin.mend()
    active.reconnect()
    assert active.state is State.HOLD
    assert active.observe().misses.max() == 0


def test_a_cable_that_is_pulled_while_an_arm_in_fault_parks_is_told_as_that(twin, active):
    broken(active, twin, "overload", 6)

    with pytest.raises(FaultError, match="the port was lost"):
        active.park(twin.unplug)
    assert active.state is State.FAULT
