from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from soarm.errors import FaultError
from soarm.runtime import deadman
from soarm.runtime.deadman import DeadMan, wait_for_silence


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

        with pytest.raises(FaultError, match=r"the dead man's switch is gone or hangs .*nobody would look after the arm"):
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


def test_a_program_that_stood_still_too_long_is_told_that_its_arm_is_soft(tmp_path):
    with DeadMan(str(tmp_path / "no-port"), [1, 2], timeout_s=0.05) as watcher:
        watcher.beat()
        time.sleep(0.3)

        with pytest.raises(FaultError, match=r"acted: it heard nothing for 0.05 s, so the arm was softened.* Ctrl-Z"):
            beat_until_it_raises(watcher)


def test_a_switch_that_does_not_start_is_an_error_that_says_how_to_do_without(tmp_path, monkeypatch):
    start = subprocess.Popen
    monkeypatch.setattr(deadman.subprocess, "Popen", lambda _, **how: start([sys.executable, "-c", ""], **how))

    with pytest.raises(FaultError, match=r"does not start .*--no-deadman"):
        DeadMan(str(tmp_path / "no-port"), [1, 2])
