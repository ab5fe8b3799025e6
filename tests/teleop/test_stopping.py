"""However teleoperation ends, the arm is not left live: real signals to a real process, on the twin."""

from __future__ import annotations

import os
import signal
import time

import pytest

from soarm.dataset.reader import Dataset
from soarm.errors import FaultError, TeleopError
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime import deadman
from soarm.runtime.objects import CalledObjects
from soarm.teleop import arms
from soarm.teleop.keyboard import Terminal
from soarm.twin.faults import Fault

IDS = range(1, 7)
CONFIG = ArmConfig(timeout_s=0.2, park_speed=300.0)
PATIENCE_S = 60.0


def wait_until(true):
    until_s = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < until_s:
        time.sleep(0.001)
    assert true()


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_parks_the_arm_lets_it_go_and_keeps_what_was_kept(make_twin, begin, name):
    twin = make_twin()
    session = begin(twin)
    session.wait_for("HOLD -> ACTIVE")
    for _ in range(20):  # an episode is refused where the machine is so busy that its steps come late
        session.type(" ")
        session.wait_for("start:", len(session.heard))
        session.type("\n")
        session.wait_for("keep:", len(session.heard))
        if "keep: 1 of" in session.heard:
            break
    session.process.send_signal(getattr(signal, name))
    status = session.end()

    assert [twin.torque(i) for i in IDS] == [False] * 6
    assert f"{name}: the episode that ran is dropped, the kept ones are safe" in session.heard
    assert "parked" in session.heard
    assert "HOLD -> LIMP: released" in session.heard
    assert status == 0
    assert Dataset.open(session.dataset).n_episodes == 1


def test_a_signal_while_torque_comes_on_leaves_no_servo_live(make_twin, begin):
    twin = make_twin(usb_delay_s=0.005)
    session = begin(twin)
    wait_until(lambda: twin.torque(2))
    early = not twin.torque(6)
    session.process.send_signal(signal.SIGINT)
    session.end()

    assert early, "the signal was to come while torque comes on"
    assert [twin.torque(i) for i in IDS] == [False] * 6
    assert "Traceback" not in session.heard


def test_after_a_kill_the_dead_man_s_switch_takes_most_of_the_torque(make_twin, begin):
    twin = make_twin()
    session = begin(twin)
    session.wait_for("HOLD -> ACTIVE")
    session.process.send_signal(signal.SIGKILL)

    wait_until(lambda: all(twin.servos[i].get("torque_limit") == deadman.SOFT for i in IDS))


def test_two_ctrl_c_let_go_at_once(make_twin, begin):
    twin = make_twin()
    session = begin(twin)
    session.wait_for("HOLD -> ACTIVE")
    session.process.send_signal(signal.SIGINT)
    time.sleep(0.05)
    session.process.send_signal(signal.SIGINT)
    session.end()

    assert [twin.torque(i) for i in IDS] == [False] * 6
    assert "Traceback" not in session.heard


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_whatever_cuts_bring_up_short_no_servo_stays_live(twin, monkeypatch, error):
    hold = Arm.hold

    def cut(arm):
        hold(arm)
        raise error

    monkeypatch.setattr(Arm, "hold", cut)
    following = arms.follower(twin.ports[0], twin.config.calibration, CONFIG, CalledObjects(twin.objects), 30, deadman=False)
    with pytest.raises(error), following:
        pass

    assert [twin.torque(i) for i in IDS] == [False] * 6


def test_a_servo_that_was_not_seen_to_let_go_is_named(twin):
    following = arms.follower(twin.ports[0], twin.config.calibration, CONFIG, CalledObjects(twin.objects), 30, deadman=False)
    with pytest.raises(FaultError, match=r"gripper \(servo 6\) may still be live: cut the power"), following:
        twin.inject(Fault("deaf", servo_id=6))


def test_a_terminal_that_was_closed_is_said_and_left_alone(monkeypatch):
    ours, theirs = os.openpty()
    with os.fdopen(theirs) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(TeleopError, match="the terminal was closed"), Terminal() as terminal:
            assert terminal.read() == ""
            os.close(ours)
            terminal.read()
