from __future__ import annotations

import dataclasses
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from soarm.kinematics import forward
from soarm.sim.batch_env import BatchSim
from soarm.sim.observation_error import ObjectTracker, ObservationErrorParams
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE, TRUE_OBJECTS
from soarm.tasks.pick_place import TASK

ROWS = np.arange(2)
STAY = np.array([[0, 0, 5, 90, -90, 30]] * 2, np.float32)
NONE = ObservationErrorParams.none()
SOME = {"offset_m": 0.002, "jitter_m": 0.001, "offset_deg": 3.0, "jitter_deg": 1.0}
LYING = np.array([[0.0, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.15]], np.float32)
FAR = np.array([[0.0, -0.1, 0.2]])


def wrong(**values: float) -> ObservationErrorParams:
    return dataclasses.replace(NONE, **{name: (value, value) for name, value in values.items()})


def erring(sim: SimParams, **values: float) -> BatchSim:
    return BatchSim(dataclasses.replace(sim, observation_error=wrong(**values)), 2)


def told(env: BatchSim, n_steps: int = 1, seeds: tuple[int, int] = (4, 5)) -> list[np.ndarray]:
    """Return what is wrong at the start and after each step, shape (2, 7) each."""
    seen = [env.reset(ROWS, seeds), *(env.step(STAY, ROWS).observation for _ in range(n_steps))]
    return [one[ENVIRONMENT_STATE] - one[TRUE_OBJECTS] for one in seen]


def along(xs_m: list[float], **values: float) -> list[float]:
    """Return where a cube is told to be along x that moves through these places, one per control step at 10 Hz."""
    tracker, row = ObjectTracker(wrong(**values), TASK, 1, 10), np.zeros(1, np.intp)
    places = [LYING + np.float32([x, 0, 0, 0, 0, 0, 0]) for x in xs_m]
    seen = [tracker.start(row, [3], places[0]), *(tracker.follow(row, place, FAR) for place in places[1:])]
    return [round(float(one[0, 0]), 3) for one in seen]


def test_poses_are_wrong_by_an_offset_that_stays_and_a_jitter_that_does_not(sim: SimParams) -> None:
    first, *_, last = told(erring(sim, offset_m=0.002, offset_deg=3.0), 3)
    assert np.abs(first[:, [0, 1, 2, 5, 6]]).min() > 0
    np.testing.assert_allclose(first[:, [0, 1, 2, 5, 6]], last[:, [0, 1, 2, 5, 6]], atol=1e-6)

    first, *_, last = told(erring(sim, jitter_m=0.001, jitter_deg=1.0), 3)
    assert np.abs(first - last).min(axis=0)[[0, 1, 2, 5, 6]].max() > 0


def test_a_yaw_that_is_wrong_is_still_a_yaw_and_by_so_much(sim: SimParams) -> None:
    seen = erring(sim, offset_deg=5.0).reset(ROWS, (1, 2))

    turned, right = (seen[key][:, 3] + 1j * seen[key][:, 4] for key in (ENVIRONMENT_STATE, TRUE_OBJECTS))
    np.testing.assert_allclose(np.abs(turned), np.abs(right), atol=1e-5)
    by_deg = np.degrees(np.angle(turned / right)) / 4
    assert 0.05 < np.abs(by_deg).min() <= np.abs(by_deg).max() < 20
    np.testing.assert_array_equal(seen[ENVIRONMENT_STATE][:, :3], seen[TRUE_OBJECTS][:, :3])


def test_the_errors_of_an_episode_follow_from_its_seed_whatever_runs_beside_it(sim: SimParams) -> None:
    how: dict[str, Any] = SOME | {"period_s": 0.1, "delay_s": 0.066, "dropout": 0.5, "hidden_m": 0.05}
    env = erring(sim, **how)
    first, again, beside = told(env, 9), told(env, 9), told(erring(sim, **how), 9, (9, 5))

    for one, two, three in zip(first, again, beside, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one[1], three[1])


