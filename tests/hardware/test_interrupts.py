"""Ctrl-C while torque comes on; that it waits for the end of a packet is in test_signals."""

from __future__ import annotations

import pytest

from soarm.hardware.mirror import RegisterMirror
from soarm.hardware.states import State
from soarm.twin.servo import FirmwareAssumptions

IDS = range(1, 7)


@pytest.mark.parametrize(
    ("servo_id", "name"), [(1, "torque_enable"), (4, "torque_enable"), (6, "torque_enable"), (5, "goal_position")]
)
def test_ctrl_c_while_torque_comes_on_takes_it_back(make_twin, connect, monkeypatch, servo_id, name):
    twin = make_twin(assumptions=FirmwareAssumptions(goal_enables_torque=True))
    arm = connect(twin)
    write = arm.bus.write

    def interrupted(i, register, value):
        write(i, register, value)
        if (i, register) == (servo_id, name):
            raise KeyboardInterrupt

    monkeypatch.setattr(arm.bus, "write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        arm.hold()

    assert not any(twin.torque(i) for i in IDS)
    assert arm.state is State.LIMP
    assert arm.release() == ()


def test_ctrl_c_right_after_torque_came_on_takes_it_back(twin, connect, monkeypatch):
    arm = connect(twin)

    def interrupted(bus):
        assert all(twin.torque(i) for i in IDS)
        raise KeyboardInterrupt

    monkeypatch.setattr(RegisterMirror, "of", interrupted)
    with pytest.raises(KeyboardInterrupt):
        arm.hold()

    assert not any(twin.torque(i) for i in IDS)
    assert arm.state is State.LIMP


def test_ctrl_c_while_torque_comes_on_names_the_servo_that_keeps_it(twin, connect, when_torque_comes):
    arm = connect(twin)

    def interrupted():
        twin.servos[2].deaf = True
        raise KeyboardInterrupt

    when_torque_comes(arm, 4, interrupted)
    with pytest.raises(KeyboardInterrupt):
        arm.hold()

    assert [twin.torque(i) for i in IDS] == [False, True, False, False, False, False]
    assert arm.state is State.FAULT
    assert "shoulder_lift (servo 2): they may still be live" in str(arm.fault)


def test_ctrl_c_while_an_arm_that_holds_is_told_to_hold_lets_nobody_go(twin, active, monkeypatch):
    def interrupted(name, values):
        raise KeyboardInterrupt

    monkeypatch.setattr(active.bus, "sync_write", interrupted)
    with pytest.raises(KeyboardInterrupt):
        active.hold()

    assert all(twin.torque(i) for i in IDS)
