"""What a runtime for real servos has to survive, played at the byte level: docs/hardware.md lists the sources."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from soarm.errors import CalibrationError, FaultError, PortError
from soarm.hardware.calibration import Calibration
from soarm.hardware.driver import Arm
from soarm.hardware.states import State
from soarm.twin.faults import Fault
from soarm.twin.servo import FirmwareAssumptions
from soarm.twin.twin import Twin

Connect = Callable[..., Arm]
MakeTwin = Callable[..., Twin]
IDS = range(1, 7)
ROOT = Path(__file__).parents[2]


def walk(arm: Arm, steps: int, size: float = 0.4) -> None:
    """Move a little, so that every cycle has another true position."""
    for _ in range(steps):
        q = np.clip(arm.observe().q + np.array([size, 0, 0, 0, 0, 0]), arm.calibration.lower, arm.calibration.upper)
        if arm.state is State.ACTIVE:
            arm.command(q)


def settle(arm: Arm) -> None:
    """Wait until what nobody acknowledges has arrived."""
    arm.bus.ping(1)


def test_after_a_hiccup_of_80_ms_no_state_is_older_than_its_cycle(twin: Twin, active: Arm) -> None:
    walk(active, 3)
    twin.inject(Fault("delay", servo_id=2, value=0.08, count=1))
    late = active.observe()
    time.sleep(0.1)  # the late answers arrive now, and must not be taken for answers to what comes next
    errors = []
    for _ in range(10):
        walk(active, 1)
        seen = active.observe()
        errors.append(np.abs(seen.q - twin.q()).max())

    assert late.misses[1] > 0
    assert seen.misses.max() == 0
    assert seen.age_s.max() < 0.06
    assert max(errors) < 0.12, "half a tick of the encoder, no earlier position"


def test_five_lost_answers_give_no_false_zero_and_hold_within_three_cycles(twin: Twin, active: Arm) -> None:
    walk(active, 3)
    before = active.observe().q
    twin.inject(Fault("mute", servo_id=3, count=10))  # asked twice per cycle
    states, positions = [], []
    for _ in range(8):
        seen = active.observe()
        states.append(active.state)
        positions.append(seen.q[2])

    assert np.abs(np.array(positions) - before[2]).max() < 1.0
    assert states.index(State.HOLD) == 2
    assert seen.misses.max() == 0
    assert "elbow_flex (servo 3) did not answer for 3 cycles" in str(active.fault)


def test_ten_lost_answers_stop_the_arm(twin: Twin, active: Arm) -> None:
    twin.inject(Fault("mute", servo_id=1, count=None))
    for _ in range(10):
        active.observe()

    assert active.state is State.FAULT
    assert "shoulder_pan (servo 1) did not answer for 10 cycles" in str(active.fault)
    with pytest.raises(FaultError, match="not ACTIVE because shoulder_pan"):
        active.command(active.observe().q)


@pytest.mark.parametrize("after_missing", [True, False])
def test_the_others_are_heard_whether_or_not_servos_answer_after_a_missing_one(
    make_twin: MakeTwin, connect: Connect, after_missing: bool
) -> None:
    twin = make_twin(assumptions=FirmwareAssumptions(sync_read_after_missing=after_missing))
    arm = connect(twin)
    twin.inject(Fault("mute", servo_id=3, count=1))
    misses = np.array([arm.observe().misses for _ in range(3)])

    assert misses[-1].max() == 0
    assert misses[:, :2].max() == 0


def test_an_overload_backs_the_goal_off_and_names_the_joint(twin: Twin, active: Arm) -> None:
    q = active.observe().q
    q[5] += 5.0
    active.command(q)
    twin.inject(Fault("overload", servo_id=6))
    seen = active.observe()
    settle(active)

    assert active.state is State.FAULT
    assert active.fault == "gripper (servo 6) reports OVERLOAD"
    assert twin.servos[6].get("goal_position") == seen.ticks[5]
    active.recover()
    assert active.state is State.HOLD
    assert active.observe().telemetry[5].status == 0


def test_a_fault_is_recovered_from_only_so_often(twin: Twin, active: Arm) -> None:
    for _ in range(3):
        twin.inject(Fault("overload", servo_id=6))
        active.observe()
        active.recover()
    twin.inject(Fault("overload", servo_id=6))
    active.observe()

    with pytest.raises(FaultError, match="already been recovered 3 times in 300 s because gripper"):
        active.recover()


def test_a_servo_that_restarts_stops_the_arm_and_it_does_not_go_on_blindly(twin: Twin, active: Arm) -> None:
    twin.inject(Fault("reboot", servo_id=4))
    for _ in IDS:
        active.observe()

    assert active.state is State.FAULT
    assert "wrist_flex (servo 4) lost its torque by itself" in str(active.fault)
    active.recover()
    assert twin.servos[4].get("goal_velocity") == active.config.gains.velocity[3], "what its RAM forgot is written again"


def test_pulling_the_cable_at_any_point_leaves_a_named_fault_and_a_way_back(twin: Twin, active: Arm) -> None:
    for turn in range(4):
        walk(active, turn)
        twin.unplug()
        with pytest.raises(FaultError, match="the port was lost"):
            for _ in range(3):
                active.observe()
                active.command(active.observe().q)

        assert active.state is State.FAULT
        with pytest.raises(PortError):
            active.reconnect()
        twin.replug()
        active.reconnect()
        assert active.state is State.HOLD
        assert active.observe().misses.max() == 0
        assert all(twin.torque(i) for i in IDS), "an arm that kept its power is not let go"
        active.activate()


def test_a_cable_pulled_at_a_random_byte_twenty_times(twin: Twin, active: Arm) -> None:
    rng = np.random.default_rng(1)
    q = np.clip(active.observe().q, active.calibration.lower, active.calibration.upper)
    for _ in range(20):
        active.activate()
        hand = threading.Timer(rng.uniform(0.0, 0.01), twin.unplug)
        hand.start()
        with pytest.raises(FaultError, match="the port was lost"):
            while True:
                active.command(q)
                active.observe()
        hand.join()

        assert active.state is State.FAULT
        twin.replug()
        active.reconnect()
        assert active.state is State.HOLD
        assert active.observe().age_s.max() < 0.06


def test_an_adapter_that_echoes_changes_nothing(twin: Twin, connect: Connect) -> None:
    twin.inject(Fault("echo"))
    arm = connect(twin)
    arm.hold()
    arm.activate()
    walk(arm, 5)
    seen = arm.observe()

    assert seen.misses.max() == 0
    np.testing.assert_allclose(seen.q, twin.q(), atol=0.1)


def test_two_servos_with_one_id_are_reported_and_not_driven(twin: Twin, connect: Connect) -> None:
    twin.inject(Fault("duplicate", servo_id=5, count=None))

    with pytest.raises(FaultError, match=r"wrist_roll \(servo 5\): two servos share id 5"):
        connect(twin)


def test_two_programs_cannot_have_one_port(twin: Twin, connect: Connect) -> None:
    connect(twin)

    with pytest.raises(PortError, match=r"in use|busy|another"):
        connect(twin)


def test_twelve_volts_on_a_profile_for_7_4_are_refused(make_twin: MakeTwin, connect: Connect) -> None:
    twin = make_twin(volts=12.0)

    with pytest.raises(FaultError, match=r"12\.0 V; servos for 7\.4 V may have 4\.5 to 8\.4"):
        connect(twin)
    assert not any(twin.torque(i) for i in IDS)


def test_a_sagging_supply_makes_the_arm_hold_until_it_is_back(twin: Twin, active: Arm) -> None:
    twin.inject(Fault("sag", value=3.8))
    active.observe()
    assert active.state is State.HOLD
    assert "3.8 V" in str(active.fault)

    twin.mend()
    active.observe()
    active.activate()
    active.observe()
    assert active.state is State.ACTIVE


def test_heat_warns_then_takes_torque_then_stops(twin: Twin, active: Arm) -> None:
    limits = []
    for heat in (56.0, 61.0, 66.0):
        twin.inject(Fault("heat", servo_id=6, value=heat))
        active.observe()
        settle(active)
        limits.append((active.state, twin.servos[6].get("torque_limit"), twin.torque(6)))

    assert limits[0] == (State.ACTIVE, 500, True)
    assert limits[1] == (State.ACTIVE, 250, True)
    assert limits[2] == (State.FAULT, 250, False), "the hot servo is let go, the others hold"
    assert all(twin.torque(i) for i in range(1, 6))
    assert any("gripper (servo 6) is warm" in text for _, text in active.events)


def test_damaged_answers_are_never_taken_for_positions(twin: Twin, active: Arm) -> None:
    for kind, value in (
        ("corrupt", None),
        ("truncate", 9),
        ("wrong_length", 3),
        ("wrong_id", None),
        ("noise", 7),
        ("duplicate", None),
    ):
        before = active.observe()
        twin.inject(Fault(kind, servo_id=4, value=value, count=1))
        seen = active.observe()

        assert abs(seen.q[3] - before.q[3]) < 0.5, kind
        assert active.observe().misses.max() == 0, kind


def test_a_position_beyond_one_turn_is_no_position(twin: Twin, active: Arm) -> None:
    before = active.observe().q
    twin.inject(Fault("multi_turn", servo_id=5))
    for _ in range(3):
        seen = active.observe()

    assert abs(seen.q[4] - before[4]) < 0.5
    assert active.state is State.HOLD


def test_torque_comes_on_without_a_jump_wherever_the_goal_was(twin: Twin, connect: Connect) -> None:
    arm = connect(twin)
    for servo in twin.servos.values():
        servo.put("goal_position", 2048)
    before = twin.q()
    arm.hold()
    arm.activate()
    arm.command(np.clip(arm.observe().q, arm.calibration.lower, arm.calibration.upper))

    assert np.abs(twin.q() - before).max() < 1.0


@pytest.mark.parametrize("enables", [True, False])
def test_a_goal_that_switches_torque_on_makes_no_difference(make_twin: MakeTwin, connect: Connect, enables: bool) -> None:
    twin = make_twin(assumptions=FirmwareAssumptions(goal_enables_torque=enables))
    before = twin.q()
    arm = connect(twin)
    arm.hold()

    assert np.abs(twin.q() - before).max() < 0.5
    assert arm.release() == ()
    assert not any(twin.torque(i) for i in IDS)


def test_servos_that_have_torque_at_power_up_are_met_as_holding(make_twin: MakeTwin, connect: Connect) -> None:
    arm = connect(make_twin(assumptions=FirmwareAssumptions(torque_at_power_up=True)))

    assert arm.state is State.HOLD


def test_letting_go_names_the_servo_that_may_still_be_live(twin: Twin, active: Arm) -> None:
    twin.inject(Fault("deaf", servo_id=2))
    live = active.release()

    assert live == ("shoulder_lift (servo 2)",)
    assert active.state is State.FAULT
    assert "cut their power" in str(active.fault)
    assert [i for i in IDS if twin.torque(i)] == [2], "one deaf servo keeps no other one live"
    twin.mend()
    assert active.release() == ()
    assert active.state is State.LIMP


def test_a_joint_far_outside_its_range_gets_no_torque(make_twin: MakeTwin, connect: Connect) -> None:
    twin = make_twin()
    arm = connect(twin)
    servo = twin.servos[1]
    servo.place(servo.get("max_position_limit") + 60)

    with pytest.raises(FaultError, match=r"shoulder_pan \(servo 1\) stands at .* 60 ticks outside its measured range"):
        arm.hold()
    assert not any(twin.torque(i) for i in IDS)
    assert arm.state is State.LIMP


def test_a_calibration_of_another_arm_is_refused(twin: Twin, connect: Connect) -> None:
    twin.servos[3].put("homing_offset", 77)

    with pytest.raises(FaultError, match="homing_offset is 77, the calibration says 0"):
        connect(twin)


def test_a_range_that_crosses_the_seam_is_no_calibration() -> None:
    joints = list(Calibration.nominal().joints)
    joints[4] = dataclasses.replace(joints[4], range_ticks=(3900, 300))

    with pytest.raises(CalibrationError, match=r"wrist_roll .* crossed the encoder's seam"):
        Calibration(tuple(joints))


PROGRAM = """
    import signal, sys, time
    from pathlib import Path
    from soarm.hardware.config import ArmConfig
    from soarm.hardware.calibration import Calibration
    from soarm.hardware.driver import Arm
    arm = Arm.connect(sys.argv[1], Calibration.nominal(), ArmConfig(timeout_s=1.0))
    q = arm.observe().q.clip(arm.calibration.lower, arm.calibration.upper)
    print("ready", flush=True)
    for line in sys.stdin:
        arm.hold()
        arm.activate()
        try:
            print("go", flush=True)
            while True:
                arm.command(q)
                arm.observe()
        except KeyboardInterrupt:
            began = time.monotonic()
            live = arm.release()
            print(f"released {len(live)} {time.monotonic() - began}", flush=True)
"""


def test_ctrl_c_at_a_random_byte_leaves_no_servo_live_within_half_a_second(twin: Twin, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    program = textwrap.dedent(PROGRAM)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", program, twin.ports[0]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        for _ in range(50):
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "go\n"
            time.sleep(rng.uniform(0.0, 0.02))
            process.send_signal(signal.SIGINT)
            word, live, took_s = process.stdout.readline().split()

            assert (word, live) == ("released", "0")
            assert float(took_s) < 0.5
            assert not any(twin.torque(i) for i in IDS)
        process.stdin.close()
        process.send_signal(signal.SIGTERM)
