from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soarm import arm, kinematics
from soarm.errors import ObservationError
from soarm.estimation import FAR_M, NEAR_M, Estimator, Questions, SeeingEnv, told_alone
from soarm.lazy import stack
from soarm.policy import Array, Observation
from soarm.rollout import StepResult
from soarm.spec import ENVIRONMENT_STATE, STATE, TRUE_OBJECTS
from soarm.tasks.registry import TASKS, find

ROOT = Path(__file__).parents[1]


def scenes(name: str, n: int = 40, away_m: float = 0.02) -> tuple[Array, Array]:
    """Return joints and objects, the first thing `away_m` from the gripper point in each row."""
    rng = np.random.default_rng(0)
    task = find(name)
    state = rng.uniform(arm.LOWER, arm.UPPER, (n, 6)).astype(np.float32)
    objects = rng.normal(0.0, 0.2, (n, *task.objects.shape)).astype(np.float32)
    side = rng.normal(size=(n, 3))
    at = task.elements[task.things[0].name]
    objects[:, [at["x"], at["y"], at["z"]]] = kinematics.forward(state)[0] + away_m * side / np.linalg.norm(
        side, axis=1, keepdims=True
    )
    return state, objects


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("away_m", [0.0, 0.02, 0.07, 0.3])
def test_the_right_answers_are_the_objects(name: str, away_m: float) -> None:
    state, objects = scenes(name, away_m=away_m)
    questions = Questions(find(name))

    found, _ = questions.read(state, questions.targets(state, objects))

    np.testing.assert_allclose(found, objects, atol=1e-5)
    assert [answer.name for answer in questions.answers] == [thing.name for thing in find(name).things]


@pytest.mark.parametrize(("away_m", "counts"), [(0.9 * NEAR_M, 1.0), (1.2 * FAR_M, 0.0), ((NEAR_M + FAR_M) / 2, 0.5)])
def test_the_answer_from_the_gripper_takes_over_as_it_comes_near(away_m: float, counts: float) -> None:
    state, objects = scenes("pick_place", away_m=away_m)
    questions = Questions(find("pick_place"))
    cube = questions.answers[0]
    given = questions.targets(state, objects)
    given[:, cube.offset] += 0.001  # a millimetre along each axis of the hand

    found, _ = questions.read(state, given)

    off_m = np.linalg.norm(found[:, :3] - objects[:, :3], axis=1)
    np.testing.assert_allclose(off_m, counts * 0.001 * np.sqrt(3), atol=1e-6)


def test_the_expected_error_is_that_of_the_answer_that_counts() -> None:
    questions = Questions(find("pick_place"))
    for away_m, expected in ((0.01, 0.002), (0.3, 0.03)):
        state, objects = scenes("pick_place", away_m=away_m)
        given = questions.targets(state, objects)
        given[:, questions.answers[0].error] = np.log([0.03, 0.002])

        assert questions.read(state, given)[1][:, 0] == pytest.approx(expected, rel=1e-5)


def test_an_eye_is_told_joints_gripper_point_and_jaw() -> None:
    state, _ = scenes("push")

    pose = kinematics.pose_of(state)

    tcp, jaw = kinematics.forward(state)
    assert pose.dtype == np.float32
    np.testing.assert_array_equal(pose[:, :6], state)
    np.testing.assert_allclose(pose[:, 6:], np.concatenate([tcp, jaw.reshape(-1, 9)], axis=1), atol=1e-6)


class Told:
    """Environments with a picture that holds where the cube is; and an eye that reads it there."""

    task, n_rows, control_hz = find("pick_place"), 2, 30

    def reset(self, rows: Any, seeds: Any) -> Observation:
        return self.seen(len(rows), 1.0)

    def step(self, actions: Array, rows: Any) -> StepResult:
        nothing = np.zeros(len(rows))
        return StepResult(self.seen(len(rows), 2.0), nothing, nothing > 1, nothing > 1, {})

    def seen(self, n: int, value: float) -> Observation:
        truth = np.full((n, 7), value, np.float32)
        picture = np.full((n, 4, 4, 3), 10 * value, np.uint8)
        return {STATE: np.zeros((n, 6), np.float32), ENVIRONMENT_STATE: truth, "observation.images.front": picture}

    def look(self, observation: Observation) -> Array:
        assert set(observation) == {STATE, "observation.images.front"}
        brightness = observation["observation.images.front"].mean(axis=(1, 2, 3))
        return np.repeat(brightness[:, None], Questions(self.task).dim, axis=1).astype(np.float32)


def test_policies_are_told_what_the_eye_says_and_the_truth_stands_apart() -> None:
    told = Told()
    env = SeeingEnv(told, Estimator(told, told.task, ["front"]))
    rows = np.arange(2)

    seen = env.reset(rows, [0, 1]), env.step(np.zeros((2, 6), np.float32), rows).observation

    for value, one in zip((1.0, 2.0), seen, strict=True):
        assert set(one) == {STATE, ENVIRONMENT_STATE, TRUE_OBJECTS, "observation.images.front"}
        np.testing.assert_array_equal(one[TRUE_OBJECTS], np.full((2, 7), value, np.float32))
        np.testing.assert_allclose(one[ENVIRONMENT_STATE], 10 * value)
    assert len(env.reset(np.array([], np.intp), [])[TRUE_OBJECTS]) == 0
    alone = {key: value[0] for key, value in told.seen(1, 2.0).items()}
    np.testing.assert_allclose(told_alone(Estimator(told, told.task, ["front"]), alone)[ENVIRONMENT_STATE], [[20.0] * 7])
    np.testing.assert_array_equal(told_alone(None, alone)[ENVIRONMENT_STATE], [[2.0] * 7])


def test_the_eye_looks_at_what_is_asked_of_it_and_no_more() -> None:
    told, asked = Told(), []

    class Counted(Told):
        def look(self, observation: Observation) -> Array:
            asked.append(len(observation[STATE]))
            return super().look(observation)

    env, rows = SeeingEnv(told, Estimator(Counted(), told.task, ["front"], block=None)), np.arange(2)
    first = env.reset(rows, [0, 1])
    later = env.step(np.zeros((2, 6), np.float32), rows).observation
    assert asked == []

    np.testing.assert_allclose(stack([later[ENVIRONMENT_STATE][1], first[ENVIRONMENT_STATE][0]]), [[20.0] * 7, [10.0] * 7])
    np.testing.assert_allclose(later[ENVIRONMENT_STATE][1:], [[20.0] * 7])
    assert asked == [2]


def test_an_eye_that_answers_with_no_numbers_is_refused_when_it_is_asked() -> None:
    class Blind(Told):
        def look(self, observation: Observation) -> Array:
            return np.nan * super().look(observation)

    observation = SeeingEnv(Told(), Estimator(Blind(), Told.task, ["front"])).reset(np.arange(2), [0, 1])

    with pytest.raises(ObservationError, match="environment_state holds values that are not finite"):
        np.asarray(observation[ENVIRONMENT_STATE])


def test_only_rows_of_an_evaluation_and_the_eye_s_own_room_know_of_the_truth() -> None:
    files = [path for folder in ("soarm", "stages") for path in sorted((ROOT / folder).rglob("*.py"))]
    known = {str(path.relative_to(ROOT)) for path in files if "TRUE_OBJECTS" in path.read_text(encoding="utf-8")}

    assert known == {
        "soarm/sim/batch_env.py",
        "soarm/sim/env.py",
        "soarm/recording.py",
        "soarm/spec.py",
        "soarm/estimation.py",
        "soarm/evaluation/evaluator.py",
        "soarm/deployment.py",
    }