def test_nothing_is_told_to_lie_under_the_table() -> None:
    tracker, row = ObjectTracker(wrong(jitter_m=0.05), TASK, 1, 10), np.zeros(1, np.intp)
    tracker.start(row, [0], LYING)
    heights = [float(tracker.follow(row, LYING, FAR)[0, 2]) for _ in range(50)]

    assert min(heights) == 0.0
    assert max(heights) > 0.05


def test_joints_are_told_as_they_are(sim: SimParams) -> None:
    seen = erring(sim, **SOME).reset(ROWS, (4, 5))

    np.testing.assert_array_equal(seen[STATE], BatchSim(sim, 2).reset(ROWS, (4, 5))[STATE])


def test_a_range_draws_another_size_for_every_episode(sim: SimParams) -> None:
    error = dataclasses.replace(NONE, offset_m=(0.0, 0.01))
    env = BatchSim(dataclasses.replace(sim, observation_error=error), 1)
    row = np.zeros(1, np.intp)

    sizes = []
    for seed in range(60):
        seen = env.reset(row, [seed])
        sizes.append(np.std((seen[ENVIRONMENT_STATE] - seen[TRUE_OBJECTS])[0, [0, 1, 2, 5, 6]]))

    assert 0.003 < np.mean(sizes) < 0.006
    assert min(sizes) < 0.001 < 0.008 < max(sizes)


def test_a_late_tracker_tells_where_things_were() -> None:
    assert along([0.0, 0.1, 0.2, 0.3, 0.4], delay_s=0.2) == [0.0, 0.0, 0.0, 0.1, 0.2]


def test_a_slow_tracker_tells_the_same_until_it_looks_again() -> None:
    seen = along([round(0.1 * i, 1) for i in range(8)], period_s=0.3)

    assert len(set(seen)) == 3 + (seen[1] != seen[0])
    assert all(later in (earlier, round(0.1 * i, 1)) for i, (earlier, later) in enumerate(pairwise(seen), 1))


def test_a_look_that_finds_nothing_tells_where_a_thing_was_seen_last() -> None:
    seen = along([0.01 * i for i in range(100)], dropout=0.5)

    kept = sum(later == earlier for earlier, later in pairwise(seen))
    assert 35 < kept < 65


def test_a_hand_hides_what_lies_under_it_and_knows_what_it_holds() -> None:
    tracker, row, near = (
        ObjectTracker(wrong(hidden_m=0.04), TASK, 1, 10),
        np.zeros(1, np.intp),
        LYING[:, :3].astype(np.float64),
    )
    tracker.start(row, [0], LYING)
    pushed, lifted = LYING + np.float32([0.01, 0, 0, 0, 0, 0, 0]), LYING + np.float32([0.01, 0, 0.02, 0, 0, 0, 0])

    np.testing.assert_array_equal(tracker.follow(row, pushed, near), LYING)
    np.testing.assert_array_equal(tracker.follow(row, lifted, near), lifted)
    np.testing.assert_array_equal(tracker.follow(row, pushed, FAR), pushed)


def test_where_an_eye_tells_the_simulator_does_not_err(sim: SimParams) -> None:
    eye = dataclasses.replace(sim, objects_from="eye", observation_error=wrong(**SOME), cameras={"front": None})

    assert not eye.tells_wrongly
    assert eye.told().observation_error.is_none
    assert dataclasses.replace(eye, objects_from="simulator").told().tells_wrongly


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(ObservationErrorParams)])
def test_an_error_is_none_only_if_nothing_is_wrong(name: str) -> None:
    assert NONE.is_none
    assert not dataclasses.replace(NONE, **{name: (0.0, 0.1)}).is_none


def test_the_hand_is_where_the_gripper_point_is(sim: SimParams) -> None:
    """The batch hands the tracker gripper points of the world; `hidden_m` is measured from there."""
    env = erring(sim, hidden_m=5.0)
    env.reset(ROWS, (4, 5))
    seen = env.step(STAY, ROWS).observation

    far_m = [np.linalg.norm(forward(q)[0] - at) for q, at in zip(seen[STATE], seen[TRUE_OBJECTS][:, :3], strict=True)]
    assert max(far_m) < 0.5
    np.testing.assert_allclose(seen[ENVIRONMENT_STATE], seen[TRUE_OBJECTS], atol=1e-3)
