"""The pick-and-place environments: contract, determinism, single = batched, reward laws."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm.errors import ObservationError
from soarm.policy import VectorPolicy
from soarm.rollout import rollout
from soarm.sim.batch_env import BatchSim
from soarm.sim.cubes import CubePhysics, yaw4
from soarm.sim.draw import draw_scene
from soarm.sim.env import SimEnv
from soarm.sim.grasping import GraspParams
from soarm.sim.params import SimParams
from soarm.sim.pick_place.expert import Expert
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place.stages import Stage

VARIED = CubePhysics((40.0, 60.0), (3.0, 3.5), (0.0, 0.05), (0.8, 1.2), (0.01, 0.03))


@pytest.mark.parametrize("change", [{}, {"reward": "shaped", "physics": VARIED}], ids=["default", "varied physics, shaped"])
def test_batched_rows_are_the_single_environment_to_the_bit(sim: SimParams, change: dict[str, object]) -> None:
    params = dataclasses.replace(sim, **change)
    rows, seeds = np.arange(3), [5, 6, 7]
    batch, single = BatchSim(params, 3, n_threads=2), SimEnv(params)
    rng = np.random.default_rng(0)
    actions = (np.asarray(params.task.home) + rng.uniform(-25, 25, (40, 3, 6))).astype(np.float32)
    first = batch.reset(rows, seeds)
    results = [batch.step(action, rows) for action in actions]
    for i, seed in enumerate(seeds):
        observation, _ = single.reset(seed=seed)
        assert all((observation[key] == first[key][i]).all() for key in observation)
        for action, result in zip(actions[:, i], results, strict=True):
            observation, reward, terminated, truncated, info = single.step(action)

            assert all((observation[key] == result.observation[key][i]).all() for key in observation)
            assert (reward, terminated, truncated) == (result.reward[i], result.terminated[i], result.truncated[i])
            assert all(info[key] == result.info[key][i] for key in result.info)


def test_a_row_does_not_see_what_ran_in_it_before(sim: SimParams) -> None:
    env = BatchSim(dataclasses.replace(sim, physics=VARIED), 2)
    row = np.array([1])
    first = env.reset(row, [11])
    a = [env.step(first[STATE] + 3, row).observation[STATE] for _ in range(10)]
    env.reset(row, [12])
    for _ in range(5):
        env.step(first[STATE] - 20, row)
    env.reset(row, [11])
    b = [env.step(first[STATE] + 3, row).observation[STATE] for _ in range(10)]

    assert np.array_equal(a, b)


def test_the_number_of_rows_changes_no_episode(sim: SimParams, steady: GraspParams) -> None:
    def run(n_rows: int) -> list[np.ndarray]:
        policy = VectorPolicy([Expert(steady, sim.control_hz) for _ in range(n_rows)])
        return [episode.observations[STATE] for episode in rollout(BatchSim(sim, n_rows), policy, range(4))]

    for one, many in zip(run(1), run(3), strict=True):
        assert np.array_equal(one, many)


def test_success_terminates_after_the_hold_and_passes_every_stage(sim: SimParams, steady: GraspParams) -> None:
    (episode,) = rollout(BatchSim(sim, 1), VectorPolicy([Expert(steady, sim.control_hz)]), [3])
    stages = episode.info["stage"]

    assert episode.success
    assert episode.terminated
    assert episode.rewards.sum() == sim.weights.success
    assert set(stages) == set(range(6))
    assert (np.diff(stages) >= 0).all()
    assert np.count_nonzero(stages == Stage.PLACE) >= sim.hold_steps


def test_the_shaped_return_of_success_depends_on_the_start_alone(sim: SimParams, steady: GraspParams) -> None:
    params = dataclasses.replace(sim, reward="shaped", shaping_gamma=1.0)
    episodes = list(rollout(BatchSim(params, 2), VectorPolicy([Expert(steady, sim.control_hz) for _ in range(2)]), range(2)))
    for episode in episodes:
        terms = sum(episode.info[f"reward/{term}"] for term in ("success", "reach", "grasp", "lift", "transport", "place"))

        assert episode.rewards == pytest.approx(terms)
        assert params.weights.success - params.weights.reach < episode.rewards.sum() < params.weights.success
        assert episode.info["shaped_return"][-1] == pytest.approx(episode.rewards.sum())


def test_the_time_limit_truncates(sim: SimParams) -> None:
    params = dataclasses.replace(sim, task=dataclasses.replace(sim.task, time_limit_s=0.2))
    env = SimEnv(params)
    observation, _ = env.reset(seed=0)
    ends = [env.step(observation[STATE])[2:4] for _ in range(6)]

    assert ends == [(False, False)] * 5 + [(False, True)]


@given(seed=st.integers(0, 10**8))
def test_every_scene_keeps_its_promises(sim: SimParams, seed: int) -> None:
    scene = draw_scene(sim, seed)
    radius = math.hypot(scene.cube_xy[0], scene.cube_xy[1] + 0.0452)

    assert sim.task.cube_radius_m[0] - 1e-9 <= radius <= sim.task.cube_radius_m[1] + 1e-9
    assert math.dist(scene.cube_xy, scene.bin_xy) >= sim.task.clearance_m
    assert np.array_equal(scene.qpos, draw_scene(sim, seed).qpos)


@given(yaw=st.floats(-math.pi, math.pi), quarter=st.integers(0, 3))
def test_the_yaw_of_a_flat_cube_is_the_same_after_a_quarter_turn(yaw: float, quarter: int) -> None:
    angle = yaw + quarter * math.pi / 2
    cosine, sine = yaw4((math.cos(angle / 2), 0.0, 0.0, math.sin(angle / 2)))

    assert (cosine, sine) == pytest.approx((math.cos(4 * yaw), math.sin(4 * yaw)))


def test_delayed_servos_follow_later(sim: SimParams) -> None:
    moved = []
    for latency_s in (0.0, 0.05):
        physics = dataclasses.replace(sim.physics, latency_s=(latency_s, latency_s))
        env = SimEnv(dataclasses.replace(sim, physics=physics))
        start = env.reset(seed=0)[0][STATE]
        moved.append(env.step(start + np.float32([20, 0, 0, 0, 0, 0]))[0][STATE][0] - start[0])

    assert moved[0] > 1.0
    assert abs(moved[1]) < 0.01


@pytest.mark.parametrize(
    ("action", "message"),
    [(np.full(6, np.nan, np.float32), "action holds values that are not finite"), (np.zeros(5, np.float32), r"shape \(5,\)")],
)
def test_an_unusable_action_is_refused(sim: SimParams, action: np.ndarray, message: str) -> None:
    env = SimEnv(sim)
    env.reset(seed=0)

    with pytest.raises(ObservationError, match=message):
        env.step(action)


def test_step_before_reset_is_refused(sim: SimParams) -> None:
    with pytest.raises(ObservationError, match="before reset"):
        SimEnv(sim).step(np.zeros(6, np.float32))


def test_a_batched_nan_is_refused_and_nothing_moves(sim: SimParams) -> None:
    env = BatchSim(sim, 2)
    rows = np.arange(2)
    before = env.reset(rows, [0, 1])
    actions = before[STATE].copy()
    actions[1, 2] = np.inf

    with pytest.raises(ObservationError, match=r"action .* at \[\(1, 2\)\]"):
        env.step(actions, rows)
    assert env.step(before[STATE], rows).observation[ENVIRONMENT_STATE][:, :2] == pytest.approx(
        before[ENVIRONMENT_STATE][:, :2], abs=1e-4
    )
