"""The scripted demonstrator."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm.policy import VectorPolicy
from soarm.rollout import rollout
from soarm.sim.batch_env import BatchSim
from soarm.sim.grasping import GraspParams, Phase
from soarm.sim.params import SimParams
from soarm.sim.pick_place.expert import Expert
from soarm.spec import ENVIRONMENT_STATE


def _run(sim: SimParams, params: GraspParams, seeds: range, n_rows: int) -> list[bool]:
    policy = VectorPolicy([Expert(params, sim.control_hz) for _ in range(n_rows)])
    return [episode.success for episode in rollout(BatchSim(sim, n_rows, n_threads=2), policy, seeds)]


def test_it_solves_every_one_of_a_few_scenes(sim: SimParams, steady: GraspParams) -> None:
    assert all(_run(sim, steady, range(20), n_rows=10))


@pytest.mark.slow
def test_without_noise_it_solves_99_percent_of_500_scenes(sim: SimParams, steady: GraspParams) -> None:
    assert np.mean(_run(sim, steady, range(500), n_rows=50)) >= 0.99


def test_the_same_seed_moves_alike_and_another_does_not(sim: SimParams, steady: GraspParams) -> None:
    shaky = dataclasses.replace(steady, tremor_deg=0.5)
    observation = {key: value[0] for key, value in BatchSim(sim, 1).reset(np.array([0]), [0]).items()}
    expert = Expert(shaky, sim.control_hz)
    tapes = []
    for seed in (1, 1, 2):
        expert.reset(seed)
        tapes.append([expert.act(observation) for _ in range(10)])

    assert np.array_equal(tapes[0], tapes[1])
    assert not np.array_equal(tapes[0], tapes[2])


def test_without_noise_every_seed_moves_alike_in_the_middle_of_its_ranges(sim: SimParams, steady: GraspParams) -> None:
    noisy = dataclasses.replace(steady, speed_m_per_s=(0.1, 0.3), tremor_deg=0.5, grasp_offset_m=0.01, place_offset_m=0.01)
    observation = {key: value[0] for key, value in BatchSim(sim, 1).reset(np.array([0]), [0]).items()}
    expert = Expert(noisy.noiseless(), sim.control_hz)
    tapes = []
    for seed in (1, 2):
        expert.reset(seed)
        tapes.append([expert.act(observation) for _ in range(10)])

    assert noisy.noiseless() == dataclasses.replace(steady, speed_m_per_s=(0.2, 0.2))
    assert np.array_equal(*tapes)


def test_a_cube_taken_away_is_tried_again(sim: SimParams, steady: GraspParams) -> None:
    env, rows = BatchSim(sim, 1), np.array([0])
    seen = {key: value[0] for key, value in env.reset(rows, [3]).items()}
    expert = Expert(steady, sim.control_hz)
    expert.reset(0)
    phases = []
    for _ in range(120):
        if expert.phase is Phase.LIFT:  # somebody moved the cube
            seen[ENVIRONMENT_STATE] = seen[ENVIRONMENT_STATE] + np.float32([0.05, 0, 0, 0, 0, 0, 0])
        phases.append(expert.phase)
        seen = {key: value[0] for key, value in env.step(expert.act(seen)[None], rows).observation.items()}

    assert Phase.APPROACH in phases[phases.index(Phase.LIFT) :]
