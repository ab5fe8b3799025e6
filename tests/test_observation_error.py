from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from soarm.observation_error import ErringEnv, ObservationError
from soarm.sim.batch_env import BatchSim
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE, TRUE_OBJECTS

ROWS = np.arange(2)
STAY = np.array([[0, 0, 5, 90, -90, 30]] * 2, np.float32)
SOME = ObservationError(offset_m=0.002, jitter_m=0.001, offset_deg=3.0, jitter_deg=1.0)


def told(env: ErringEnv, n_steps: int = 1, seeds: tuple[int, int] = (4, 5)) -> list[np.ndarray]:
    """Return what is wrong at the start and after each step, shape (2, 7) each."""
    seen = [env.reset(ROWS, seeds), *(env.step(STAY, ROWS).observation for _ in range(n_steps))]
    return [one[ENVIRONMENT_STATE] - one[TRUE_OBJECTS] for one in seen]


def test_poses_are_wrong_by_an_offset_that_stays_and_a_jitter_that_does_not(sim: SimParams) -> None:
    still, shaking = (dataclasses.replace(SOME, **{f"{name}_m": 0.0, f"{name}_deg": 0.0}) for name in ("jitter", "offset"))

    first, *_, last = told(ErringEnv(BatchSim(sim, 2), still), 3)
    assert np.abs(first[:, [0, 1, 2, 5, 6]]).min() > 0
    np.testing.assert_allclose(first[:, [0, 1, 2, 5, 6]], last[:, [0, 1, 2, 5, 6]], atol=1e-6)

    first, *_, last = told(ErringEnv(BatchSim(sim, 2), shaking), 3)
    assert np.abs(first - last).min(axis=0)[[0, 1, 2, 5, 6]].max() > 0


def test_a_yaw_that_is_wrong_is_still_a_yaw_and_by_so_much(sim: SimParams) -> None:
    env = ErringEnv(BatchSim(sim, 2), ObservationError(0.0, 0.0, 5.0, 0.0))

    seen = env.reset(ROWS, (1, 2))

    wrong, right = (seen[key][:, 3] + 1j * seen[key][:, 4] for key in (ENVIRONMENT_STATE, TRUE_OBJECTS))
    np.testing.assert_allclose(np.abs(wrong), np.abs(right), atol=1e-5)
    turned = np.degrees(np.angle(wrong / right)) / 4
    assert 0.05 < np.abs(turned).min() <= np.abs(turned).max() < 20
    np.testing.assert_array_equal(seen[ENVIRONMENT_STATE][:, :3], seen[TRUE_OBJECTS][:, :3])


def test_the_errors_of_an_episode_follow_from_its_seed_whatever_runs_beside_it(sim: SimParams) -> None:
    env = ErringEnv(BatchSim(sim, 2), SOME)
    first, again, beside = told(env, 2), told(env, 2), told(ErringEnv(BatchSim(sim, 2), SOME), 2, (9, 5))

    for one, two, three in zip(first, again, beside, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[1], three[1])


def test_joints_are_told_as_they_are(sim: SimParams) -> None:
    seen = ErringEnv(BatchSim(sim, 2), SOME).reset(ROWS, (4, 5))

    np.testing.assert_array_equal(seen[STATE], BatchSim(sim, 2).reset(ROWS, (4, 5))[STATE])


@pytest.mark.parametrize("name", ["offset_m", "jitter_m", "offset_deg", "jitter_deg"])
def test_an_error_is_none_only_if_nothing_is_wrong(name: str) -> None:
    nothing = ObservationError(0.0, 0.0, 0.0, 0.0)

    assert nothing.is_none
    assert not dataclasses.replace(nothing, **{name: 0.1}).is_none
