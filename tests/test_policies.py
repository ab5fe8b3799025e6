"""Chunked and residual policies over networks that are plain functions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from soarm import kinematics
from soarm.chunking import Step
from soarm.errors import ObservationError
from soarm.policies import (
    HOLD_STEPS,
    ChunkedPolicy,
    NotingPolicy,
    PushedPolicy,
    ResidualPolicy,
    SceneNoise,
    predict_in_batches,
)
from soarm.policy import Array, Observation, Rows
from soarm.spec import ACTION, ENVIRONMENT_STATE, JOINT_FEATURE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK
from soarm.tasks.residual_observation import N_LOOKAHEAD

LAYOUT = TASK.residual_observation

SPEC = PolicySpec(
    {STATE: JOINT_FEATURE, ENVIRONMENT_STATE: TASK.objects, ACTION: JOINT_FEATURE}, 30, chunk_size=4, n_action_steps=3
)
SCALE = (2.0,) * 6


class Ramp:
    """Predicts the state it sees plus 1, 2, 3, ... degrees."""

    def predict_chunks(self, observation: Observation) -> Array:
        return observation[STATE][:, None, :] + np.arange(1, 5, dtype=np.float32)[None, :, None]


class Constant:
    """Always the same residual; remembers what it saw."""

    def __init__(self, residual: float) -> None:
        self._residual = residual
        self.seen: list[Array] = []

    def predict_residual(self, residual_observation: Array) -> Array:
        self.seen.append(residual_observation)
        return np.full((len(residual_observation), 6), self._residual, np.float32)


def observe(n_rows: int, value: float = 10.0) -> dict[str, Array]:
    objects = np.tile(np.array([0.1, -0.2, 0.0125, 1.0, 0.0, -0.1, -0.25], np.float32), (n_rows, 1))
    return {STATE: np.full((n_rows, 6), value, np.float32), ENVIRONMENT_STATE: objects}


@pytest.mark.parametrize("n_rows", [1, 7, 8, 9, 40])
def test_a_network_is_asked_in_blocks_of_one_size(n_rows: int) -> None:
    shapes = []

    def double(observation: Observation) -> Array:
        shapes.append(observation[STATE].shape)
        return 2 * observation[STATE]

    asked = np.arange(n_rows * 6, dtype=np.float32).reshape(n_rows, 6)
    answer = predict_in_batches(double, {STATE: asked}, 8)

    assert np.array_equal(answer, 2 * asked)
    assert set(shapes) == {(8, 6)}


@pytest.mark.parametrize(("block", "asked"), [(None, [11]), (4, [4, 4, 4])])
def test_a_chunked_policy_may_ask_for_all_rows_at_once(block: int | None, asked: list[int]) -> None:
    shapes = []

    class Counted(Ramp):
        def predict_chunks(self, observation: Observation) -> Array:
            shapes.append(len(observation[STATE]))
            return super().predict_chunks(observation)

    step = ChunkedPolicy(Counted(), SPEC, 11, block=block).advance(observe(11), np.arange(11))

    assert shapes == asked
    np.testing.assert_array_equal(step.action, 11.0)


def test_a_chunked_policy_asks_when_its_chunk_has_run_out() -> None:
    policy = ChunkedPolicy(Ramp(), SPEC, n_rows=1)
    rows = np.array([0])

    actions = [policy.act(observe(1, value), rows)[0, 0] for value in (10.0, 20.0, 30.0, 40.0)]

    assert actions == [11.0, 12.0, 13.0, 41.0]


def test_a_residual_of_zero_does_to_the_bit_what_the_base_does() -> None:
    base = ChunkedPolicy(Ramp(), SPEC, 2)
    residual = ResidualPolicy(ChunkedPolicy(Ramp(), SPEC, 2, N_LOOKAHEAD), Constant(0.0), SCALE)
    rng, rows = np.random.default_rng(0), np.array([0, 1])

    for _ in range(8):
        observation = {**observe(2), STATE: rng.uniform(-150, 150, (2, 6)).astype(np.float32)}
        assert residual.act(observation, rows).tobytes() == base.act(observation, rows).tobytes()


def test_a_residual_is_added_to_the_base_at_its_scale() -> None:
    policy = ResidualPolicy(ChunkedPolicy(Ramp(), SPEC, 1, N_LOOKAHEAD), Constant(0.5), SCALE)

    action = policy.act(observe(1), np.array([0]))

    np.testing.assert_array_equal(action, np.full((1, 6), 12.0, np.float32))


def test_a_residual_sees_the_base_action_where_it_is_said_to_be() -> None:
    model = Constant(0.0)
    policy = ResidualPolicy(ChunkedPolicy(Ramp(), SPEC, 2, N_LOOKAHEAD), model, SCALE)
    rows = np.array([0, 1])

    policy.act(observe(2), rows)
    policy.act(observe(2), rows)

    first, second = model.seen
    assert first.shape == (2, LAYOUT.dim)
    assert first.dtype == np.float32
    np.testing.assert_array_equal(first[:, LAYOUT.base_action], 11.0)
    np.testing.assert_array_equal(second[:, LAYOUT.base_action], 12.0)
    np.testing.assert_array_equal(second[0, -6 * N_LOOKAHEAD :], np.repeat([13.0, 14.0, 14.0], 6))


def test_the_residual_observation_holds_the_geometry_of_the_scene() -> None:
    policy = ChunkedPolicy(Ramp(), SPEC, 1, N_LOOKAHEAD)
    observation = observe(1)

    seen = LAYOUT.compute(observation, policy.advance(observation, np.array([0])))[0]

    tcp = kinematics.forward(observation[STATE])[0][0]
    np.testing.assert_allclose(seen[13:16], tcp, atol=1e-6)
    np.testing.assert_allclose(seen[16:19], [0.1, -0.2, 0.0125] - tcp, atol=1e-6)
    np.testing.assert_allclose(seen[19:21], [-0.2, -0.05], atol=1e-6)
    np.testing.assert_allclose(seen[LAYOUT.blocks["phase"]], [0.0, 1.0], atol=1e-6)


@pytest.mark.parametrize("pan", [-40.0, 0.0, 35.0])
def test_cube_and_bin_look_the_same_to_the_gripper_wherever_the_arm_points(pan: float) -> None:
    state = np.array([[pan, -20.0, 30.0, 60.0, 15.0, 40.0]], np.float32)
    tcp, jaw = kinematics.forward(state)
    yaw = np.arctan2(jaw[0, 1, 0], jaw[0, 0, 0]) + 0.2  # a cube turned by 0.2 rad against the jaw
    outwards = tcp[0, :2] - np.array(kinematics.CHAIN[0][0][:2])
    outwards /= np.linalg.norm(outwards)
    sideways = np.array([-outwards[1], outwards[0]])
    cube = np.concatenate([tcp[0, :2] + 0.03 * outwards - 0.01 * sideways, [0.0125]])
    bin_xy = tcp[0, :2] + 0.1 * sideways
    objects = np.array([[*cube, np.cos(4 * yaw), np.sin(4 * yaw), *bin_xy]], np.float32)
    nothing = Step(state, np.zeros(1, np.float32), np.zeros((1, N_LOOKAHEAD, 6), np.float32))

    seen = LAYOUT.compute({STATE: state, ENVIRONMENT_STATE: objects}, nothing)[0]

    tilt = np.hypot(jaw[0, 0, 0], jaw[0, 1, 0]) ** 4
    np.testing.assert_allclose(seen[LAYOUT.blocks["cube_in_plane"]], [0.03, -0.01, 0.0125 - tcp[0, 2]], atol=1e-5)
    np.testing.assert_allclose(seen[LAYOUT.blocks["bin_in_plane"]], [0.0, 0.1], atol=1e-5)
    np.testing.assert_allclose(seen[LAYOUT.blocks["cube_in_jaw"]], jaw[0].T @ (cube - tcp[0]), atol=1e-5)
    np.testing.assert_allclose(seen[LAYOUT.blocks["cube_turn"]], [tilt * np.cos(0.8), tilt * np.sin(0.8)], atol=1e-5)


def test_actions_stay_inside_the_joint_limits() -> None:
    policy = ChunkedPolicy(Ramp(), SPEC, 1)

    action = policy.act(observe(1, 500.0), np.array([0]))

    assert action[0, 5] == 100.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({STATE: None}, r"the observation has no observation.state"),
        ({STATE: np.zeros((1, 7), np.float32)}, r"observation.state has shape \(1, 7\), allowed is \(B, 6\)"),
        (
            {ENVIRONMENT_STATE: np.full((1, 7), np.nan, np.float32)},
            "environment_state holds values that are not finite",
        ),
    ],
)
def test_an_observation_the_policy_was_not_trained_on_is_refused(change: dict[str, Array | None], message: str) -> None:
    policy = ChunkedPolicy(Ramp(), SPEC, 1)
    observation = {key: value for key, value in {**observe(1), **change}.items() if value is not None}

    with pytest.raises(ObservationError, match=message):
        policy.act(observation, np.array([0]))


def test_a_specification_that_does_not_say_how_to_play_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="how long its chunks are"):
        ChunkedPolicy(Ramp(), PolicySpec(SPEC.features, 30), 1)


class Still:
    """Always the same action."""

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Forget nothing."""

    def act(self, observation: Observation, rows: Rows) -> Array:
        return np.full((len(rows), 6), 50.0, np.float32)


