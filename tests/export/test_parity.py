import dataclasses

import numpy as np
import pytest

from soarm import arm
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.errors import ParityError
from soarm.export.parity import Parity, measure, play, recorded
from soarm.policies import ChunkedPolicy
from soarm.runtime.bundle import Bundle
from soarm.runtime.onnx_policy import load_policy
from soarm.spec import ENVIRONMENT_STATE, STATE


class Off:
    """A network that is off by a little at one joint."""

    def __init__(self, network, joint, by):
        self._network, self._joint, self._by = network, arm.JOINT_NAMES.index(joint), by

    def predict_chunks(self, observation):
        chunks = self._network.predict_chunks(observation).copy()
        chunks[..., self._joint] += self._by
        return chunks

    def predict_residual(self, residual_observation):
        residual = self._network.predict_residual(residual_observation).copy()
        residual[..., self._joint] += self._by
        return residual


def test_an_exported_policy_agrees_with_the_trained_one(bundle, trained, episodes):
    parity = measure(bundle, trained.act, trained.residual, trained.spec, episodes)

    parity.require(1e-3)
    assert list(parity.gaps) == ["chunk", "base_action", "residual", "executed_action"]
    assert parity.n_observations == 56
    assert 0 < parity.max_abs_deg < 1e-3


def test_the_exported_residual_moves_the_arm(bundle, trained, episodes):
    """Parity of a residual that is zero everywhere would prove nothing."""
    difference = play(load_policy(bundle, 3, "residual"), episodes) - play(load_policy(bundle, 3, "base"), episodes)

    assert np.abs(difference).max() > 1.0


@pytest.mark.parametrize("joint", ["elbow_flex", "gripper"])
def test_an_act_that_differs_is_refused_with_output_and_joint(bundle, trained, episodes, joint):
    parity = measure(bundle, Off(trained.act, joint, 0.01), trained.residual, trained.spec, episodes)

    with pytest.raises(
        ParityError, match=rf"more than 0.001 deg .*over 56 recorded observations:\n  chunk, {joint}: 0.01 (deg|percent)"
    ):
        parity.require(1e-3)


def test_a_residual_that_differs_is_refused_in_joint_units(bundle, trained, episodes):
    parity = measure(bundle, trained.act, Off(trained.residual, "wrist_roll", 0.01), trained.spec, episodes)

    with pytest.raises(
        ParityError, match=r"observations:\n  residual, wrist_roll: 0.08 deg\n  executed_action, wrist_roll: 0.08 deg\nThe"
    ):
        parity.require(1e-3)


def test_a_policy_played_differently_is_refused(bundle, trained, episodes):
    spec = dataclasses.replace(trained.spec, n_action_steps=3)

    parity = measure(bundle, trained.act, None, spec, episodes)

    assert list(parity.gaps) == ["chunk", "base_action"]
    with pytest.raises(ParityError, match=r"observations:\n  base_action, shoulder_pan: "):
        parity.require(1e-3)


def test_nan_is_refused(bundle, trained, episodes):
    parity = measure(bundle, Off(trained.act, "wrist_flex", np.nan), None, trained.spec, episodes)

    with pytest.raises(ParityError, match="chunk, wrist_flex: nan deg"):
        parity.require(1e-3)


def test_the_gripper_counts_in_percent_and_the_arm_in_degrees():
    parity = Parity(
        1000, {"chunk": np.array([0, 1, 0, 0, 0, 5], np.float32), "residual": np.array([0, 0, 2, 0, 0, 1], np.float32)}
    )

    assert (parity.max_abs_deg, parity.max_abs_percent) == (2.0, 5.0)
    assert parity.to_dict()["max_abs"]["residual"]["elbow_flex"] == 2.0


def test_episodes_are_played_in_order_with_a_fresh_queue_each(trained, episodes):
    together = play(ChunkedPolicy(trained.act, trained.spec, 3), episodes)
    alone = [play(ChunkedPolicy(trained.act, trained.spec, 1), [episode]) for episode in episodes]

    np.testing.assert_allclose(together[:3], np.stack([one[0] for one in alone]), atol=1e-4)
    np.testing.assert_allclose(together[-11:], alone[0][-11:], atol=1e-4)  # only the longest is left


def test_a_bundle_reopened_gives_the_same_numbers(exported, trained, episodes):
    first, second = (measure(Bundle.open(exported), trained.act, trained.residual, trained.spec, episodes) for _ in range(2))

    assert first.to_dict() == second.to_dict()


@pytest.fixture
def dataset(tmp_path, trained, episodes):
    """A dataset of the recorded observations: episodes of 30, 7 and 19 frames."""
    with Recorder.create(tmp_path / "record", trained.spec.features, 30, "so100_follower", "move") as recorder:
        for episode in episodes:
            recorder.save_episode(episode, episode[STATE])
    return Dataset.open(tmp_path / "record")


@pytest.mark.parametrize(("n", "lengths"), [(1, [30]), (30, [30]), (31, [30, 7]), (56, [30, 7, 19])])
def test_whole_recorded_episodes_are_compared_until_there_are_enough(dataset, episodes, n, lengths):
    found = recorded(dataset, n)

    assert [len(one[STATE]) for one in found] == lengths
    assert set(found[0]) == {STATE, ENVIRONMENT_STATE}
    assert all(np.array_equal(one[STATE], episode[STATE]) for one, episode in zip(found, episodes, strict=False))


def test_a_dataset_with_too_few_observations_is_refused(dataset):
    with pytest.raises(ParityError, match=r"holds 56 observations and export.n_observations asks for 57; .*Record more"):
        recorded(dataset, 57)
