"""A robot host drives by hand with what soarm brings without any extra."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from soarm import params as params_file
from soarm.cli import main
from soarm.sim.params import SimParams
from soarm.teleop.control import CONTROL_HZ

ROOT = Path(__file__).parents[2]
HEAVY = ["torch", "mujoco", "mlflow", "gymnasium", "stable_baselines3", "pyarrow", "pandas", "matplotlib", "dvc", "scipy"]


def test_a_leader_drives_a_follower_without_anything_heavy(make_twin, begin, tmp_path):
    twin = make_twin(arms=2)
    twin.lead(twin.q())
    leader = ["--leader", "arm", "--leader-port", twin.ports[1], "--leader-calibration", str(tmp_path / "arm.json")]
    session = begin(twin, *leader, recorded=False, without=HEAVY)
    session.wait_for("HOLD -> ACTIVE")
    session.type(" ")
    session.wait_for("nothing is recorded without a dataset: start again with --dataset FOLDER")
    moved = twin.q() + np.array([8.0, 0, 0, 0, 0, 0])
    twin.lead(moved)
    session.wait_until(lambda: abs(twin.q()[0] - moved[0]) < 2)
    session.type("q")
    status = session.end()

    assert status == 0, session.heard
    assert not any(twin.torque(i) for i in range(1, 7))


def test_recording_without_pyarrow_says_what_to_install_before_any_arm_is_met(make_twin, begin):
    twin = make_twin()
    session = begin(twin, without=["pyarrow"])
    status = session.end()

    assert status == 1
    remedy = "pip install pyarrow av, or leave --dataset out and drive alone"
    assert session.heard == f"error: recording needs pyarrow, which is not installed: {remedy}\n"


@pytest.mark.parametrize("leader", [["--leader", "expert"], []], ids=["expert", "keyboard"])
def test_the_simulated_arm_without_a_simulator_says_what_to_install(tmp_path, leader):
    program = f"import sys; sys.modules.update(dict.fromkeys({HEAVY})); from soarm.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "teleoperate", *leader, "--dataset", str(tmp_path / "d")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.startswith("error: the simulated arm needs ")
    assert "pip install -c constraints.txt '.[twin]' in the clone of soarm, in this environment; --follower arm" in done.stderr
    assert done.stdout == ""


def test_loading_the_command_loads_nothing_heavy():
    program = "import sys, soarm.teleop.control; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert "soarm.teleop.session" in done.stdout.split()
    assert set(HEAVY) & set(done.stdout.split()) == set()


def test_it_records_as_often_as_training_takes_it():
    assert params_file.load(ROOT / "params.yaml").section("sim", SimParams).control_hz == CONTROL_HZ


def test_a_dataset_is_not_continued_at_another_rate(tmp_path, make_twin, begin):
    params = ["--params", str(ROOT / "params.yaml")]
    assert (
        main(["control", "--leader", "expert", "--fast", "--episodes", "1", "--dataset", str(tmp_path / "dataset"), *params])
        == 0
    )
    session = begin(make_twin(), "--control-hz", "50")
    status = session.end()

    assert status == 1
    assert "was recorded at 30 Hz, and this session runs at 50 Hz; take another folder, or --control-hz 30" in session.heard


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--control-hz", "50", "--dataset", "d"], "--control-hz is for --follower arm"),
        (["--leader", "replay"], "--replay must be given"),
        (["--leader", "expert", "--follower", "arm", "--port", "p", "--calibration", "c"], "--objects must be given"),
        (["--from-log", "run.log"], "--from-log needs --dataset"),
        (["--follower", "arm", "--port", "p", "--calibration", "c", "--dataset", "d"], "--objects must be given"),
    ],
)
def test_options_that_do_not_go_together_are_named(words, message, capsys):
    assert main(["control", *words]) == 2
    assert message in capsys.readouterr().err
