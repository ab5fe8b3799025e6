"""What holds for every task of soarm/tasks in the simulator: contract, single = batched, reward laws, its demonstrator."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from soarm import params as params_file
from soarm.policy import VectorPolicy
from soarm.recording import RecordParams
from soarm.rollout import Episode, rollout
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.sim.env import SimEnv
from soarm.sim.observation_error import ObservationErrorParams
from soarm.sim.params import SimParams
from soarm.spec import STATE
from soarm.tasks.registry import TASKS

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


class OfTask(NamedTuple):
    """A task's parameters in params.yaml, its demonstrator without noise."""

    sim: SimParams
    expert: Any

    def demonstrate(self, sim: SimParams, seeds: range, n_rows: int) -> list[Episode]:
        policy = VectorPolicy([sim.sim_task.expert(self.expert, sim.control_hz) for _ in range(n_rows)])
        return list(rollout(BatchSim(sim, n_rows, n_threads=2), policy, seeds))


@pytest.fixture(scope="module", params=TASKS)
def task(request: pytest.FixtureRequest) -> OfTask:
    """Return what params.yaml says of each task there is."""
    loaded = params_file.load(PARAMS_FILE, request.param)
    return OfTask(loaded.section("sim", SimParams), loaded.section("record", RecordParams).expert.noiseless())


def varied(sim: SimParams) -> SimParams:
    """Return the environment with the shaped reward and every physics parameter a range."""
    ranges = {name: (0.8 * low, 1.2 * high) for name, (low, high) in vars(sim.physics).items()}
    ranges |= {"latency_s": (0.0, 0.05), "zero_deg": (-2.0, 2.0), "backlash_deg": (0.0, 1.0)}
    return dataclasses.replace(sim, reward="shaped", physics=dataclasses.replace(sim.physics, **ranges))


def as_a_servo(sim: SimParams) -> SimParams:
    """Return the varied environment with the motor's law, and with poses that are told wrongly, late and rarely."""
    seen = ObservationErrorParams(
        offset_m=(0.0, 0.005),
        jitter_m=(0.0, 0.002),
        offset_deg=(0.0, 5.0),
        jitter_deg=(0.0, 2.0),
        period_s=(0.0, 0.1),
        delay_s=(0.0, 0.1),
        dropout=(0.0, 0.5),
        hidden_m=(0.0, 0.1),
    )
    servos = dataclasses.replace(sim.servos, law="either", zero_deg=(0.5, 0.0, -0.5, 0.0, 0.0, 1.0))
    return dataclasses.replace(varied(sim), servos=servos, observation_error=seen)


@pytest.mark.parametrize("change", [lambda sim: sim, varied, as_a_servo], ids=["default", "varied, shaped", "motor, errors"])
def test_batched_rows_are_the_single_environment_to_the_bit(task: OfTask, change: Any) -> None:
    params = change(task.sim)
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


def test_a_row_does_not_see_what_ran_in_it_before(task: OfTask) -> None:
    env = BatchSim(varied(task.sim), 2)
    row = np.array([1])
    first = env.reset(row, [11])
    a = [env.step(first[STATE] + 3, row).observation[STATE] for _ in range(10)]
    env.reset(row, [12])
    for _ in range(5):
        env.step(first[STATE] - 20, row)
    env.reset(row, [11])
    b = [env.step(first[STATE] + 3, row).observation[STATE] for _ in range(10)]

    assert np.array_equal(a, b)


def test_its_demonstrator_passes_every_stage_and_is_rewarded_once(task: OfTask) -> None:
    for episode in task.demonstrate(task.sim, range(3, 5), n_rows=2):
        stages = episode.info["stage"]

        assert episode.success
        assert episode.terminated
        assert episode.rewards.sum() == task.sim.weights.success
        assert set(stages) == set(task.sim.sim_task.task.stages)
        assert (np.diff(stages) >= 0).all()
        assert np.count_nonzero(stages == max(stages)) >= task.sim.hold_steps


def test_the_shaped_return_of_success_depends_on_the_start_alone(task: OfTask) -> None:
    params = dataclasses.replace(task.sim, reward="shaped", shaping_gamma=1.0)
    terms = params.sim_task.task.terms
    for episode in task.demonstrate(params, range(2), n_rows=2):
        parts = sum(episode.info[f"reward/{term}"] for term in ("success", *terms))
        most = sum(getattr(params.weights, term) for term in terms)

        assert episode.rewards == pytest.approx(parts)
        assert params.weights.success - most < episode.rewards.sum() < params.weights.success
        assert episode.info["shaped_return"][-1] == pytest.approx(episode.rewards.sum())


@pytest.mark.slow
def test_without_noise_its_demonstrator_solves_98_percent_of_300_scenes(task: OfTask) -> None:
    solved = [episode.success for episode in task.demonstrate(task.sim, scene_seeds("test")[:300], n_rows=50)]

    assert np.mean(solved) >= 0.98
