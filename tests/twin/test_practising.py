"""Everything that is done by hand can be practised on the twin: ids, the cable, a whole calibration."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import re
import signal

import numpy as np
import pytest

from soarm.cli import main
from soarm.hardware.bus import Bus
from soarm.hardware.calibration import Calibration
from soarm.hardware.sweep import REST
from soarm.twin import serving

IDS = range(1, 7)


@pytest.fixture(autouse=True)
def heard(caplog, monkeypatch, answer):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("soarm.hardware.guide._SAMPLE_S", 0.0)


def with_a_hand(make_twin, step_s=0.05, **options):
    """Return a twin whose hand has a clock that runs by `step_s` whenever it is looked at."""
    twin = make_twin(hand=True, **options)
    ticks = itertools.count()
    for emulator in twin._emulators:
        emulator.hand._now = lambda: step_s * next(ticks)
    return twin


def calibrate(port, target, monkeypatch, looks=190):
    """Press Enter at every question, and after so many looks at the sweep."""
    n = itertools.count(1)
    monkeypatch.setattr("soarm.hardware.procedures.enter_was_pressed", lambda: next(n) % looks == 0)
    return main(["calibrate", "--port", port, str(target)])


def test_calibrate_completes_on_the_twin_with_enter_alone(make_twin, tmp_path, monkeypatch, caplog):
    twin, target = with_a_hand(make_twin, step_s=0.02), tmp_path / "arm.json"

    assert calibrate(twin.ports[0], target, monkeypatch, looks=460) == 0
    calibration, nominal = Calibration.load(target), Calibration.nominal()
    for measured, true in zip(calibration.joints, nominal.joints, strict=True):
        assert measured.sign == 1
        assert np.abs(np.subtract(measured.range_ticks, true.range_ticks)).max() <= 2
    missed = re.search(r"the rest pose was missed by: (.*)", caplog.text).group(1)
    assert max(abs(float(number)) for number in re.findall(r"[+-]\d+\.\d", missed)) < 0.5
    check = ["check-pose", "--port", twin.ports[0], "--calibration", str(target), "--rest"]
    assert main(check) == 0


def test_enter_that_comes_too_early_may_come_again(make_twin, tmp_path, monkeypatch, caplog):
    twin = with_a_hand(make_twin)

    assert calibrate(twin.ports[0], tmp_path / "arm.json", monkeypatch, looks=100) == 0
    assert "not yet:" in caplog.text


def test_a_leader_is_calibrated_in_the_same_way(make_twin, tmp_path, monkeypatch):
    twin = with_a_hand(make_twin, arms=2)

    assert calibrate(twin.ports[1], tmp_path / "leader.json", monkeypatch) == 0
    assert [joint.sign for joint in Calibration.load(tmp_path / "leader.json").joints] == [1] * 6


def test_the_hand_lets_go_when_torque_comes_and_folds_the_arm_when_it_goes(make_twin, connect):
    twin = with_a_hand(make_twin)
    arm = connect(twin)
    np.testing.assert_allclose(twin.q(), REST)
    arm.hold()
    arm.activate()
    wanted = REST + np.array([0, 20, -10, 0, 0, 20])
    for _ in range(60):
        arm.command(wanted)
        arm.observe()
    np.testing.assert_allclose(twin.q(), wanted, atol=8)

    arm.release()
    arm.observe()
    np.testing.assert_allclose(twin.q(), REST)


def test_new_servos_get_their_ids_one_after_the_other(make_twin, tmp_path, monkeypatch, caplog):
    twin = with_a_hand(make_twin, new=True)
    monkeypatch.setattr("soarm.hardware.discovery._ALL_ANSWER_S", 0.05)

    assert main(["setup-motors", "--port", twin.ports[0]]) == 0
    assert [servo.get("id") for servo in twin.servos.values()] == list(IDS)
    assert [servo.get("baud_rate") for servo in twin.servos.values()] == [0] * 6
    assert caplog.text.count("is plugged in alone") == 6
    with Bus.open(twin.ports[0], IDS, timeout_s=0.1) as bus:
        assert sorted(bus.scan(IDS)) == list(IDS)
    assert "all servos are set up, and plugged in one behind the other" in caplog.text
    assert calibrate(twin.ports[0], tmp_path / "arm.json", monkeypatch) == 0
    assert [joint.sign for joint in Calibration.load(tmp_path / "arm.json").joints] == [1] * 6


def test_find_port_knows_a_link_that_it_is_told_of(twin, caplog, answer):
    def pull(text):
        twin.unplug()
        return ""

    answer(pull)
    assert main(["find-port", "--also", twin.ports[0], "--also", "/not/there"]) == 0
    assert f"{twin.ports[0]}  (named with --also)" in caplog.text
    assert f"the arm is on {twin.ports[0]}; plug it in again" in caplog.text
    assert "/not/there" not in caplog.text


def test_a_signal_pulls_the_cable_of_the_command_and_plugs_it_in_again(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    seen, signals = [], [signal.SIGUSR1, signal.SIGUSR1, signal.SIGTERM]

    def wait(seconds):
        seen.append((tmp_path / "arm").exists())
        os.kill(os.getpid(), signals[len(seen) - 1])

    monkeypatch.setattr(serving, "serve", functools.partial(serving.serve, wait=wait))
    assert main(["twin", "--port", "arm", "--clock", "lockstep"]) == 0
    assert seen == [True, False, True]
    assert f"kill -USR1 {os.getpid()} pulls the arm's cable, and plugs it in again" in caplog.text


def test_torque_begins_where_the_hand_held_the_arm_and_not_where_it_once_was(make_twin, connect):
    """The servos' own way to their goals begins there as well: under their law a goal is followed, not jumped to."""
    twin = with_a_hand(make_twin, servo_model="sts3215")
    arm = connect(twin)
    arm.hold()
    arm.activate()
    farthest = 0.0
    for _ in range(20):
        arm.command(np.clip(REST, arm.calibration.lower, arm.calibration.upper))
        arm.observe()
        farthest = max(farthest, np.abs(twin.q() - REST).max())

    assert farthest < 4.0
