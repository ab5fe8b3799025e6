from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from types import ModuleType

import numpy as np
import pytest
import torch

from soarm.errors import DatasetError
from soarm.policy import Array
from soarm.residual.batches import PreparedBatch
from soarm.residual.demonstrations import label
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE, PolicySpec
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation

STARTS = np.array([0, 7, 12])  # episodes of 7 and 5 steps; the base plays 4 of each chunk


@pytest.fixture
def spec(task: ModuleType) -> PolicySpec:
    return dataclasses.replace(task.SPEC, residual_scale=task.SCALE)


def columns() -> dict[str, Array]:
    rng = np.random.default_rng(0)
    objects = np.repeat(rng.uniform(-0.2, 0.2, (2, 7)), [7, 5], axis=0).astype(np.float32)
    return {
        STATE: rng.normal(0, 5, (12, 6)).astype(np.float32),
        ENVIRONMENT_STATE: objects,
        ACTION: rng.normal(0, 5, (12, 6)).astype(np.float32),
    }


def test_stored_correction_adds_up_to_what_was_demonstrated(task: ModuleType, spec: PolicySpec) -> None:
    buffer = label(columns(), STARTS, task.Aimer(spec, 1.0), spec, torch.device("cpu"), 0.9, 3)
    summed = buffer.observations[:, 0, LAYOUT.base_action] + np.float32(task.SCALE) * buffer.actions[:, 0]

    np.testing.assert_allclose(summed, columns()[ACTION], atol=1e-4)
    assert np.abs(buffer.actions).max() > 1.0  # not clipped: the sum has to be the true action


def test_base_is_asked_anew_at_every_start_and_in_between_when_its_chunk_is_played(task: ModuleType, spec: PolicySpec) -> None:
    buffer = label(columns(), STARTS, task.Aimer(spec, 1.0), spec, torch.device("cpu"), 0.9, 3)
    phase_sine = buffer.observations[:, 0, LAYOUT.base_action.stop]

    np.testing.assert_allclose(phase_sine, [0, 1, 0, -1, 0, 1, 0, 0, 1, 0, -1, 0], atol=1e-6)


def test_reward_comes_with_the_last_step_and_does_not_leak_into_the_episode_before(task: ModuleType, spec: PolicySpec) -> None:
    buffer = label(columns(), STARTS, task.Aimer(spec, 1.0), spec, torch.device("cpu"), 0.5, 3)
    samples = buffer._get_samples(np.arange(12))

    np.testing.assert_allclose(samples.rewards[:, 0], [0, 0, 0, 0, 0.25, 0.5, 1, 0, 0, 0.25, 0.5, 1])
    np.testing.assert_allclose(samples.dones[:, 0], [0, 0, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1])


def test_demonstrations_that_do_not_tell_where_the_objects_are_are_refused(task: ModuleType, spec: PolicySpec) -> None:
    known = {key: values for key, values in columns().items() if key != ENVIRONMENT_STATE}

    with pytest.raises(DatasetError, match=r"not observation.environment_state, .*demonstration_share to 0"):
        label(known, STARTS, task.Aimer(spec, 1.0), spec, torch.device("cpu"), 0.9, 3)


def test_training_with_demonstrations_changes_what_is_learnt(task: ModuleType, spec: PolicySpec) -> None:
    biases = []
    for share in (0.0, 0.5):
        model = task.make_model(2, learner=dataclasses.replace(task.LEARNER, demonstration_share=share))
        model.set_demonstrations(label(columns(), STARTS, model.base_model, spec, model.device, 0.9, 3))
        model.learn(150, log_interval=None)
        biases.append(model.actor.mu.net[-2].bias.detach().clone())

    assert torch.isfinite(biases[1]).all()
    assert not torch.equal(*biases)


@pytest.mark.parametrize("gradient_steps", [1, 3])
def test_a_batch_says_what_is_worth_imitating_where_the_actor_learns_from_it(
    task: ModuleType, spec: PolicySpec, gradient_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = dataclasses.replace(task.LEARNER, demonstration_share=0.5, gradient_steps=gradient_steps, warmup_updates=0)
    model = task.make_model(2, learner=learner)
    model.set_demonstrations(label(columns(), STARTS, model.base_model, spec, model.device, 0.9, 3))
    found: list[tuple[bool, bool]] = []
    train = model.train

    def note(batches: Sequence[PreparedBatch], first: int) -> Iterator[None]:
        parts = train(batches, first)
        yield next(parts)
        found.extend(((first + i) % 2 == 0, batch.imitation_mask is not None) for i, batch in enumerate(batches, 1))
        yield from parts

    monkeypatch.setattr(model, "train", note)
    model.learn(140, log_interval=None)

    assert len(found) == 10 * gradient_steps
    assert {(True, True), (False, False)} == set(found)
