"""The runtime on the twin: a bundle's path from the gate to a parked arm, and what happens when the program dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from soarm.errors import BusError, FaultError
from soarm.hardware.states import State
from soarm.runtime import deadman, journal, shutdown
from soarm.signals import StopRequests, recorded_signals
from soarm.twin.faults import Fault

ROOT = Path(__file__).parents[2]
IDS = range(1, 7)


def test_winding_down_parks_and_lets_go(twin, active):
    beats = []

    assert shutdown.shut_down(active, lambda: beats.append(1), park=True).live == ()
    assert active.state is State.LIMP
    assert len(beats) > 50
    park = np.clip(active.config.park, active.calibration.lower, active.calibration.upper)
    assert np.abs(twin.q() - park).max() < 2.0
    assert not any(twin.torque(i) for i in IDS)


def test_an_arm_in_fault_is_parked_with_its_sound_joints_and_let_go(twin, active, caplog):
    caplog.set_level("INFO")
    twin.inject(Fault("overload", servo_id=6))
    active.observe()
    assert active.state is State.FAULT
    before = twin.q()

    assert shutdown.shut_down(active, lambda: None, park=True).live == ()
    assert "parking in spite of the fault, with the joints that are sound: gripper (servo 6)" in caplog.text
    park = np.clip(active.config.park, active.calibration.lower, active.calibration.upper)
    assert np.abs(twin.q() - park)[:5].max() < 2.0
    assert np.abs(before - park)[:5].max() > 20.0
    assert not any(twin.torque(i) for i in IDS)


def test_an_arm_whose_fault_does_not_allow_parking_is_let_go_and_that_is_said(twin, active, caplog):
    twin.inject(Fault("heat", servo_id=3, value=67.0))
    active.observe()
    assert active.state is State.FAULT

    assert shutdown.shut_down(active, lambda: None, park=True) == shutdown.Shutdown((), False, False)
    assert "not parked: elbow_flex (servo 3) has 6" in caplog.text
    assert "It falls now" in caplog.text
    assert not any(twin.torque(i) for i in IDS)


def test_an_arm_whose_carrying_joint_was_silent_until_the_run_ended_and_is_heard_again_is_parked(twin, active):
    twin.inject(Fault("mute", servo_id=3, count=None))
    for _ in range(10):
        active.observe()
    assert active.state is State.FAULT
    twin.mend()

    assert shutdown.shut_down(active, lambda: None, park=True) == shutdown.Shutdown((), True, False)
    park = np.clip(active.config.park, active.calibration.lower, active.calibration.upper)
    assert np.abs(twin.q() - park).max() < 2.0


def test_where_the_dead_mans_switch_took_torque_it_is_taken_back_and_the_arm_is_parked(twin, active, caplog):
    def beat():
        raise FaultError("the dead man's switch acted")

    assert deadman.take_over(twin.ports[0], list(IDS), "soften") == ()
    assert shutdown.shut_down(active, beat, park=True).live == ()
    assert "the dead man's switch acted" in caplog.text
    park = np.clip(active.config.park, active.calibration.lower, active.calibration.upper)
    assert np.abs(twin.q() - park).max() < 2.0
    assert [twin.servos[i].get("torque_limit") for i in IDS] == list(active.config.gains.torque_limit)
    assert not any(twin.torque(i) for i in IDS)


def test_a_limp_arm_is_not_softened(twin, connect):
    connect(twin)
    limits = [twin.servos[i].get("torque_limit") for i in IDS]

    assert deadman.take_over(twin.ports[0], list(IDS), "soften") == ()
    assert [twin.servos[i].get("torque_limit") for i in IDS] == limits


def test_a_second_interrupt_lets_go_at_once(twin, active):
    def interrupt():
        raise KeyboardInterrupt

    assert shutdown.shut_down(active, interrupt, park=True).live == ()
    assert not any(twin.torque(i) for i in IDS)


def test_an_arm_that_stops_on_its_way_to_park_is_let_go_all_the_same(twin, active, caplog):
    twin.inject(Fault("heat", servo_id=3, value=67.0, after_writes=10))

    assert shutdown.shut_down(active, lambda: None, park=True) == shutdown.Shutdown((), False, False)
    assert "not parked" in caplog.text
    assert not any(twin.torque(i) for i in IDS)


def test_a_second_ctrl_c_lets_go_at_once_and_so_does_one_while_it_parks(twin, active):
    signals = StopRequests()
    signals.came = ["SIGINT", "SIGINT"]
    before = twin.q()
    assert shutdown.shut_down(active, lambda: None, park=True, signals=signals).live == ()
    assert not any(twin.torque(i) for i in IDS)
    assert np.abs(twin.q() - before).max() < 1.0

    active.hold()
    signals.came = ["SIGTERM"]
    beats = []

    def beat():
        beats.append(1)
        if len(beats) == 5:
            signals.record(signal.SIGHUP, None)
        if len(beats) == 10:
            signals.record(signal.SIGINT, None)

    assert shutdown.shut_down(active, beat, park=True, signals=signals).live == ()
    assert len(beats) == 10
    assert not any(twin.torque(i) for i in IDS)


def test_signals_that_raise_anywhere_while_it_is_let_go_leave_nothing_live(twin, active, monkeypatch):
    """The third and fourth Ctrl-C of a caller whose handlers raise."""
    release, interrupts = active.release, iter(range(3))

    def struck():
        if next(interrupts, None) is not None:
            raise KeyboardInterrupt
        return release()

    monkeypatch.setattr(active, "release", struck)
    monkeypatch.setattr(active, "park", lambda _: signal.raise_signal(signal.SIGINT))

    assert shutdown.shut_down(active, lambda: None, park=True).live == ()
    assert not any(twin.torque(i) for i in IDS)


def test_signals_are_noted_and_never_raised_and_an_ignored_one_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with recorded_signals() as signals:
            assert not signals
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            assert (signals.came, signals.at_once) == (["SIGTERM"], False)
            with pytest.raises(FaultError, match="SIGTERM came before the run began"):
                journal.go_on(signals, lambda: None)
            os.kill(os.getpid(), signal.SIGINT)
            assert not signals.at_once
            signals.begin_shutdown()
            assert not signals.at_once
            os.kill(os.getpid(), signal.SIGINT)
            assert signals.at_once
    finally:
        signal.signal(signal.SIGHUP, before)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize("then", ["soften", "release"])
def test_the_watchdog_process_reaches_an_arm_whose_program_hangs(twin, active, then):
    """The port is still open, and locked, on the other side."""
    q = active.observe().q
    q[0] = np.clip(q[0] + 20, active.calibration.lower[0], active.calibration.upper[0])
    active.command(q)
    missed = deadman.take_over(twin.ports[0], list(IDS), then)

    assert missed == ()
    assert all(twin.torque(i) for i in IDS) == (then == "soften")
    if then == "soften":
        assert [twin.servos[i].get("torque_limit") for i in IDS] == [deadman.SOFT] * 6
        assert abs(twin.servos[1].get("goal_position") - twin.servos[1].present_ticks) <= 1


def test_a_servo_that_answers_late_is_tried_again(twin, active):
    twin.inject(Fault("mute", servo_id=2, count=2))

    assert deadman.take_over(twin.ports[0], list(IDS), "soften") == ()
    assert [twin.servos[i].get("torque_limit") for i in IDS] == [deadman.SOFT] * 6


def test_servos_that_cannot_be_reached_are_named(twin, active):
    twin.inject(Fault("mute", servo_id=2, count=None))

    assert deadman.take_over(twin.ports[0], list(IDS), "soften") == (2,)


PROGRAM = """
    import os, signal, sys
    from soarm.hardware.config import ArmConfig
    from soarm.hardware.calibration import Calibration
    from soarm.hardware.driver import Arm
    from soarm.runtime.deadman import DeadMan
    arm = Arm.connect(sys.argv[1], Calibration.nominal(), ArmConfig(timeout_s=1.0))
    arm.hold()
    watcher = DeadMan(sys.argv[1], [1, 2, 3, 4, 5, 6], timeout_s=20.0, then="release")
    watcher.beat()
    print("ready", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_when_the_program_is_killed_the_arm_is_let_go(twin, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), twin.ports[0]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    until_s = time.monotonic() + 20.0
    while any(twin.torque(i) for i in IDS) and time.monotonic() < until_s:
        time.sleep(0.02)

    assert done.returncode == -signal.SIGKILL
    assert not any(twin.torque(i) for i in IDS)


def test_a_watchdog_without_a_port_gives_up_with_a_word(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(deadman, "wait_for_silence", lambda *_: True)
    monkeypatch.setattr(deadman.time, "sleep", lambda _: None)
    ticks = iter(range(100))
    monkeypatch.setattr(deadman.time, "monotonic", lambda: float(next(ticks)))

    assert deadman.main([str(tmp_path / "none"), "--ids", "1", "--wait", "30"]) == 1
    assert "the arm is to soften" in caplog.text
    assert re.search(r"Process \d+ waits 0.5 minutes for .*/none, and will then soften the arm", caplog.text)
    assert "To end the wait: kill" in caplog.text
    assert "the port did not come back in 30 s" in caplog.text


def test_the_watchdog_process_acts_and_says_so(twin, active, monkeypatch):
    monkeypatch.setattr(deadman, "wait_for_silence", lambda *_: True)

    assert deadman.main([twin.ports[0], "--ids", *map(str, IDS), "--then", "release"]) == 2
    assert not any(twin.torque(i) for i in IDS)
    twin.inject(Fault("mute", servo_id=3, count=None))
    assert deadman.main([twin.ports[0], "--ids", *map(str, IDS)]) == 1


def test_a_command_that_never_arrives_is_no_error_but_a_silent_bus_is(twin, active):
    twin.inject(Fault("mute", count=None))

    with pytest.raises((BusError, FaultError)):
        active.recover() if active.state is State.FAULT else active.bus.ping(1)
