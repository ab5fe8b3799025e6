"""Teleoperation over the wire: a leader and a follower on two ports, and a run that becomes a dataset."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.cli import main
from soarm.dataset.reader import Dataset
from soarm.errors import LogError, TeleopError, TwinError
from soarm.hardware.config import ArmConfig
from soarm.runtime import log
from soarm.runtime.objects import CalledObjects
from soarm.runtime.safety import Limits
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.teleop import arms, convert
from soarm.teleop.leader import Leader

CONFIG = ArmConfig(timeout_s=1.0, park_speed=300.0)


def test_the_follower_goes_where_the_leader_is_put(make_twin):
    twin = make_twin(arms=2)
    calibration, q = twin.config.calibration, twin.q()
    sensors = {ENVIRONMENT_STATE: CalledObjects(TASK, twin.objects)}
    with (
        arms.leader(twin.ports[1], calibration, CONFIG) as held,
        arms.follower(twin.ports[0], calibration, CONFIG, TASK, sensors, 30, deadman=False) as follower,
    ):
        twin.lead(q)
        leader = Leader(held, 30)
        leader.connect()
        follower.reset(0)
        leader.start(follower.observe())
        wanted = np.clip(q + np.array([15, 10, -10, -5, 10, 20]), calibration.lower, calibration.upper)
        for share in np.linspace(0, 1, 60):
            twin.lead(q + share * (wanted - q))
            follower.observe()
            follower.act(leader.action({STATE: q}))
        for _ in range(15):
            seen = follower.observe()
            follower.act(leader.action({STATE: q}))

        np.testing.assert_allclose(seen[STATE], wanted, atol=1.5)
        np.testing.assert_allclose(seen[ENVIRONMENT_STATE], twin.objects())
        follower.stop()
    assert not any(twin.torque(i) for i in range(1, 7)), "afterwards the follower is parked and let go"


def test_a_leader_with_torque_is_refused(make_twin):
    twin = make_twin(arms=2)
    for servo in twin._emulators[1].servos:
        servo.put("torque_enable", 1)

    with (
        pytest.raises(TeleopError, match="has torque; support it and release it: soarm release"),
        arms.leader(twin.ports[1], twin.config.calibration, CONFIG),
    ):
        pass


def test_a_twin_with_one_arm_has_no_leader(twin):
    with pytest.raises(TwinError, match="no leader; start it with arms=2"):
        twin.lead(np.zeros(6))


def test_the_safety_filter_remembers_what_was_sent_and_can_forget():
    safety = arms.SafetyFilter(Limits.usual(np.full(6, -100.0), np.full(6, 100.0)), 30)
    at = np.array([0, 0, 30, 60, 0, 30.0])
    first = safety(at + 50, at)

    assert (np.abs(first - at) <= 360 / 30 + 1e-4).all()
    assert safety.clamped == 1
    safety.forget()
    np.testing.assert_allclose(safety(at, at), at)


def run_of(n=60, held=(), late=()):
    """Return a log at 30 Hz with two bus ticks per control tick; the policy wants what was seen one tick ago plus one."""
    records = np.zeros(n, log.record_type(7))
    records["t_s"] = np.arange(n) / 60
    records["control"] = np.arange(n) % 2 == 0
    records["sent"] = 1
    records["q_present"] = np.arange(n)[:, None] / 10 + np.array([0, 0, 10, 60, 0, 30])
    records["q_sent"] = records["q_present"] + 1
    records["objects"] = [0.1, -0.2, 0.0125, 1, 0, 0.15, -0.1]
    records["sent"][list(held)] = 0
    for i in late:
        records["t_s"][i:] += 0.1
    return log.Run(TASK, {"control_hz": 30}, records, 0)


def test_a_log_becomes_frames_at_the_policy_s_rate():
    (piece,) = convert.pieces(run_of())

    assert piece.actions.shape == (30, 6)
    np.testing.assert_allclose(piece.observations[STATE][3], run_of().records["q_present"][6], atol=1e-5)
    np.testing.assert_allclose(piece.actions[3], run_of().records["q_sent"][7], atol=1e-5)


def test_where_nothing_was_sent_or_a_deadline_was_missed_an_episode_ends():
    held = convert.pieces(run_of(held=range(30, 34)))
    late = convert.pieces(run_of(late=[30]))

    assert [len(piece.actions) for piece in held] == [15, 13]
    assert [len(piece.actions) for piece in late] == [15, 15]


def test_a_log_in_which_nothing_was_driven_is_no_episode():
    with pytest.raises(LogError, match="no 10 control periods in a row"):
        convert.pieces(run_of(held=range(60)))
    with pytest.raises(LogError, match="header has control_hz None"):
        convert.pieces(run_of()._replace(header={}))


def test_the_command_makes_a_dataset_from_a_log(tmp_path):
    run = run_of()
    with log.RunLog(tmp_path / "run.log", run.task, run.header) as written:
        for record in run.records:
            written.add(record)
    folder = tmp_path / "dataset"

    assert main(["control", "--from-log", str(tmp_path / "run.log"), "--dataset", str(folder)]) == 0
    assert main(["control", "--from-log", str(tmp_path / "run.log"), "--dataset", str(folder)]) == 0
    dataset = Dataset.open(folder)
    assert dataset.n_episodes == 2
    assert set(dataset.features) == {STATE, ENVIRONMENT_STATE, "action"}


def test_arms_need_their_ports_and_calibrations(tmp_path, capsys):
    assert main(["control", "--follower", "arm", "--leader", "arm", "--dataset", str(tmp_path / "d")]) == 2
    assert "--port, --calibration, --objects, --leader-port, --leader-calibration must be given" in capsys.readouterr().err
