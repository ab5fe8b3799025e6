from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest
from gymnasium import spaces

from soarm.errors import ParamsError
from soarm.residual.policies import ResidualTD3Policy
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.study import scratch as module
from soarm.study.method import MethodInput, MethodResult
from soarm.study.scratch import ConstantPose, PoseBlueprint, scratch
from soarm.tasks.pick_place import TASK

LAYOUT = TASK.residual_observation

ROWS = np.arange(3)


def with_options(inputs: MethodInput, **learner: float) -> MethodInput:
    """Return the input of `scratch`, half of each batch demonstrated."""
    changed = dataclasses.replace(inputs.params.learner, demonstration_share=0.5, **learner)
    return dataclasses.replace(
        inputs, options={"margin": 0.1}, params=dataclasses.replace(inputs.params, learner=changed, env_steps=280)
    )


def test_before_learning_the_constant_pose_is_executed(inputs: MethodInput) -> None:
    result = scratch(with_options(inputs, actor_lr=0.0))

    actions = inputs.demonstrations.columns[ACTION]
    middle = (actions.min(axis=0) + actions.max(axis=0)) / 2
    seen = {key: inputs.demonstrations.columns[key][:3] for key in (STATE, ENVIRONMENT_STATE)}
    policy = result.policy(3)
    for _ in range(3):
        np.testing.assert_allclose(policy.act(seen, ROWS), np.tile(middle, (3, 1)), rtol=1e-6)
    assert result.curve[0].success_rate == 0.0


def test_the_bound_reaches_all_that_was_demonstrated_and_nothing_is_cloned(
    inputs: MethodInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, object] = {}

    def learn(inputs: MethodInput, base: ConstantPose, params: object, bound: tuple[float, ...]) -> MethodResult:
        given.update(base=base, params=params, bound=bound)
        return MethodResult((), lambda n_rows: None, {})

    monkeypatch.setattr(module, "learn", learn)
    scratch(with_options(inputs))

    corrections = (inputs.demonstrations.columns[ACTION] - given["base"].blueprint.config) / np.array(given["bound"])
    assert np.abs(corrections).max() == pytest.approx(1 / 1.1, rel=1e-5)
    assert (given["params"].learner.penalty.start, given["params"].learner.imitation.start) == (0.0, 0.0)


def test_the_same_seed_gives_the_same_outcome(inputs: MethodInput) -> None:
    seen = {key: inputs.demonstrations.columns[key][:3] for key in (STATE, ENVIRONMENT_STATE)}

    actions = []
    for name in ("one", "two"):
        folder = inputs.scratch / name
        folder.mkdir()
        result = scratch(dataclasses.replace(with_options(inputs), scratch=folder))
        actions.append(result.policy(3).act(seen, ROWS))

    assert (actions[0] == actions[1]).all()
    assert np.isfinite(actions[0]).all()
    assert result.curve[-1].step == 280


def test_actions_around_a_base_that_never_moves_reach_the_critics_in_units_of_the_bound() -> None:
    box = spaces.Box(-np.inf, np.inf, (LAYOUT.dim,), np.float32)
    policy = ResidualTD3Policy(box, spaces.Box(-1.0, 1.0, (6,)), lambda _: 1e-3, scale=(50.0,) * 6, net_arch=[8])
    std = np.ones(LAYOUT.dim)
    std[LAYOUT.base_action] = [0.0, 0.0, 0.0, 3.0, 0.0, 0.0]

    policy.set_statistics(np.zeros(LAYOUT.dim), std)

    for network in (policy.critic, policy.critic_target, policy.actor.mu):
        assert network.sight.std[LAYOUT.base_action].tolist() == [50.0, 50.0, 50.0, 3.0, 50.0, 50.0]


def test_a_pose_can_be_built_again(inputs: MethodInput) -> None:
    pose = ConstantPose(PoseBlueprint(inputs.base.spec, (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)))

    again = pickle.loads(pickle.dumps(pose.blueprint)).build()

    assert again.predict_chunks({STATE: np.zeros((2, 6), np.float32)}).tolist() == [[[1, 2, 3, 4, 5, 6]]] * 2


def test_a_negative_margin_is_refused(inputs: MethodInput) -> None:
    with pytest.raises(ParamsError, match=r"margin is -0.1; it must be at least 0"):
        scratch(dataclasses.replace(inputs, options={"margin": -0.1}))
