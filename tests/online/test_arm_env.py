"""The arm as an environment, on the twin in lockstep: episodes, faults, a person with keys, and Stable-Baselines3."""

from __future__ import annotations

import dataclasses
from contextlib import ExitStack
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from stable_baselines3 import TD3

import soarm.envs  # noqa: F401 - registers
from soarm import params as params_file
from soarm.envs.interface import Interface
from soarm.errors import ObservationError, OnlineError, ParamsError
from soarm.online.arm_env import ArmEnv
from soarm.online.arm_training import ArmTraining, taking_over
from soarm.online.intervention import ByHand, TypedKeys
from soarm.online.make import ArmOptions, make, twin_cell
from soarm.online.operator import Judgement, Person, TwinOperator, draw_places
from soarm.recording import RecordParams
from soarm.residual.td3bc import ResidualTD3BC
from soarm.runtime.objects import on_the_table
from soarm.runtime.plausible import require_plausible
from soarm.sim.pick_place.expert import Expert
from soarm.spec import as_features
from soarm.tasks.pick_place import TASK
from soarm.teleop.teleoperator import PolicyTeleoperator
from soarm.twin.faults import Fault
from soarm.twin.twin_config import TwinConfig


def expert():
    section = params_file.load(params_file.packaged(), "pick_place").section("record", RecordParams)
    return Expert(section.expert.noiseless(), 30)


def play(env, policy, seed, most=400):
    """Run an episode and return its steps, the last reward, how it ended and the last info."""
    observation, _ = env.reset(seed=seed)
    policy.reset(seed)
    for n in range(1, most + 1):
        observation, reward, terminated, truncated, info = env.step(policy.act(as_features(observation)))
        if terminated or truncated:
            return n, reward, terminated, truncated, info
    raise AssertionError("it did not end")


@pytest.fixture
def cell(sim):
    with twin_cell(sim) as cell:
        yield cell


@pytest.fixture
def env(sim, cell):
    made = ArmEnv(Interface(params=sim), cell)
    yield made
    made.close()


def test_gymnasium_makes_it_by_its_name_and_the_demonstrator_gets_its_reward_there():
    env = gymnasium.make("SoArm/Arm-v0", port="twin")
    n, reward, terminated, truncated, info = play(env, expert(), 5)
    env.close()

    assert (reward, terminated, truncated, info["is_success"]) == (1.0, True, False, True)
    assert 60 < n < 250
    assert env.spec.max_episode_steps == 300


def test_a_seed_gives_the_same_episode_again(env):
    first, second = (env.reset(seed=seed)[0] for seed in (3, 4))
    again = env.reset(seed=3)[0]

    assert all(np.array_equal(first[key], again[key]) for key in first)
    assert not np.array_equal(first["environment_state"], second["environment_state"])


def test_what_was_executed_is_said_as_the_safety_chain_cut_it(env):
    observation, _ = env.reset(seed=0)
    far = observation["agent_pos"] + np.array([90, 0, 0, 0, 0, 0], np.float32)
    _, _, _, _, info = env.step(far)

    assert 0 < info["executed"][0] - observation["agent_pos"][0] < 10
    np.testing.assert_allclose(info["executed"][1:], observation["agent_pos"][1:], atol=0.2)


def test_the_time_limit_truncates(sim, cell):
    env = ArmEnv(Interface(params=sim, time_limit_s=0.2), cell)
    observation, _ = env.reset(seed=0)
    ends = [env.step(observation["agent_pos"])[2:4] for _ in range(6)]

    assert ends == [(False, False)] * 5 + [(False, True)]
    with pytest.raises(ObservationError, match="call reset first"):
        env.step(observation["agent_pos"])


def test_an_arm_that_stops_truncates_the_episode_and_the_next_one_runs(env, cell):
    cell.operator.twin.inject(Fault("overload", servo_id=6, after_writes=20))
    _, reward, terminated, truncated, info = play(env, expert(), 5)
    after = play(env, expert(), 6)

    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "OVERLOAD" in info["stopped"]
    assert after[2]


