from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from stable_baselines3.common.callbacks import BaseCallback

from soarm.errors import ObservationError, ParamsError, SimulationError
from soarm.params import build
from soarm.residual import checkpoint, objective
from soarm.residual.batches import PreparedBatch
from soarm.residual.learner import LearnerParams
from soarm.residual.td3bc import ResidualTD3BC
from soarm.spec import STATE


def make(task: ModuleType, policy_kwargs: dict[str, Any] | None = None, **learner: Any) -> ResidualTD3BC:
    return task.make_model(learner=dataclasses.replace(task.LEARNER, **learner), policy_kwargs=policy_kwargs)


def simulator(model: ResidualTD3BC) -> Any:
    return model.env.venv._env  # type: ignore[union-attr]


def everything(model: ResidualTD3BC) -> list[np.ndarray]:
    buffer = model.replay_buffer
    states = (model.policy.actor.optimizer.state_dict()["state"], model.policy.critic.optimizer.state_dict()["state"])
    moments = [value.numpy() for state in states for entry in state.values() for value in entry.values()]
    return [
        *(parameter.detach().numpy() for parameter in model.policy.parameters()),
        *moments,
        *(buffer.observations, buffer.next_observations, buffer.actions, buffer.rewards, buffer.dones),  # type: ignore[union-attr]
        torch.get_rng_state().numpy(),
        np.random.get_state()[1],  # noqa: NPY002 - Stable-Baselines3 draws from it
    ]


def assert_same_bits(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def simulation_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("simulation")]


def call_before_step(model: ResidualTD3BC, action: Any) -> None:
    env = simulator(model)
    step = env.step
    env.step = lambda actions, rows: (action(), step(actions, rows))[1]


