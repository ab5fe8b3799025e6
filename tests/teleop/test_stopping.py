"""However teleoperation ends, the arm is not left live: real signals to a real process, on the twin."""

from __future__ import annotations

import dataclasses
import os
import signal
import time

import numpy as np
import pytest

from soarm.dataset.reader import Dataset
from soarm.errors import FaultError, TeleopError
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime import deadman
from soarm.runtime.lockstep import Clock
from soarm.runtime.objects import CalledObjects
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.teleop import arms
from soarm.teleop.keyboard import Terminal
from soarm.teleop.session import Command, Session, SessionParams
from soarm.twin.faults import Fault

IDS = range(1, 7)
CONFIG = ArmConfig(timeout_s=1.0, park_speed=300.0)


def objects_of(twin):
    return {ENVIRONMENT_STATE: CalledObjects(TASK, twin.objects)}


PATIENCE_S = 60.0


def wait_until(true):
    until_s = time.monotonic() + PATIENCE_S
    while not true() and time.monotonic() < until_s:
        time.sleep(0.001)
    assert true()


@pytest.mark.parametrize("name", ["SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow), "SIGINT"])
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
    following = arms.follower(twin.ports[0], twin.config.calibration, CONFIG, TASK, objects_of(twin), 30, deadman=False)
    with pytest.raises(error), following:
        pass

    assert [twin.torque(i) for i in IDS] == [False] * 6


def test_a_servo_that_was_not_seen_to_let_go_is_named(twin):
    following = arms.follower(twin.ports[0], twin.config.calibration, CONFIG, TASK, objects_of(twin), 30, deadman=False)
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


class Hand:
    """Asks for the place where the arm was seen first."""

    def connect(self):
        self.starts = 0

    def start(self, observation):
        self.at, self.starts = np.array(observation[STATE]), self.starts + 1

    def action(self, observation):
        return self.at

    def close(self):
        pass


class Kept(list):
    """Episodes as they are kept."""

    def save_episode(self, observations, actions):
        self.append(len(actions))


@pytest.mark.parametrize("fault", [Fault("mute", 3, count=8), Fault("sag", None, 3.8)], ids=lambda fault: fault.kind)
def test_a_glitch_drops_the_episode_it_is_in_and_neither_the_session_nor_the_arm(twin, fault, caplog):
    caplog.set_level("INFO")
    kept, hand = Kept(), Hand()
    script = {0: Command.START, 6: Command.KEEP, 7: Command.START, 60: Command.START, 66: Command.KEEP, 67: Command.QUIT}
    steps = iter(range(1000))

    def commands():
        step = next(steps)
        if step == 12:
            twin.inject(fault)
        if step == 20:
            twin.mend()
        return [script[step]] if step in script else []

    config = dataclasses.replace(CONFIG, timeout_s=0.06)
    following = arms.follower(twin.ports[0], twin.config.calibration, config, TASK, objects_of(twin), 30, deadman=False)
    with following as follower:
        clock = Clock()
        report = Session(follower, hand, kept, SessionParams(5), commands, clock.now, clock.sleep).run()

    assert kept == [6, 6]
    assert report.refused == 1
    assert "the episode is dropped: the arm holds because" in caplog.text
    assert "the arm follows again" in caplog.text
    assert "parked" in caplog.text
    assert hand.starts >= 5, "whoever drives begins again from where the arm is"


def test_a_joint_that_stays_silent_ends_the_session_with_its_cause_and_the_arm_is_parked_without_it(twin):
    kept = Kept()
    config = dataclasses.replace(CONFIG, timeout_s=0.02, wait_s=0.1)
    following = arms.follower(twin.ports[0], twin.config.calibration, config, TASK, objects_of(twin), 30, deadman=False)
    said = r"the arm is in FAULT because wrist_roll \(servo 5\) did not answer for 10 cycles"
    with pytest.raises(FaultError, match=said), following as follower:
        twin.inject(Fault("mute", servo_id=5, after_writes=5, count=None))
        clock = Clock()
        Session(follower, Hand(), kept, SessionParams(5), tuple, clock.now, clock.sleep).run()

    park = np.clip(CONFIG.park, twin.config.calibration.lower, twin.config.calibration.upper)
    assert np.abs(twin.q() - park)[1:3].max() < 3.0


def test_a_session_whose_arm_is_let_go_above_its_rest_pose_is_no_success(twin):
    following = arms.follower(twin.ports[0], twin.config.calibration, CONFIG, TASK, objects_of(twin), 30, deadman=False)
    with pytest.raises(FaultError, match="the arm was released above its rest pose; why stands above"), following:
        twin.inject(Fault("heat", servo_id=2, value=67.0))


@pytest.mark.slow
def test_a_session_that_loses_its_port_leaves_the_arm_to_the_dead_mans_switch(twin):
    config = dataclasses.replace(CONFIG, wait_s=0.3)
    following = arms.follower(twin.ports[0], twin.config.calibration, config, TASK, objects_of(twin), 30)
    with pytest.raises(FaultError, match="may still be live: cut the power"), following as follower:
        follower.observe()
        follower.act(follower.observe()[STATE])
        twin.unplug()
    switch = deadman._STAYING.pop()
    twin.replug()

    assert switch.wait(timeout=60.0) == 2
    assert [twin.servos[i].get("torque_limit") for i in IDS] == [deadman.SOFT] * 6
