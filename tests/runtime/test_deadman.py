from __future__ import annotations

import configparser
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from soarm.errors import FaultError
from soarm.runtime import deadman
from soarm.runtime.deadman import DeadMan, wait_for_silence

ROOT = Path(__file__).parents[2]


def beat_until_it_raises(watcher, within_s=30.0):
    until_s = time.monotonic() + within_s
    while time.monotonic() < until_s:
        watcher.beat()
        time.sleep(0.01)


def test_it_waits_while_it_hears_beats_and_knows_a_goodbye_from_silence():
    reading, writing = os.pipe()
    try:
        os.write(writing, deadman.BEAT * 3)
        assert wait_for_silence(reading, 0.01)
        os.write(writing, deadman.BEAT + deadman.GOODBYE)
        assert not wait_for_silence(reading, 0.01)
        os.close(writing)
        assert wait_for_silence(reading, 10.0), "the end of the input is silence, at once"
    finally:
        os.close(reading)


def test_a_goodbye_ends_it_without_touching_the_port(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        watcher.beat()

    assert watcher._process.returncode == 0
    watcher.close()


def test_it_is_ready_when_it_is_there_and_bringing_an_arm_up_may_take_longer_than_its_patience(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=0.05) as watcher:
        time.sleep(0.3)
        assert watcher._process.poll() is None

    assert watcher._process.returncode == 0


def test_a_beat_that_nobody_hears_is_an_error(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        watcher.beat()
        os.kill(watcher._process.pid, signal.SIGKILL)

        with pytest.raises(FaultError, match=r"the dead man's switch is gone or hangs .*nothing would stop the arm"):
            beat_until_it_raises(watcher)


def test_a_switch_that_reads_no_beats_is_an_error(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        os.kill(watcher._process.pid, signal.SIGSTOP)
        try:
            with pytest.raises(FaultError, match="is gone or hangs"):
                for _ in range(1 << 20):
                    watcher.beat()
        finally:
            os.kill(watcher._process.pid, signal.SIGCONT)


def test_a_switch_that_hangs_is_noticed_by_its_missing_answers_and_cannot_act_later(tmp_path, monkeypatch):
    monkeypatch.setattr(deadman, "_HANGS_S", 0.3)
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        for _ in range(10):
            watcher.beat()
            time.sleep(0.01)
        os.kill(watcher._process.pid, signal.SIGSTOP)
        with pytest.raises(FaultError, match=r"gone or hangs \(exit status None, no answer for 0\.[3-9] s\): nothing"):
            beat_until_it_raises(watcher)

    assert watcher._process.returncode == -signal.SIGKILL


def test_a_program_that_stood_still_itself_does_not_say_that_the_switch_hangs(tmp_path, monkeypatch):
    monkeypatch.setattr(deadman, "_HANGS_S", 0.2)
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        watcher.beat()
        assert select.select([watcher._from], [], [], 30.0)[0]
        assert os.read(watcher._from, 1) == deadman.HEARD  # as if it came too late
        for _ in range(3):
            time.sleep(0.3)
            watcher.beat()


def test_a_switch_that_is_to_stay_outlives_the_program_and_is_told_how_it_ends(tmp_path, caplog):
    caplog.set_level("WARNING")
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        watcher.beat()
        watcher.stay()
    try:
        time.sleep(0.2)
        assert watcher._process.poll() is None
        assert f"(process {watcher._process.pid}) stays, and waits for the port" in caplog.text
    finally:
        watcher._process.terminate()
        watcher._process.wait()


def test_a_switch_that_is_gone_cannot_stay_and_that_is_said(tmp_path, caplog):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=30.0) as watcher:
        watcher._process.kill()
        watcher._process.wait()
        watcher.stay()

    assert "nothing waits for the port. Support the arm, and cut its power" in caplog.text


@pytest.fixture
def input_of_ours():
    """Return the two ends of what the switch reads."""
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


def happens_while_it_waits(monkeypatch, happens):
    """Let something happen when the switch looks for its port for the second time."""
    looks = []

    def sleep(_):
        looks.append(1)
        if len(looks) == 2:
            happens()

    monkeypatch.setattr(deadman.time, "sleep", sleep)


def test_it_waits_for_a_port_that_is_gone_and_softens_the_arm_when_it_is_back(
    twin, active, monkeypatch, input_of_ours, caplog
):
    caplog.set_level("WARNING")
    twin.unplug()
    happens_while_it_waits(monkeypatch, twin.replug)

    assert deadman.act(twin.ports[0], range(1, 7), "soften", 60.0, input_of_ours[0]) == 2
    assert [twin.servos[i].get("torque_limit") for i in range(1, 7)] == [deadman.SOFT] * 6
    assert f"To end the wait: kill {os.getpid()}" in caplog.text
    assert "the arm was taken over: every goal is where its joint is, with 30 % of the torque" in caplog.text


def test_a_port_that_came_back_and_has_a_new_program_on_it_is_left_to_that(
    twin, active, connect, monkeypatch, input_of_ours, caplog
):
    def run_again():
        twin.replug()
        connect(twin)

    twin.unplug()
    happens_while_it_waits(monkeypatch, run_again)

    assert deadman.act(twin.ports[0], range(1, 7), "soften", 60.0, input_of_ours[0]) == 1
    assert "another program holds it" in caplog.text
    assert "It looks after the arm now" in caplog.text
    assert twin.servos[1].get("torque_limit") == 1000


def test_a_program_that_comes_back_and_lets_go_by_itself_ends_the_wait(tmp_path, monkeypatch, input_of_ours):
    happens_while_it_waits(monkeypatch, lambda: os.write(input_of_ours[1], deadman.GOODBYE))

    assert deadman.act(str(tmp_path / "none"), [1], "soften", 60.0, input_of_ours[0]) == 0


def test_a_port_that_is_lost_once_more_while_it_acts_is_waited_for_again(twin, active, monkeypatch, input_of_ours):
    soften, once = deadman._soften, iter([twin.unplug])

    def cut(bus, servo_id):
        next(once, lambda: None)()
        return soften(bus, servo_id)

    monkeypatch.setattr(deadman, "_soften", cut)
    happens_while_it_waits(monkeypatch, twin.replug)

    assert deadman.act(twin.ports[0], range(1, 7), "soften", 60.0, input_of_ours[0]) == 2
    assert twin.servos[6].get("torque_limit") == deadman.SOFT


def test_a_program_that_stood_still_too_long_is_told_that_its_arm_is_soft(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=0.05) as watcher:
        watcher.beat()
        time.sleep(0.3)

        with pytest.raises(FaultError, match=r"acted: no heartbeat for 0.05 s, so the arm was softened.* Ctrl-Z"):
            beat_until_it_raises(watcher)


def test_a_switch_that_does_not_start_is_an_error_that_says_how_to_do_without(tmp_path, monkeypatch):
    start = subprocess.Popen
    monkeypatch.setattr(deadman.subprocess, "Popen", lambda _, **how: start([sys.executable, "-c", ""], **how))

    with pytest.raises(FaultError, match=r"does not start .*--no-deadman"):
        DeadMan(str(tmp_path / "no-port"), [1, 2])


def test_the_unit_for_systemd_gives_time_to_park_and_softens_an_arm_that_nobody_is_left_to_look_after(twin, active):
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read(ROOT / "docs" / "soarm-drive.service")
    service = unit["Service"]
    command = shlex.split(service["ExecStopPost"])
    module = command.index("soarm.runtime.deadman")
    port, *options = command[module + 1 :]
    done = subprocess.run(
        [sys.executable, "-m", command[module], twin.ports[0], *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        check=False,
    )

    assert done.returncode == 2
    assert [twin.servos[i].get("torque_limit") for i in range(1, 7)] == [deadman.SOFT] * 6
    assert port in shlex.split(service["ExecStart"])
    assert service["KillMode"] == "mixed", "SIGTERM to the program alone: its switch must live on while the arm parks"
    assert float(options[options.index("--wait") + 1]) < float(service["TimeoutStopSec"])
    assert float(service["TimeoutStopSec"]) >= 60
