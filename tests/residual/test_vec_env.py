from __future__ import annotations

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from soarm.errors import CheckpointError
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, Observation
from soarm.residual.actor import ResidualActor
from soarm.residual.controller import ResidualController, residual_policy
from soarm.residual.vec_env import BatchVecEnv, ResidualVecEnvWrapper
from soarm.rollout import rollout
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import CameraParams, SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.residual_observation import N_LOOKAHEAD

LAYOUT = TASK.residual_observation


def wrapped(task: ModuleType, n_rows: int = 3, miss: float = 0.4) -> ResidualVecEnvWrapper:
    return ResidualVecEnvWrapper(task.make_env(n_rows), task.Aimer(task.SPEC, miss), task.SPEC, task.SCALE)


def play(env: ResidualVecEnvWrapper, residuals: np.ndarray) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
    """Return every observation and the info of every finished episode."""
    observations, finished = [], []
    for residual in residuals:
        observation, _, dones, infos = env.step(residual)
        observations.append(observation)
        finished += [infos[i] for i in np.flatnonzero(dones)]
    return observations, finished


def test_zero_residual_is_the_base_to_the_bit(task: ModuleType) -> None:
    seeds = range(1000, 1030)
    base = list(rollout(task.AimEnv(3), ChunkedPolicy(task.Aimer(task.SPEC, 0.4), task.SPEC, 3), seeds))
    policy = residual_policy(task.Aimer(task.SPEC, 0.4), ResidualActor((8,), layer_norm=True), task.make_model().spec, 3)
    residual = list(rollout(task.AimEnv(3), policy, seeds))

    assert any(episode.success for episode in base)
    for one, other in zip(base, residual, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        np.testing.assert_array_equal(one.observations[STATE], other.observations[STATE])


def test_zero_residual_in_the_training_environment_is_the_base_to_the_bit(task: ModuleType) -> None:
    inner = task.AimEnv(3)
    executed: list[np.ndarray] = []
    step = inner.step
    inner.step = lambda actions, rows: (executed.append(actions.copy()), step(actions, rows))[1]
    env = ResidualVecEnvWrapper(
        BatchVecEnv(inner, task.SPEC, range(1000, 2000)), task.Aimer(task.SPEC, 0.4), task.SPEC, task.SCALE
    )
    env.reset()
    play(env, np.zeros((40, 3, 6), np.float32))
    other = task.AimEnv(3)
    reference: list[np.ndarray] = []
    step_other = other.step
    other.step = lambda actions, rows: (reference.append(actions.copy()), step_other(actions, rows))[1]
    list(rollout(other, ChunkedPolicy(task.Aimer(task.SPEC, 0.4), task.SPEC, 3), range(1000, 1100)))

    np.testing.assert_array_equal(np.stack(executed), np.stack(reference[:40]))


def test_executed_is_base_plus_scaled_residual(task: ModuleType) -> None:
    env = wrapped(task)
    before = env.reset()
    observation, *_ = env.step(np.full((3, 6), 0.5, np.float32))

    # The fake arm is where it was told to be, so its joints are what was executed.
    np.testing.assert_array_equal(observation[:, :6], before[:, LAYOUT.base_action] + np.float32(0.5) * np.float32(task.SCALE))


def test_terminal_observation_shows_the_old_chunk_and_the_next_one_a_new_chunk(task: ModuleType) -> None:
    env = wrapped(task, n_rows=1, miss=9.0)  # never succeeds: 12 steps, three chunks of 4
    observation = env.reset()
    for _ in range(task.LIMIT):
        observation, _, dones, infos = env.step(np.full((1, 6), 0.1, np.float32))
    terminal = infos[0]["terminal_observation"]
    old_objects, new_objects = terminal[6:13], observation[0, 6:13]

    assert dones[0]
    assert not np.array_equal(old_objects, new_objects)
    assert terminal[LAYOUT.base_action][0] == pytest.approx(100 * old_objects[0] + 9.0, abs=1e-4)
    assert observation[0, LAYOUT.base_action][0] == pytest.approx(100 * new_objects[0] + 9.0, abs=1e-4)
    assert observation[0, LAYOUT.base_action.stop] == 0.0  # sine of the phase: a chunk starts here


def test_phase_and_lookahead_follow_the_chunk(task: ModuleType) -> None:
    env = wrapped(task, n_rows=1, miss=9.0)
    first = env.reset()
    second, *_ = env.step(np.zeros((1, 6), np.float32))
    ahead = first[0, LAYOUT.base_action.stop + 2 :].reshape(N_LOOKAHEAD, 6)

    np.testing.assert_array_equal(ahead[0], second[0, LAYOUT.base_action])
    assert second[0, LAYOUT.base_action.stop] == pytest.approx(np.sin(2 * np.pi / 4))


def test_time_limit_is_truncation_and_success_is_not(task: ModuleType) -> None:
    lost, won = wrapped(task, miss=9.0), wrapped(task, miss=0.0)
    lost.reset()
    won.reset()
    (first_lost, *_), (first_won, *_) = (play(env, np.zeros((13, 3, 6), np.float32))[1] for env in (lost, won))

    assert first_lost["TimeLimit.truncated"] is True
    assert first_lost["is_success"] is False
    assert first_lost["episode"] == {"r": 0.0, "l": task.LIMIT}
    assert first_won["TimeLimit.truncated"] is False
    assert first_won["is_success"] is True
    assert first_won["episode"] == {"r": 1.0, "l": 3}


def test_shorter_time_limit_truncates_and_leaves_success_alone(task: ModuleType) -> None:
    scenes = range(500, 540)
    env = BatchVecEnv(task.AimEnv(2), task.SPEC, scenes, max_steps=5)
    observation = env.reset()
    aims = 100.0 * observation[ENVIRONMENT_STATE][:, 0]
    actions = np.zeros((2, 6), np.float32)
    actions[0, 0], actions[1, 0] = aims[0], aims[1] + 50.0  # the first row succeeds after 3 steps
    ended = {}
    for step in range(1, 6):
        _, _, dones, infos = env.step(actions)
        ended.update({int(i): (step, infos[i]) for i in np.flatnonzero(dones) if int(i) not in ended})

    assert ended[0][0] == 3
    assert ended[0][1]["TimeLimit.truncated"] is False
    assert ended[1][0] == 5
    assert ended[1][1]["TimeLimit.truncated"] is True
    assert ended[1][1]["episode"] == {"r": 0.0, "l": 5}


def test_scenes_are_consecutive_and_no_seed_of_the_algorithm_changes_them(task: ModuleType) -> None:
    inner = task.AimEnv(2)
    env = BatchVecEnv(inner, task.SPEC, range(500, 505))
    env.seed(7)
    env.reset()
    for _ in range(3 * task.LIMIT):
        env.step(np.zeros((2, 6), np.float32))

    assert inner.seeds_seen[:6] == [500, 501, 502, 503, 504, 500]


def test_restored_environments_go_on_to_the_bit(task: ModuleType) -> None:
    residuals = np.random.default_rng(0).uniform(-1, 1, (40, 3, 6)).astype(np.float32)
    whole = wrapped(task)
    whole.reset()
    play(whole, residuals[:17])
    last = play(whole, residuals[17:18])[0][0]
    state = whole.state()
    rest, _ = play(whole, residuals[18:])
    again = wrapped(task)
    again.restore(state, last)
    found, _ = play(again, residuals[18:])

    np.testing.assert_array_equal(np.stack(found), np.stack(rest))


@pytest.mark.usefixtures("rays")
def test_a_base_that_looks_draws_what_it_is_asked_for_and_a_restored_one_nothing_of_what_was(
    task: ModuleType, sim: SimParams, drawn: list[int]
) -> None:
    short = dataclasses.replace(sim.task, time_limit_s=0.5)
    sim = dataclasses.replace(sim, task=short, cameras={"front": CameraParams(24, 16), "wrist": CameraParams(16, 16)})
    spec = dataclasses.replace(task.SPEC, features=sim.spec.features)

    class Watcher:
        def predict_chunks(self, observation: Observation) -> Array:
            bright = observation["observation.images.front"].mean(axis=(1, 2, 3), keepdims=True)[:, 0]
            return np.repeat(observation[STATE][:, None] + bright.astype(np.float32), spec.chunk_size, axis=1)

    def fresh() -> ResidualVecEnvWrapper:
        return ResidualVecEnvWrapper(BatchVecEnv(BatchSim(sim, 2), spec, range(1000, 1100)), Watcher(), spec, task.SCALE)

    residuals = np.random.default_rng(0).uniform(-1, 1, (34, 2, 6)).astype(np.float32)
    whole = fresh()
    whole.reset()
    *_, last = play(whole, residuals[:24])[0]
    assert sum(drawn) == 2 * (1 + 3 + 1 + 2)  # the first observation, every fourth step of 15, those of the next episode
    state = whole.state()
    rest, ended = play(whole, residuals[24:])
    drawn.clear()
    again = fresh()
    again.restore(state, last)
    assert drawn == []
    found, _ = play(again, residuals[24:])

    np.testing.assert_array_equal(np.stack(found), np.stack(rest))
    assert len(ended) == 2


def test_restoring_into_a_changed_simulation_is_refused(task: ModuleType) -> None:
    env = wrapped(task)
    env.reset()
    (*_, last), _ = play(env, np.zeros((3, 3, 6), np.float32))
    state = env.state()
    other = wrapped(task)
    other.venv._env.joints += 1.0  # type: ignore[attr-defined]
    reset = other.venv._env.reset  # type: ignore[attr-defined]
    other.venv._env.reset = lambda rows, seeds: {  # type: ignore[attr-defined]
        key: value + (key == ENVIRONMENT_STATE) for key, value in reset(rows, seeds).items()
    }
    state[0].actions = [[], [], []]

    with pytest.raises(CheckpointError, match="the simulation has changed"):
        other.restore(state, last)


def test_restoring_another_number_of_environments_is_refused(task: ModuleType) -> None:
    env = wrapped(task)
    last = env.reset()

    with pytest.raises(CheckpointError, match="3 environments, this run 2; set n_envs"):
        wrapped(task, n_rows=2).restore(env.state(), last)


def test_controller_acts_like_the_policy_and_forgets_its_chunk_at_an_episode_start(task: ModuleType) -> None:
    spec, base = task.make_model().spec, task.Aimer(task.SPEC, 0.0)
    actor = ResidualActor((8,), layer_norm=True)
    controller, policy = ResidualController(base, actor, spec, 2), residual_policy(base, actor, spec, 2)
    rows = np.arange(2)
    first, second = (
        {STATE: np.zeros((2, 6), np.float32), ENVIRONMENT_STATE: np.full((2, 7), x, np.float32)} for x in (0.1, 0.2)
    )
    policy.reset(rows, [0, 0])

    np.testing.assert_array_equal(controller.predict(first)[0], policy.act(first, rows))
    np.testing.assert_array_equal(controller.predict(second)[0][:, 0], np.float32([10.0, 10.0]))  # still the first chunk
    restarted, _ = controller.predict(second, episode_start=np.array([False, True]))
    np.testing.assert_allclose(restarted[:, 0], [10.0, 20.0], rtol=1e-6)


def test_controller_takes_a_single_observation(task: ModuleType) -> None:
    controller = ResidualController(task.Aimer(task.SPEC, 0.0), ResidualActor((8,), layer_norm=True), task.make_model().spec)
    action, state = controller.predict({STATE: np.zeros(6, np.float32), ENVIRONMENT_STATE: np.full(7, 0.1, np.float32)})

    assert action.shape == (6,)
    assert state is None