def pushes(n_rows: int, seeds: Sequence[int], steps: int) -> Array:
    """Return the noise on each step's actions, shape (steps, n_rows, 6)."""
    policy, rows = PushedPolicy(Still(), SceneNoise(3.0, n_rows), n_rows), np.arange(n_rows)
    policy.reset(rows, seeds)
    return np.stack([policy.act({}, rows) for _ in range(steps)]) - 50.0


def test_noise_is_held_and_then_drawn_anew() -> None:
    noise = pushes(2, [1, 2], 3 * HOLD_STEPS)

    blocks = noise.reshape(3, HOLD_STEPS, 2, 6)
    assert (blocks == blocks[:, :1]).all()
    assert len(np.unique(blocks[:, 0])) == 3 * 2 * 6
    assert np.std(pushes(1, [0], 400 * HOLD_STEPS)) == pytest.approx(3.0, rel=0.1)


def test_the_noise_of_an_episode_follows_from_its_seed_alone() -> None:
    together, alone = pushes(3, [4, 5, 6], 20), pushes(1, [5], 20)

    np.testing.assert_array_equal(together[:, 1], alone[:, 0])


def test_noise_starts_anew_with_an_episode_and_leaves_other_rows_alone() -> None:
    policy = PushedPolicy(Still(), SceneNoise(3.0, 2), 2)
    policy.reset(np.arange(2), [7, 8])
    before = [policy.act({}, np.arange(2)) for _ in range(3)]
    policy.reset(np.array([0]), [7])
    after = policy.act({}, np.arange(2))

    np.testing.assert_array_equal(after, before[0])
    assert (policy.act({}, np.array([1])) == before[0][1]).all()


def test_notes_are_taken_by_seed_one_per_step() -> None:
    policy = NotingPolicy(Still(), lambda actions, rows: zip(actions[:, 0], rows, strict=True), 2)
    policy.reset(np.arange(2), [21, 22])
    for rows in ([0, 1], [1], [1]):
        policy.act({}, np.array(rows))
    policy.reset(np.array([0]), [23])
    policy.act({}, np.array([0]))

    assert policy.take(21) == [(50.0, 0)]
    assert policy.take(22) == [(50.0, 1)] * 3
    assert policy.take(23) == [(50.0, 0)]
    with pytest.raises(KeyError):
        policy.take(21)
