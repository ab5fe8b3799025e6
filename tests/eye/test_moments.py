from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from soarm import kinematics
from soarm.eye.moments import MomentParams, Moments, collect, free_things, scatter, without
from soarm.policies import HOLD_STEPS
from soarm.policy import Array, BatchPolicy, Observation, Rows
from soarm.rollout import StepResult
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.sim.registry import sim_task
from soarm.tasks.registry import TASKS

HOW = MomentParams(n_episodes=3, noise_deg=5.0, as_was=0.25, near=0.5)


@pytest.fixture(scope="module")
def moments(seeing: SimParams, demonstrators: BatchPolicy) -> Moments:
    """Return the moments of three episodes of 30 steps."""
    return collect(BatchSim(seeing.told(), 2), demonstrators, HOW, range(3), np.random.default_rng(0))


def test_every_step_of_every_rollout_is_a_moment(moments: Moments) -> None:
    assert moments.qpos.shape == (90, 13)
    assert moments.mocap_pos.shape == (90, 1, 3)
    assert moments.as_was.all()
    assert moments.stage.min() == 0


def test_pushes_are_drawn_from_one_generator_a_strength_per_episode_first(seeing: SimParams) -> None:
    class Watched(BatchSim):
        executed: list[Array] = []  # noqa: RUF012

        def step(self, actions: Array, rows: Rows) -> StepResult:
            self.executed.append(actions)
            return super().step(actions, rows)

    class Still:
        def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
            """Do nothing."""

        def act(self, observation: Observation, rows: Rows) -> Array:
            return np.full((len(rows), 6), 20.0, np.float32)

    collect(Watched(seeing.told(), 2), Still(), HOW, range(2), np.random.default_rng(9))

    rng = np.random.default_rng(9)
    strength = rng.choice((0.0, 0.5, 1.0), 2)
    for actions in Watched.executed[::HOLD_STEPS]:
        noise = rng.normal(0.0, HOW.noise_deg, (2, 6)).astype(np.float32)
        np.testing.assert_array_equal(actions, (np.float32(20.0) + strength[:, None] * noise).astype(np.float32))


def test_objects_stay_lie_anywhere_or_come_near_the_gripper(moments: Moments, seeing: SimParams) -> None:
    drawn = scatter(moments, 4000, seeing, HOW, np.random.default_rng(1))

    state, objects = drawn.observed(seeing.sim_task)
    away = np.linalg.norm(objects[:, :3] - kinematics.forward(state)[0], axis=1)
    assert drawn.as_was.mean() == pytest.approx(0.25, abs=0.03)
    assert (away < 0.06).mean() > 0.5
    assert (objects[~drawn.as_was, 2] > 0.01249).all(), "no cube was put into the table"
    poses = {tuple(row) for row in np.round(moments.qpos[:, :6], 9)}
    assert all(tuple(row) in poses for row in np.round(drawn.qpos[:100, :6], 9))
    lying = ~drawn.as_was & (np.abs(objects[:, 2] - 0.0125) < 1e-6)
    assert np.ptp(objects[lying, 0]) > 0.3


def test_the_same_seed_scatters_alike_and_changes_no_rollout(moments: Moments, seeing: SimParams) -> None:
    before = moments.qpos.copy()

    first, second = (scatter(moments, 50, seeing, HOW, np.random.default_rng(2)) for _ in range(2))

    np.testing.assert_array_equal(first.qpos, second.qpos)
    np.testing.assert_array_equal(moments.qpos, before)


def test_a_thing_is_taken_out_of_sight_alone(moments: Moments, seeing: SimParams) -> None:
    for thing, changed in zip(seeing.sim_task.task.things, ([2], []), strict=True):
        rest = without(moments, seeing.sim_task, thing)
        _, objects = rest.observed(seeing.sim_task)
        _, whole = moments.observed(seeing.sim_task)
        assert np.flatnonzero((objects != whole).any(axis=0)).tolist() == changed
    assert (rest.mocap_pos[:, 0, 2] < -1.0).all()


@pytest.mark.parametrize("name", TASKS)
def test_the_things_of_every_task_are_bodies_in_their_order(name: str) -> None:
    task = sim_task(name)
    names = [thing.name for thing in free_things(task)]

    assert names == [thing.name for thing in task.task.things][: len(names)]


def test_shares_that_are_more_than_all_are_refused() -> None:
    with pytest.raises(ValueError, match=r"as_was is 0\.7 and near 0\.4; together they are shares of the frames, at most 1"):
        MomentParams(1, 0.0, 0.7, 0.4)
