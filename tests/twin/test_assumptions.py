"""The driver relies on nothing that is not settled about real servos: it is played both ways."""

from __future__ import annotations

import time

import numpy as np
import pytest

from soarm.hardware.states import State
from soarm.twin.faults import Fault
from soarm.twin.servo import FirmwareAssumptions


def drive(arm, n=15):
    """Turn the shoulder by 10 degrees, and return where it is in the end."""
    q = np.clip(arm.observe().q, arm.calibration.lower, arm.calibration.upper)
    for share in np.linspace(0, 1, n):
        arm.command(q + share * np.array([10.0, 0, 0, 0, 0, 0]))
        seen = arm.observe()
        assert not seen.misses.any()
    for _ in range(n):
        arm.command(q + np.array([10.0, 0, 0, 0, 0, 0]))
    return arm.observe().q[0] - q[0]


@pytest.mark.parametrize("obeyed", [True, False])
def test_a_servo_that_ignores_its_torque_limit_drives_derates_and_is_let_go_when_hot(make_twin, connect, obeyed):
    twin = make_twin(assumptions=FirmwareAssumptions(torque_limit_obeyed=obeyed))
    arm = connect(twin, timeout_s=1.0)
    arm.hold()
    arm.activate()
    assert twin.servos[6].torque_share == (0.5 if obeyed else 1.0), "the gripper's limit is half"
    assert drive(arm) == pytest.approx(10.0, abs=1.0)
    twin.inject(Fault("heat", servo_id=2, value=61.0))
    arm.observe()
    said = arm.bus.read(2, "torque_limit")
    share = twin.servos[2].torque_share
    assert drive(arm) == pytest.approx(10.0, abs=1.0)
    twin.inject(Fault("heat", servo_id=2, value=66.0))
    arm.observe()

    assert (said, share) == (500, 0.5 if obeyed else 1.0)
    assert arm.state is State.FAULT
    assert not twin.torque(2), "whether or not the limit helps, a hot servo is let go"
    assert twin.torque(3)


@pytest.mark.parametrize("delays", [True, False])
def test_servos_that_wait_before_they_answer_are_waited_for(make_twin, connect, delays):
    assumptions = FirmwareAssumptions(return_delay=delays)
    slow = {"return_delay_time": 250}  # 0.5 ms each, as servos leave the factory of some makers
    twin = make_twin(clock="wall", line_timing=True, registers=slow, assumptions=assumptions, hand=True)
    arm = connect(twin, timeout_s=1.0)
    arm.hold()
    arm.activate()
    cycles_s = []
    for _ in range(10):
        began_s = time.monotonic()
        seen = arm.observe()
        cycles_s.append(time.monotonic() - began_s)
        assert not seen.misses.any()

    assert min(cycles_s) > (0.0044 if delays else 0.0014), "six answers come one after the other, each after its delay"
    q, until_s = np.clip(arm.observe().q, arm.calibration.lower, arm.calibration.upper), time.monotonic() + 30.0
    q[0] += 10.0
    while abs(arm.observe().q[0] - q[0]) > 1.0 and time.monotonic() < until_s:
        arm.command(q)
    assert arm.observe().q[0] == pytest.approx(q[0], abs=1.0)
    assert arm.state is State.ACTIVE