def replace_second_part(model: ResidualTD3BC, instead: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `instead` have the batches where actor and critics would move; there is no warm-up."""

    def train(batches: Sequence[PreparedBatch], first: int) -> Iterator[None]:
        yield
        instead(batches)
        yield

    monkeypatch.setattr(model, "train", train)
    model._n_updates = 1


@pytest.mark.parametrize(
    ("train_freq", "n_critics", "error"), [(1, 2, "each"), (3, 2, "each"), (1, 5, "each"), (1, 5, "mean")]
)
def test_steps_beside_updates_and_in_turn_with_them_give_the_same_bits(
    task: ModuleType, train_freq: int, n_critics: int, error: str
) -> None:
    found = []
    for overlap, pause_s in ((False, 0.0), (True, 0.0), (True, 0.003)):
        learner = {"overlap": overlap, "train_freq": train_freq, "gradient_steps": 2, "critic_loss_reduction": error}
        model = make(task, policy_kwargs={"n_critics": n_critics}, **learner)
        call_before_step(model, lambda pause_s=pause_s: time.sleep(pause_s))
        found.append(everything(model.learn(180, log_interval=None)))

    assert_same_bits(found[0], found[1])
    assert_same_bits(found[0], found[2])


def test_updates_run_in_the_main_thread_while_a_step_runs_in_another(
    task: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(task, policy_delay=1)
    updated = threading.Event()
    threads: dict[str, set[int]] = {"update": set(), "step": set()}
    actor_loss = objective.actor_loss

    def update_and_tell(*args: Any, **kwargs: Any) -> torch.Tensor:
        threads["update"].add(threading.get_ident())
        updated.set()
        return actor_loss(*args, **kwargs)

    def wait_for_an_update() -> None:
        threads["step"].add(threading.get_ident())
        if model.num_timesteps >= model.learning_starts:
            assert updated.wait(timeout=60.0), "the step ended before the updates began"
            updated.clear()

    monkeypatch.setattr(objective, "actor_loss", update_and_tell)
    call_before_step(model, wait_for_an_update)
    model.learn(140, log_interval=None)

    assert threads["update"] == {threading.main_thread().ident}
    assert len(threads["step"]) == 1
    assert threads["step"] != threads["update"]


@pytest.mark.parametrize("overlap", [True, False])
def test_batches_are_drawn_a_step_ahead_from_all_steps_but_the_one_that_runs(
    task: ModuleType, overlap: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(task, overlap=overlap)
    drawn: list[tuple[int, int]] = []
    learnt: list[int] = []
    sample = model.sample

    def note(n: int) -> list[PreparedBatch]:
        drawn.append((model.num_timesteps, 4 * model.replay_buffer.size()))
        return sample(n)

    monkeypatch.setattr(model, "sample", note)
    replace_second_part(model, lambda batches: learnt.append(model.num_timesteps), monkeypatch)
    model.learn(140, log_interval=None)

    # from the end of the prefill on; the first step has none prepared for it
    assert drawn == [(steps, steps) for steps in (120, 120, 124, 128, 132, 136)]
    assert learnt == [120, 124, 128, 132, 136]


def test_targets_stand_still_during_a_step_and_follow_all_its_updates(task: ModuleType) -> None:
    model = make(task, gradient_steps=4, tau=0.1)
    model.learn(124, log_interval=None)  # the prefill and one step with updates
    parameter, target = model.critic.qf0[0].weight, model.critic_target.qf0[0].weight
    before = target.detach().clone()
    model.sync_targets()

    torch.testing.assert_close(target, before + (1.0 - 0.9**4) * (parameter - before))
    after = target.detach().clone()
    model.sync_targets()
    assert torch.equal(target, after)


@pytest.mark.parametrize(("train_freq", "gradient_steps"), [(1, 3), (4, 2), (4, 6)])
def test_updates_are_spread_over_the_steps_they_belong_to(
    task: ModuleType, train_freq: int, gradient_steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(task, train_freq=train_freq, gradient_steps=gradient_steps)
    made: dict[int, int] = {}
    replace_second_part(model, lambda batches: made.update({model.num_timesteps // 4: len(batches)}), monkeypatch)
    model.learn(4 * 54, log_interval=None)
    per_step = [made.get(step, 0) for step in range(54)]
    first = 32  # the first multiple of 4 after the prefill's 30 steps

    assert sum(per_step[:30]) == 0
    assert sum(per_step[first : first + 20]) == 20 * gradient_steps // train_freq
    assert max(per_step[30:]) - min(per_step[30:]) <= 1


def test_a_step_draws_from_no_global_random_stream(task: ModuleType) -> None:
    model = make(task, overlap=False)
    assert model.env is not None
    model.env.reset()
    before = torch.get_rng_state().numpy(), np.random.get_state()[1].copy()  # noqa: NPY002 - Stable-Baselines3 draws from it
    for _ in range(2 * task.LIMIT):
        model.env.step(np.zeros((4, 6), np.float32))

    np.testing.assert_array_equal(torch.get_rng_state().numpy(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


class _Save(BaseCallback):
    def __init__(self, at: int, path: Path) -> None:
        super().__init__()
        self._at, self._path = at, path

    def _on_rollout_start(self) -> None:
        if self.num_timesteps == self._at:
            checkpoint.save(self.model, None, self._path)  # type: ignore[arg-type]

    def _on_step(self) -> bool:
        return True


@pytest.mark.parametrize("saved_at", [120, 200])
def test_a_run_goes_on_from_its_checkpoint_with_the_same_bits(task: ModuleType, saved_at: int, tmp_path: Path) -> None:
    whole = task.make_model().learn(300, _Save(saved_at, tmp_path / "resume.pkl"), log_interval=None)
    expected = everything(whole)
    resumed, _ = checkpoint.restore(tmp_path / "resume.pkl", task.make_env(), "cpu")
    resumed.learn(300 - saved_at, log_interval=None, reset_num_timesteps=False)

    assert resumed.overlap
    assert_same_bits(everything(resumed), expected)


@pytest.mark.parametrize("overlap", [True, False])
@pytest.mark.parametrize("at", [3, 40])  # in the prefill; while learning
def test_error_of_the_simulator_comes_out_as_it_is(task: ModuleType, overlap: bool, at: int) -> None:
    model = make(task, overlap=overlap)
    error = SimulationError("the physics of rows [2] broke down")

    def break_down() -> None:
        if model.num_timesteps == 4 * at:
            raise error

    call_before_step(model, break_down)
    with pytest.raises(SimulationError, match=r"rows \[2\] broke down") as caught:
        model.learn(300, log_interval=None)

    assert caught.value is error
    assert simulation_threads() == []


def test_observation_that_is_not_finite_is_named(task: ModuleType) -> None:
    model = task.make_model()
    observe = simulator(model)._observe
    simulator(model)._observe = lambda rows: {
        key: value + (np.nan if key == STATE and model.num_timesteps >= 200 else 0) for key, value in observe(rows).items()
    }

    with pytest.raises(ObservationError, match=r"observation\.state holds values that are not finite"):
        model.learn(300, log_interval=None)


def test_no_thread_outlives_an_error_in_an_update(task: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    model = task.make_model()
    call_before_step(model, lambda: time.sleep(0.01))

    def fail(batches: Sequence[PreparedBatch]) -> None:
        assert len(simulation_threads()) == 1
        raise KeyboardInterrupt

    replace_second_part(model, fail, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        model.learn(300, log_interval=None)

    assert simulation_threads() == []


def test_no_thread_outlives_learning(task: ModuleType, tmp_path: Path) -> None:
    model = task.make_model().learn(130, log_interval=None)
    model.save(tmp_path / "residual.zip")
    loaded = ResidualTD3BC.load(tmp_path / "residual.zip", env=task.make_env())
    loaded.learn(130, log_interval=None)

    assert simulation_threads() == []


def test_negative_number_of_updates_is_refused(task: ModuleType) -> None:
    section = {**dataclasses.asdict(task.LEARNER), "gradient_steps": -1}

    with pytest.raises(ParamsError, match="gradient_steps is -1; it must be at least 0"):
        build(LearnerParams, section, where="params.yaml: train_residual.learner")
