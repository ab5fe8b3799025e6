"""Whole sessions: the learner in its own process, an arm behind a port with a person beside it, and the command."""

from __future__ import annotations

import os
import signal
import time

import numpy as np
import pytest

from soarm import cli
from soarm.envs.interface import Interface
from soarm.errors import OnlineError
from soarm.hardware.calibration import Calibration
from soarm.online import folder as layout
from soarm.online.arm_env import ArmEnv
from soarm.online.beside import Beside
from soarm.online.make import ArmOptions, arm_cell
from soarm.online.steps import StepFile, read_all

DIM = 57


def write(run, n_episodes):
    rng = np.random.default_rng(0)
    with StepFile(run.path / layout.STEPS, DIM, run.about) as steps:
        for i in range(n_episodes):
            for _ in range(20):
                steps.add(rng.normal(size=DIM).astype(np.float32), np.zeros(6, np.float32), human=False)
            steps.end(rng.normal(size=DIM).astype(np.float32), success=i % 2 == 0)


def wait_for(happens, seconds=60.0):
    until = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.05)


@pytest.mark.slow
def test_the_learner_beside_survives_a_kill_and_ends_with_a_checkpoint(residual_zip, params, tmp_path):
    run = layout.begin(tmp_path / "run", residual_zip, params, None, fresh=False, seed=0)
    write(run, 2)
    with Beside(run) as beside:
        published = (run.path / layout.ACTOR).stat().st_mtime_ns
        write(run, 3)
        wait_for(lambda: (run.path / layout.ACTOR).stat().st_mtime_ns > published)
        os.kill(beside._process.pid, signal.SIGKILL)
        beside._process.wait()
        with pytest.raises(OnlineError, match=r"the learner ended.*no step is lost: start again"):
            beside.require_alive()
    with Beside(run) as beside:
        beside.require_alive()

    assert len(read_all(run.path / layout.STEPS)) == 5
    assert (run.path / layout.LEARNER).stat().st_size > 0


@pytest.mark.slow
def test_an_arm_behind_a_port_is_parked_for_the_person_and_released_in_the_end(sim, make_twin, tmp_path):
    twin = make_twin(clock="wall")
    Calibration.nominal().save(tmp_path / "arm.json")
    typed = iter(["", "\n", *[""] * 5, "y"])
    said = []
    options = ArmOptions(twin.ports[0], tmp_path / "arm.json")
    with arm_cell(options, sim, lambda: next(typed, ""), say=said.append) as cell:
        env = ArmEnv(Interface(params=sim), cell)
        observation, _ = env.reset(seed=3)
        rewards = [env.step(observation["agent_pos"])[1] for _ in range(6)]

    assert rewards == [0.0] * 5 + [1.0]
    assert "put the things where they start" in said[0]
    assert not any(twin.torque(servo_id) for servo_id in twin.servos)


@pytest.mark.slow
def test_the_command_learns_on_a_twin_goes_on_and_leaves_a_bundle(residual_zip, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level("INFO")
    words = ["rl-train", "--arm", "--port", "twin", "--residual", str(residual_zip), "--out", "runs/desk"]

    assert cli.main([*words, "--steps", "20"]) == 0
    first = read_all(tmp_path / "runs/desk/steps.bin")
    assert cli.main([*words, "--steps", "20"]) == 0  # nothing is left to do
    assert cli.main(["check", "runs/desk/bundle", "--calls", "2"]) == 0
    assert len(read_all(tmp_path / "runs/desk/steps.bin")) == len(first) == 1
    assert "of 20 steps are made" in caplog.text
    assert "what was learnt: soarm drive" in caplog.text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arm"], "--arm needs --port and --calibration"),
        (["--arm", "--port", "twin", "--temp"], "--temp belong to the training in the simulator"),
    ],
)
def test_options_that_do_not_go_together_are_refused(words, message, capsys):
    assert cli.main(["rl-train", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_residual_that_is_not_there_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert cli.main(["rl-train", "--arm", "--port", "twin"]) == 1
    assert "data/train_residual/residual.zip" in capsys.readouterr().err
