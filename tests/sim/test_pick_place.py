"""The environment of pick and place; what holds for every task is in `test_every_task.py`."""

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
from soarm.sim.cubes import yaw4
from soarm.sim.draw import draw_scene
from soarm.sim.env import SimEnv
from soarm.sim.grasping import GraspParams
from soarm.sim.params import SimParams
from soarm.sim.pick_place.expert import Expert
from soarm.spec import ENVIRONMENT_STATE, STATE


def test_the_number_of_rows_changes_no_episode(sim: SimParams, steady: GraspParams) -> None:
    def run(n_rows: int) -> list[np.ndarray]:
        policy = VectorPolicy([Expert(steady, sim.control_hz) for _ in range(n_rows)])
        return [episode.observations[STATE] for episode in rollout(BatchSim(sim, n_rows), policy, range(4))]

    for one, many in zip(run(1), run(3), strict=True):
        assert np.array_equal(one, many)


def test_the_shaped_return_of_success_lacks_only_what_the_start_was_worth(sim: SimParams, steady: GraspParams) -> None:
    params = dataclasses.replace(sim, reward="shaped", shaping_gamma=1.0)
    (episode,) = rollout(BatchSim(params, 1), VectorPolicy([Expert(steady, sim.control_hz)]), [0])

    assert params.weights.success - params.weights.reach < episode.rewards.sum() < params.weights.success


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
