"""Zeros of the joints from what was carried: made-up carries of an arm whose zeros are known."""

from __future__ import annotations

import json

import numpy as np
import pytest

from soarm import cli, kinematics
from soarm.errors import OnlineError
from soarm.hardware.calibration import Calibration
from soarm.online import folder as layout
from soarm.online.steps import Episode, StepFile
from soarm.online.zeros import find_zeros
from soarm.tasks.pick_place import TASK
from soarm.tasks.push import TASK as PUSH

ZERO_DEG = np.array([1.5, 2.0, 1.5, 1.0, 1.0, -2.0])
BLOCKS = TASK.residual_observation.blocks
LOW, HIGH = np.array([-45.0, -20.0, 0.0, 50.0, -110.0, 15.9]), np.array([45.0, 20.0, 40.0, 90.0, -70.0, 15.9])


def carry(number, zero_deg=ZERO_DEG, late_steps=1, lifts=True, n=40):
    """Return an episode in which a cube goes with the hand from its sixth step on; it is seen so late, with an offset."""
    rng = np.random.default_rng(number)
    share = np.clip((np.arange(n + 1) - 5) / 25, 0.0, 1.0)[:, None]
    q = rng.uniform(LOW, HIGH) * (1 - share) + rng.uniform(LOW, HIGH) * share
    tcp_m, hand = kinematics.forward(q)
    middle_m = tcp_m + hand @ (rng.normal(0.0, 1.0, 3) * [0.0005, 0.004, 0.003] + [0.0, -0.004, 0.0])
    yaw4 = (hand[:, 0, 0] + 1j * hand[:, 1, 0]) ** 4
    pose = np.column_stack([middle_m, yaw4.real, yaw4.imag])
    pose = pose[np.maximum(np.arange(n + 1) - late_steps, 0)]
    pose[:, :3] += rng.normal(0.0, 0.001, 3)
    pose[:5, 2] = pose[:, 2].min() - 0.02
    pose[5:, 2] -= 0.0 if lifts else pose[5:, 2] - pose[0, 2]
    observations = np.zeros((n + 1, TASK.residual_observation.dim), np.float32)
    observations[:, BLOCKS["state"]] = q + zero_deg
    observations[:, BLOCKS["gripper_point"]] = kinematics.forward(q + zero_deg)[0]
    observations[:, BLOCKS["objects"]][:, :5] = pose
    nothing = np.zeros((n, 6), np.float32)
    return Episode(number, observations, nothing, np.zeros(n, np.bool_), success=True)


def apart_mm(zero_deg):
    """Return how far the hand is from where joints with these zeros have it, over the poses of the carries."""
    q = np.random.default_rng(99).uniform(LOW, HIGH, (200, 6))
    there, thought = (kinematics.forward(q + left)[0] for left in (0.0, ZERO_DEG - zero_deg))
    return 1e3 * np.linalg.norm(there - thought, axis=1).mean()


def test_the_hand_is_where_the_zeros_that_were_found_have_it():
    found = find_zeros([carry(i) for i in range(20)], TASK, 30)

    assert apart_mm(np.zeros(6)) > 10.0
    assert apart_mm(found.zero_deg) < 2.0
    assert found.zero_deg[[0, 5]] == pytest.approx([1.5, -2.0], abs=0.3)
    assert found.delay_s == pytest.approx(1 / 30, abs=0.005)
    assert found.n_carries == 20
    assert found.after_m < 0.5 * found.before_m
    assert (np.abs(found.zero_deg[:5] - ZERO_DEG[:5]) < 3 * found.error_deg[:5]).all()


def test_an_arm_with_true_zeros_keeps_them():
    found = find_zeros([carry(i, zero_deg=np.zeros(6)) for i in range(20)], TASK, 30)

    assert np.abs(found.zero_deg).max() < 1.0
    assert apart_mm(ZERO_DEG + found.zero_deg) < 2.0


def test_what_stays_on_the_table_is_not_carried():
    with pytest.raises(OnlineError, match=r"carried in 3 episodes; zeros need 4 of them.*Let the arm go on"):
        find_zeros([carry(i, lifts=i < 3) for i in range(20)], TASK, 30)


def test_a_task_without_a_grip_tells_nothing():
    with pytest.raises(OnlineError, match=r"carried in 0 episodes.*one in which the gripper holds a thing"):
        find_zeros([carry(i) for i in range(5)], PUSH, 30)


def test_the_command_writes_a_calibration_with_which_the_arm_reads_what_is_true(
    residual_zip, params, tmp_path, caplog, capsys
):
    caplog.set_level("INFO")
    run = layout.begin(tmp_path / "run", residual_zip, params, None, fresh=False, seed=0)
    about = {**run.about, layout.CALIBRATION: Calibration.nominal().hash}
    with StepFile(run.path / layout.STEPS, TASK.residual_observation.dim, about) as steps:
        for i in range(10):
            one = carry(i)
            for seen, residual in zip(one.observations, one.residuals, strict=False):
                steps.add(seen, residual, human=False)
            steps.end(one.observations[-1], success=True)
    old, target = tmp_path / "arm.json", tmp_path / "arm-zeros.json"
    Calibration.nominal().save(old)
    command = ["find-zeros", str(run.path), "--calibration", str(old)]

    assert cli.main([*command, str(target)]) == 0
    assert "shoulder_pan   +1." in caplog.text
    assert "what was carried, in 10 episodes, is" in caplog.text
    ticks = Calibration.nominal().to_ticks(np.zeros(6))
    read = Calibration.nominal().to_units(ticks) - Calibration.load(target).to_units(ticks)
    assert cli.main([*command, str(tmp_path / "other.json"), "--json"]) == 0
    assert read == pytest.approx(json.loads(capsys.readouterr().out)["zero_deg"])
    assert cli.main([*command, str(target)]) == 1
    assert "exists; name a new file" in capsys.readouterr().err
    Calibration.load(target).save(old)
    assert cli.main([*command, str(tmp_path / "third.json")]) == 1
    assert "were made with another calibration" in capsys.readouterr().err
