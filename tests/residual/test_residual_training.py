from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from soarm.errors import CheckpointError, ParamsError
from soarm.params import build
from soarm.residual import checkpoint, validation
from soarm.residual.encoder import NOTHING_MASKED, ObservationParams
from soarm.residual.training import TrainedResidual, TrainResidualParams, train
from soarm.residual.validation import Candidate, ValidationParams, choose
from soarm.seeds import scene_seeds


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def params(task: ModuleType) -> TrainResidualParams:
    return TrainResidualParams(
        env_steps=400,
        n_envs=4,
        n_threads=1,
        time_limit_s=1.0,
        hidden=(16, 16),
        layer_norm=True,
        n_critics=2,
        actor_observation=NOTHING_MASKED,
        critic_observation=NOTHING_MASKED,
        severity_growth=None,
        average_steps=60,
        exploration=task.EXPLORATION,
        learner=task.LEARNER,
        validation=ValidationParams(n_scenes=10, skip=5, n_rows=4, every=150, max_p=0.05),
        log_every=50,
        checkpoint_every=100,
    )


class Run:
    """One way to call `train`, with what it logs."""

    def __init__(self, task: ModuleType, scratch: Path) -> None:
        self.task, self.scratch = task, scratch
        self.logged: dict[int, dict[str, float]] = {}
        self.tracked = 0
        self.envs: list[Any] = []  # as they are made: for training, for validation
        self.demonstrations = SimpleNamespace(columns={}, episode_starts=np.array([0]))  # share 0: nobody reads them

    def __call__(self, params: TrainResidualParams, kill_at: int | None = None, miss: float = 0.5) -> TrainedResidual:
        def make_env(n_rows: int) -> Any:
            self.envs.append(self.task.AimEnv(n_rows))
            return self.envs[-1]

        def log(step: int, metrics: Mapping[str, float]) -> None:
            if kill_at is not None and step >= kill_at:
                raise KilledError
            self.logged[step] = dict(metrics)

        def track(steps: Any, total: int, description: str) -> Any:
            for step in steps:
                yield step
                self.tracked += 1

        return train(
            make_env,
            self.task.Aimer(self.task.SPEC, miss),
            self.demonstrations,
            params,
            bound=self.task.SCALE,
            seed=3,
            scratch=self.scratch,
            log=log,
            track=track,
        )


@pytest.fixture(scope="module")
def undisturbed(
    task: ModuleType, params: TrainResidualParams, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, TrainedResidual]:
    """A training from begin to end, and its result."""
    run = Run(task, tmp_path_factory.mktemp("whole"))
    return run, run(params)


def test_killed_training_ends_with_the_same_bits_as_an_undisturbed_one(
    task: ModuleType, params: TrainResidualParams, undisturbed: tuple[Run, TrainedResidual], tmp_path: Path
) -> None:
    run, whole = undisturbed
    killed = Run(task, tmp_path)
    with pytest.raises(KilledError):
        killed(params, kill_at=340)
    resumed = killed(params)

    for name, tensor in whole.model.policy.state_dict().items():
        assert torch.equal(tensor, resumed.model.policy.state_dict()[name]), name
    assert whole.model.replay_buffer is not None
    assert resumed.model.replay_buffer is not None
    for name in ("observations", "returns", "first", "ages"):
        remembered = [getattr(result.model.replay_buffer, name) for result in (whole, resumed)]
        np.testing.assert_array_equal(*remembered)
    assert np.isfinite(whole.model.replay_buffer.returns).sum() > 300
    assert [list(killed.logged), killed.logged] == [list(run.logged), run.logged]
    without_clock = [{k: v for k, v in r.metrics.items() if k != "env_steps_per_s"} for r in (whole, resumed)]
    assert without_clock[0] == without_clock[1]


def test_damaged_checkpoint_is_named(task: ModuleType, params: TrainResidualParams, tmp_path: Path) -> None:
    (tmp_path / "resume.pkl").write_bytes(b"\x80\x04half a pickle")

    with pytest.raises(CheckpointError, match=r"resume\.pkl cannot be resumed from .*remove it"):
        Run(task, tmp_path)(params)