def test_a_cable_that_was_pulled_ends_the_episode_and_the_next_one_runs_when_it_is_back(env, cell):
    observation, _ = env.reset(seed=5)
    cell.operator.twin.unplug()
    _, reward, terminated, truncated, info = env.step(observation["agent_pos"])
    cell.operator.twin.replug()
    after = play(env, expert(), 6)

    assert (reward, terminated, truncated) == (0.0, False, True)
    assert "stopped" in info
    assert after[2]


def test_commands_may_be_sent_more_often_than_actions_are_asked_for(sim):
    with twin_cell(dataclasses.replace(sim)) as cell:
        cell.bus_hz = 60
        env = ArmEnv(Interface(params=sim), cell)
        env.reset(seed=0)
        before = cell.operator.twin.goal_writes()
        env.step(np.array(sim.task.home, np.float32))
        env.step(np.array(sim.task.home, np.float32))

        assert cell.operator.twin.goal_writes() - before == 4
        env.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": "/dev/nothing"}, "needs calibration="),
        ({"port": "twin", "reward": "loud"}, "reward is 'loud'; allowed are"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    with pytest.raises(ParamsError, match=message):
        make(**options)


# A person at the table: the twin moves, and keys say what a person would.


def attended(sim, cell, keys):
    said, typed = [], iter(keys)
    cell.operator = Person(sim, lambda: next(typed, ""), None, confirms=True, say=said.append)
    return ArmEnv(Interface(params=sim), cell), said


def test_a_person_is_told_where_things_go_while_the_arm_is_parked_and_starts_with_enter(sim, cell):
    env, said = attended(sim, cell, ["", "", "\n"])
    poses = []
    cell.beat = lambda: poses.append(cell.arm.seen.q.copy())
    observation, _ = env.reset(seed=11)
    places = draw_places(sim, 11)

    assert "put the things where they start" in said[0]
    assert places["cube"].words() in said[0]
    np.testing.assert_allclose(observation["environment_state"][:2], places["cube"][:2], atol=1e-6)
    assert min(np.abs(np.array(poses) - np.array(cell.arm.config.park))[:, 1:3].max(axis=1)) < 3.0
    np.testing.assert_allclose(observation["agent_pos"], sim.task.home, atol=3.0)
    env.close()


@pytest.mark.parametrize(("key", "reward", "discarded"), [("y", 1.0, False), ("n", 0.0, False), ("x", 0.0, True)])
def test_a_key_ends_an_episode_and_says_how(sim, cell, key, reward, discarded):
    env, _ = attended(sim, cell, ["\n", "", "", key])
    observation, _ = env.reset(seed=11)
    ends = [env.step(observation["agent_pos"]) for _ in range(3)]

    assert [end[1] for end in ends] == [0.0, 0.0, reward]
    assert [end[2] or end[3] for end in ends] == [False, False, True]
    assert ends[-1][4]["discarded"] is discarded


def test_when_the_time_is_up_somebody_is_asked(sim, cell):
    env, said = attended(sim, cell, ["\n", *[""] * 6, "", "q", "y"])
    env._interface = Interface(params=sim, time_limit_s=0.2)
    observation, _ = env.reset(seed=11)
    ends = [env.step(observation["agent_pos"]) for _ in range(6)]

    assert ends[-1][1:4] == (1.0, True, False)
    assert "the episode is over; is it true that the cube lies in the bin?" in said[-1]


def test_a_stop_while_somebody_is_waited_for_ends_it(sim, cell):
    env, _ = attended(sim, cell, [])
    cell.stop = lambda: True

    with pytest.raises(OnlineError, match="somebody said stop"):
        env.reset(seed=11)


@pytest.mark.parametrize("seed", range(5))
def test_things_lie_where_the_runtime_believes_that_they_can(sim, seed):
    places = draw_places(sim, seed)

    require_plausible(TASK, on_the_table(TASK, places), "drawn")
    assert np.hypot(places["cube"].x - places["bin"].x, places["cube"].y - places["bin"].y) >= 0.11
    assert -45 <= places["cube"].yaw_deg <= 45


# Interventions.


def test_a_hand_takes_over_without_a_jump_and_hands_back(sim, cell):
    wanted = iter([False] * 3 + [True] * 5 + [False] * 3)
    hand = PolicyTeleoperator(expert(), 5)
    cell.intervention = ByHand(hand, lambda: next(wanted))
    env = ArmEnv(Interface(params=sim), cell)
    observation, _ = env.reset(seed=5)
    executed, by_hand = [observation["agent_pos"]], []
    for _ in range(11):
        observation, _, _, _, info = env.step(observation["agent_pos"])
        executed.append(info["executed"])
        by_hand.append(info["intervention"])

    assert by_hand == [False] * 3 + [True] * 5 + [False] * 3
    assert np.abs(np.diff(executed, axis=0)).max() < 12.0
    env.close()


def test_keys_of_one_terminal_serve_judge_and_hand():
    typed = iter([" ", "y", "", " ", "w"])
    keys = TypedKeys(lambda: next(typed), held=type("Held", (), {"hear": lambda self, text: None})())
    seen = [(keys(), keys.by_hand) for _ in range(5)]

    assert seen == [(" ", True), ("y", True), ("", True), (" ", False), ("w", True)]


def test_a_person_says_how_an_episode_ended_by_the_first_key_that_means_something(sim):
    person = Person(sim, lambda: "awy n", None, confirms=True)

    assert person.said() is Judgement.SUCCESS


# Learners.


def test_td3_of_stable_baselines3_learns_on_it():
    env = gymnasium.make("SoArm/Arm-v0", port="twin", normalize_actions=True, time_limit_s=1.0)
    model = TD3("MultiInputPolicy", env, learning_starts=10, batch_size=8, policy_kwargs={"net_arch": [8]}, device="cpu")
    model.learn(40)
    env.close()

    assert model.replay_buffer.size() == 40
    assert model.replay_buffer.dones.sum() == 1


def test_the_residual_learns_on_it_and_remembers_what_was_executed(residual_zip):
    env = gymnasium.make("SoArm/Arm-v0", port="twin", time_limit_s=1.0)
    model = ResidualTD3BC.load(residual_zip, env=env, device="cpu")
    model.learn(40, log_interval=None)
    buffer = model.replay_buffer
    env.close()

    assert buffer.size() == 40
    base = buffer.observations[:40, 0, model.policy.critic.sight.base_action]
    executed = base + buffer.actions[:40, 0] * 5.0
    speed = np.abs(np.diff(executed[:29], axis=0)).max() * 30
    assert speed <= 361.0  # the safety chain's: the untrained base asks for more


def test_a_twin_of_the_motor_s_law_runs_too(sim):
    with twin_cell(sim, TwinConfig(servo_model="sts3215")) as cell:
        env = ArmEnv(Interface(params=sim), cell)
        end = play(env, expert(), 5)
        env.close()

    assert end[0] > 30


def test_an_arm_behind_a_port_needs_its_calibration():
    with pytest.raises(ParamsError, match="soarm calibrate"):
        ArmOptions("/dev/ttyACM0")


def test_the_keyboard_takes_over_at_the_first_key_that_moves_the_arm(sim, cell):
    typed = iter(["", "", *["d"] * 20, " "])
    training = ArmTraining(Path("out"), ArmOptions("twin"), Path("zip"), None, False, 1, 0, leader="keyboard")
    with ExitStack() as stack:
        keys, cell.intervention = taking_over(training, lambda: next(typed, ""), 30, stack)
        cell.operator = TwinOperator(cell.operator.twin, cell.now, keys)
        env = ArmEnv(Interface(params=sim), cell)
        observation, _ = env.reset(seed=5)
        start, by_hand, turned = observation["agent_pos"], [], []
        for _ in range(26):
            observation, _, _, _, info = env.step(start)
            by_hand.append(info["intervention"])
            turned += [info["executed"][0] - start[0]] if info["intervention"] else []

    assert by_hand[:2] == [False, False]
    assert by_hand.count(True) == 20
    assert by_hand[-1] is False
    assert abs(turned[-1]) > 3.0  # to the right: the shoulder turned
