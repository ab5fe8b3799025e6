from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch

from soarm.errors import ParamsError
from soarm.params import build
from soarm.residual import calibration
from soarm.residual.calibration import Promise
from soarm.residual.learner import GateParams, LearnerParams
from soarm.residual.warmup import warm_up


class Critics:
    """Critics whose promise falls by 0.1 with each look, and a record of what was done to them."""

    def __init__(self, *promised: float) -> None:
        self.done: list[str] = []
        self._promises: Iterator[float] = iter(promised)

    def run(self, learner: LearnerParams) -> Promise:
        return warm_up(learner, lambda: self.done.append("returns"), lambda: self.done.append("differences"), self._promise)

    def _promise(self) -> Promise:
        self.done.append("look")
        return Promise(next(self._promises), 0.2, 9)


def learner(task: ModuleType, **changed: object) -> LearnerParams:
    gate = GateParams(tolerance=0.1, every=2, extra_updates_max=5)
    return dataclasses.replace(task.LEARNER, **{"warmup_updates": 3, "gate": gate, **changed})


def test_calibrated_critics_start_the_actor_at_once(task: ModuleType) -> None:
    critics = Critics(0.25)

    assert critics.run(learner(task)).promised == 0.25
    assert critics.done == ["differences"] * 3 + ["look"]


def test_critics_that_dream_get_more_updates_until_they_wake(task: ModuleType, caplog: pytest.LogCaptureFixture) -> None:
    critics = Critics(0.9, 0.5, 0.3)
    with caplog.at_level(logging.INFO):
        critics.run(learner(task))

    assert critics.done == [*["differences"] * 3, "look", *["differences"] * 2, "look", *["differences"] * 2, "look"]
    assert "critics after 7 updates: they promise 0.300 where 9 episodes of the base gave 0.200" in caplog.text
    assert caplog.records[0].levelname == "INFO"


@pytest.mark.parametrize("promised", [0.04, float("nan")], ids=["too little", "no episode has ended"])
def test_patience_ends_with_a_warning(task: ModuleType, promised: float, caplog: pytest.LogCaptureFixture) -> None:
    critics = Critics(*[promised] * 9)
    critics.run(learner(task))

    assert critics.done.count("differences") == 3 + 5
    assert "more than gate.tolerance 0.1 apart; the actor starts all the same" in caplog.text


@pytest.mark.parametrize(("tolerance", "updates"), [(10.0, 3), (0.0, 8)], ids=["calibrated", "never calibrated"])
def test_the_prefill_s_episodes_decide_when_the_actor_starts(task: ModuleType, tolerance: float, updates: int) -> None:
    gate = GateParams(tolerance=tolerance, every=2, extra_updates_max=5)
    model = task.make_model(learner=learner(task, gate=gate, gradient_steps=0))
    model.learn(120, log_interval=None)
    promised = calibration.promise(model.policy, model.replay_buffer)
    model.settle()

    assert promised.n_episodes > 0
    assert 0.0 < promised.gap < 10.0
    assert model._n_updates == updates


def test_first_updates_can_regress_to_returns(task: ModuleType) -> None:
    critics = Critics(0.2)
    critics.run(learner(task, warmup_mc_updates=2))

    assert critics.done == ["returns", "returns", "differences", "look"]


def test_returns_calibrate_critics_in_fewer_updates_than_differences(task: ModuleType) -> None:
    gaps = []
    for n_mc in (0, 100):
        changed = dataclasses.replace(task.LEARNER, warmup_updates=100, warmup_mc_updates=n_mc, gradient_steps=0, n_steps=1)
        model = task.make_model(8, learner=changed, exploration=dataclasses.replace(task.EXPLORATION, prefill_steps=800))
        model.base_model.miss.data.fill_(1.0)  # a base that succeeds
        model.learn(800, log_interval=None)
        model.settle()
        assert model._n_updates == 100
        gaps.append(calibration.promise(model.policy, model.replay_buffer).gap)

    assert gaps[1] < 0.1 < gaps[0]


def test_returns_change_the_critics_alone(task: ModuleType) -> None:
    changed = dataclasses.replace(task.LEARNER, warmup_updates=5, warmup_mc_updates=5, gradient_steps=0)
    model = task.make_model(learner=changed)
    critic = model.critic.state_dict()["qf0.0.weight"].clone()
    model.learn(120, log_interval=None)
    model.settle()

    assert not torch.equal(model.critic.state_dict()["qf0.0.weight"], critic)
    assert all((parameter == 0).all() for parameter in model.actor.mu.net[-2].parameters())


def test_prefill_without_a_finished_episode_has_no_returns_to_regress_to(task: ModuleType) -> None:
    changed = dataclasses.replace(task.LEARNER, warmup_mc_updates=5)
    model = task.make_model(learner=changed, exploration=dataclasses.replace(task.EXPLORATION, prefill_steps=8))

    with pytest.raises(ParamsError, match=r"no episode ended in a prefill of 8 steps.*raise exploration\.prefill_steps"):
        model.learn(20, log_interval=None)


def test_impossible_warm_ups_are_refused(task: ModuleType) -> None:
    with pytest.raises(ParamsError, match="every is 0; it must be at least 1"):
        build(GateParams, {"tolerance": 0.1, "every": 0, "extra_updates_max": 0}, "gate")
    with pytest.raises(ValueError, match="warmup_mc_updates is 21; of 20 warmup_updates it can be 0 to all"):
        dataclasses.replace(task.LEARNER, warmup_mc_updates=21)


def test_calibration_draws_no_random_numbers(task: ModuleType) -> None:
    model = task.make_model().learn(110, log_interval=None)
    states = torch.get_rng_state(), np.random.get_state()[1]  # noqa: NPY002
    calibration.promise(model.policy, model.replay_buffer)
    calibration.alarms(model.policy, model.replay_buffer)

    assert torch.equal(torch.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])  # noqa: NPY002