def test_failed_checkpoint_leaves_the_one_before(task: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = task.make_model().learn(100, log_interval=None)
    checkpoint.save(model, "first", tmp_path / "resume.pkl")
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        checkpoint.save(model, "second", tmp_path / "resume.pkl")
    _, extra = checkpoint.restore(tmp_path / "resume.pkl", task.make_env(), "cpu")

    assert extra == "first"


def test_metrics_and_log_say_what_happened(undisturbed: tuple[Run, TrainedResidual]) -> None:
    run, result = undisturbed
    metrics = result.metrics

    assert metrics["env_steps"] == 400
    assert metrics["env_steps_per_s"] > 0
    assert metrics["updates"] == 20 + (400 - 120) // 4
    assert metrics["n_validation_scenes"] == 10
    assert run.tracked == 100
    assert {"validation_success", "q_start", "mc_start", "success_rate"} <= set().union(*run.logged.values())
    assert list(run.logged) == sorted(run.logged)


def test_kept_actor_is_the_one_in_the_model(task: ModuleType, undisturbed: tuple[Run, TrainedResidual]) -> None:
    _, result = undisturbed
    seen = np.random.default_rng(0).normal(0, 30, (5, *result.model.observation_space.shape)).astype(np.float32)

    np.testing.assert_array_equal(result.model.predict(seen)[0], result.actor.predict_residual(seen))
    assert result.spec.residual_scale == result.model.spec.residual_scale == task.SCALE


def test_an_averaged_actor_is_kept_that_lags_behind_the_one_that_learns(
    task: ModuleType, params: TrainResidualParams, tmp_path: Path
) -> None:
    kept = {}
    for steps in (0, 1, 200):
        (tmp_path / str(steps)).mkdir()
        result = Run(task, tmp_path / str(steps))(dataclasses.replace(params, average_steps=steps))
        kept[steps] = result.candidates[-1].weights["net.0.weight"]

    assert 0 < (kept[1] - kept[0]).norm() < (kept[200] - kept[0]).norm()


def test_scenes_are_those_of_training_and_of_validation(undisturbed: tuple[Run, TrainedResidual]) -> None:
    training, judging = undisturbed[0].envs

    assert len(training.seeds_seen) > 50
    assert training.seeds_seen == list(scene_seeds("residual", 3)[: len(training.seeds_seen)])
    assert set(judging.seeds_seen) == set(scene_seeds("validation")[5:15])


def test_training_episodes_are_cut_at_their_own_time_limit_and_validation_s_are_not(
    task: ModuleType, params: TrainResidualParams, tmp_path: Path
) -> None:
    changed = dataclasses.replace(params, env_steps=200, time_limit_s=5 / 30)
    run = Run(task, tmp_path)
    result = run(changed, miss=9.0)  # nothing succeeds
    buffer = result.model.replay_buffer
    assert buffer is not None
    ended = np.flatnonzero(buffer.dones[:50, 0])

    assert ended.tolist() == list(range(4, 50, 5))
    assert (buffer.timeouts[ended] == 1.0).all()
    assert (run.envs[1].age == task.LIMIT).all()


def test_the_base_is_kept_where_nothing_can_be_better(undisturbed: tuple[Run, TrainedResidual]) -> None:
    _, result = undisturbed
    last = result.candidates[-1].weights
    seen = np.random.default_rng(0).normal(0, 30, (5, *result.model.observation_space.shape)).astype(np.float32)

    assert (result.metrics["kept"], result.metrics["kept_step"]) == ("base", 0)
    assert result.metrics["validation_success"] == result.metrics["validation_success_base"] == 1.0
    assert any(tensor.any() for name, tensor in last.items() if not torch.equal(tensor, result.candidates[0].weights[name]))
    np.testing.assert_array_equal(result.actor.predict_residual(seen), np.zeros((5, 6)))


def test_a_residual_that_was_better_on_the_way_is_kept(
    task: ModuleType, params: TrainResidualParams, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    successes = {0: False, 152: False, 300: True, 400: False}
    real = validation.evaluate

    def evaluate(step: int, *args: Any) -> Candidate:
        return dataclasses.replace(real(step, *args), solved=(successes[step],) * 10)

    monkeypatch.setattr(validation, "evaluate", evaluate)
    result = Run(task, tmp_path)(params)
    best, last = result.candidates[2].weights, result.candidates[3].weights

    assert [one.step for one in result.candidates] == list(successes)
    assert (result.metrics["kept"], result.metrics["kept_step"]) == ("checkpoint", 300)
    assert (result.metrics["validation_success"], result.metrics["validation_success_last"]) == (1.0, 0.0)
    for network in (result.actor, result.model.policy.actor_target.mu):
        assert all(torch.equal(tensor, best[name]) for name, tensor in network.state_dict().items())
        assert not all(torch.equal(tensor, last[name]) for name, tensor in network.state_dict().items())


def candidate(step: int, success_rate: float) -> Candidate:
    solved = round(200 * success_rate)
    return Candidate(step, (True,) * solved + (False,) * (200 - solved), 10.0, {})


def test_base_is_kept_where_no_residual_reaches_it() -> None:
    assert choose([candidate(0, 0.6), candidate(100, 0.5), candidate(200, 0.55)], 0.05).step == 0


def test_a_residual_that_is_better_by_chance_is_not_kept() -> None:
    assert choose([candidate(0, 0.6), candidate(100, 0.62)], 0.05).step == 0
    assert choose([candidate(0, 0.6), candidate(100, 0.64)], 0.05).step == 100


def test_more_looks_ask_for_a_clearer_difference() -> None:
    looks = [candidate(step, 0.64) for step in range(100, 500, 100)]  # 8 gains, no loss: p = 0.008

    assert choose([candidate(0, 0.6), *looks], 0.05).step == 400
    assert choose([candidate(0, 0.6), *looks, *(candidate(step, 0.6) for step in range(500, 800, 100))], 0.05).step == 0


def test_most_trained_of_equals_is_kept() -> None:
    assert choose([candidate(0, 0.6), candidate(100, 0.7), candidate(200, 0.7), candidate(300, 0.5)], 0.05).step == 200


def test_networks_are_built_as_the_parameters_say(task: ModuleType, params: TrainResidualParams, tmp_path: Path) -> None:
    blind = ObservationParams(("phase", "lookahead"), tanh_features=False)
    changed = dataclasses.replace(params, env_steps=140, n_critics=3, actor_observation=blind)
    policy = Run(task, tmp_path)(changed).model.policy

    assert policy.critic.n_critics == policy.critic_target.n_critics == 3
    assert policy.actor.mu.sight.params == blind
    assert policy.critic.sight.params == NOTHING_MASKED


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"env_steps": 100}, "env_steps is 100, but the prefill alone takes 120"),
        ({"n_critics": 1}, "n_critics is 1; it must be at least 2 .*targets take the least of two heads"),
    ],
)
def test_parameters_that_cannot_be_are_refused(params: TrainResidualParams, changed: dict[str, Any], message: str) -> None:
    whole = {"masked_blocks": [], "tanh_features": True}
    section = {
        **dataclasses.asdict(params),
        "hidden": [16, 16],
        "actor_observation": whole,
        "critic_observation": whole,
        **changed,
    }

    with pytest.raises(ParamsError, match=message):
        build(TrainResidualParams, section, where="params.yaml: train_residual")
