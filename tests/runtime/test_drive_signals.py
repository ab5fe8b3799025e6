"""Real signals to a real `soarm drive` on a twin: whatever comes when, no servo stays live."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.runtime.training_arm import TrainingArm
from soarm.twin.faults import Fault

ROOT = Path(__file__).parents[2]
TRAINED = TrainingArm(30, (17.0, 19.0), (3.0, 3.5), (0.0, 0.0), start=(0.0, 0.0, 5.0, 85.0, -85.0, 30.0))
PARK = np.clip(ArmConfig().park, Calibration.nominal().lower, Calibration.nominal().upper)
IDS = range(1, 7)


@pytest.fixture
def drive(twin, tmp_path, bundle_files, write_bundle):
    """Return how to start it: options -> the process, once the arm moves."""
    folder = write_bundle(tmp_path / "bundle", bundle_files | {"training_arm.json": TRAINED.to_json().encode()})
    Calibration.nominal().save(tmp_path / "arm.json")
    (tmp_path / "settings.json").write_text('{"timeout_s": 1.0, "park_speed": 250.0}')
    command = [sys.executable, "-m", "soarm", "drive", str(folder), "--port", twin.ports[0], "--seconds", "60"]
    command += ["--calibration", str(tmp_path / "arm.json"), "--settings", str(tmp_path / "settings.json")]
    command += ["--place", "cube=-0.15,-0.2,0", "--place", "bin=0.15,-0.15"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = []

    def start(after_goals, *options):
        process = subprocess.Popen(
            [*command, *options], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        started.append(process)
        wait_for_goals(twin, after_goals)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def wait_for_goals(twin, n):
    until_s = time.monotonic() + 60.0
    while twin.goal_writes() < n:
        assert time.monotonic() < until_s, f"{twin.goal_writes()} goals were written, not {n}"
        time.sleep(0.005)


def ended(process, twin):
    said, _ = process.communicate(timeout=60.0)
    assert not any(twin.torque(i) for i in IDS), said
    return said


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", pytest.param("SIGHUP", marks=pytest.mark.slow)])
def test_the_first_signal_parks_and_lets_go(twin, drive, name):
    process = drive(100)
    process.send_signal(signal.Signals[name])
    said = ended(process, twin)

    assert process.returncode == 0
    assert "Traceback" not in said
    assert "ended: somebody said stop" in said
    np.testing.assert_allclose(twin.q(), PARK, atol=3.0)


def test_a_second_ctrl_c_within_a_tick_of_the_first_lets_go_at_once(twin, drive):
    process = drive(100)
    process.send_signal(signal.SIGINT)
    wait_for_goals(twin, twin.goal_writes() + 1)  # two that come before Python looks are one
    process.send_signal(signal.SIGINT)
    said = ended(process, twin)

    assert "not parked: released at once" in said
    assert "Traceback" not in said
    assert np.abs(twin.q() - PARK).max() > 20.0


def test_a_terminal_that_sends_several_signals_means_one(twin, drive):
    process = drive(100)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    said = ended(process, twin)

    assert process.returncode == 0
    assert "not parked" not in said
    np.testing.assert_allclose(twin.q(), PARK, atol=3.0)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.slow
def test_a_servo_that_is_silent_for_a_moment_while_a_stopped_run_parks_drops_nothing(twin, drive, name):
    process = drive(100)
    twin.inject(Fault("mute", servo_id=3, after_writes=12, count=8))
    process.send_signal(signal.Signals[name])
    said = ended(process, twin)

    assert process.returncode == 0
    assert "held up on its way" in said
    np.testing.assert_allclose(twin.q(), PARK, atol=3.0)


def test_signals_at_random_moments_of_start_run_and_park_leave_nothing_live(twin, drive):
    rng = np.random.default_rng(0)
    for _ in range(2):
        process = drive(twin.goal_writes() + int(rng.integers(1, 120)))
        for name in rng.choice(["SIGINT", "SIGTERM", "SIGHUP"], size=6):
            if process.poll() is None:
                process.send_signal(signal.Signals[name])
            time.sleep(rng.uniform(0.0, 0.05))
        ended(process, twin)


@pytest.mark.slow
def test_a_run_that_was_stopped_and_continued_ends_parked_and_says_why(twin, drive):
    process = drive(100)
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.0)
    process.send_signal(signal.SIGCONT)
    said = ended(process, twin)

    assert process.returncode == 1
    assert "ended: the dead man's switch acted: no heartbeat for 1 s" in said
    np.testing.assert_allclose(twin.q(), PARK, atol=3.0)
