"""One run: a method of a few lines in an environment of a few lines, and the stage's bad inputs."""

from __future__ import annotations

import copy
import dataclasses
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import yaml

from soarm.errors import ParamsError, StageError
from soarm.evaluation.evaluator import ScenesParams
from soarm.evaluation.results import Results
from soarm.policy import Array, BatchPolicy, Observation, Rows
from soarm.residual.controller import residual_policy
from soarm.residual.training import TrainedResidual, train
from soarm.residual.validation import Candidate
from soarm.rollout import StepResult
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.study import measures
from soarm.study import residual as study_residual
from soarm.study.method import MethodInput, MethodResult, Point
from soarm.study.residual import residual
from soarm.study.run import run
from soarm.tasks.pick_place import TASK

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("stages_study", ROOT / "stages" / "study.py")
assert _SPEC is not None
assert _SPEC.loader is not None
stage = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(stage)
TEST = ScenesParams(n_scenes=6, n_rows=2, n_threads=1, knocked_away_m=0.03)


class GripperEnv:
    """Scenes of even seeds are solved whatever is done; those of odd seeds by opening the gripper. Four steps otherwise."""

    control_hz = 30

    def __init__(self, n_rows: int) -> None:
        self.n_rows, self.task = n_rows, TASK
        self.seeds, self.age = np.zeros(n_rows, np.int64), np.zeros(n_rows, np.int64)

    def reset(self, rows: Rows, seeds: Iterable[int]) -> Observation:
        self.seeds[rows], self.age[rows] = list(seeds), 0
        return self._observe(rows)

    def step(self, actions: Array, rows: Rows) -> StepResult:
        self.age[rows] += 1
        done = (self.age[rows] == 2) & ((self.seeds[rows] % 2 == 0) | (actions[:, 5] == 100.0))
        info = {"is_success": done, "stage": np.zeros(len(rows), np.int64), "holding": done & False}
        info |= {"moved_m": np.zeros(len(rows)), "shaped_return": done + 0.5}
        return StepResult(self._observe(rows), done.astype(float), done, self.age[rows] == 4, info)

    def _observe(self, rows: Rows) -> Observation:
        return {STATE: np.zeros((len(rows), 6), np.float32), ENVIRONMENT_STATE: np.ones((len(rows), 7), np.float32)}


class Opener:
    def reset(self, rows: Rows, seeds: Iterable[int]) -> None:
        pass

    def act(self, observation: Observation, rows: Rows) -> Array:
        return np.full((len(rows), 6), 100.0, np.float32)


def opening(inputs: MethodInput) -> MethodResult:
    early, end = (True, False), inputs.params.env_steps
    curve = (Point(0, early), *(Point(step, (True, True)) for step in (end // 2, end - 1, end)))
    return MethodResult(curve, lambda n_rows: Opener(), {"env_steps": 480, "env_steps_per_s": 10.0, "own": 1})


def test_a_run_trains_and_compares_the_last_policy_with_the_base(inputs: MethodInput, tmp_path: Path) -> None:
    made = run(opening, inputs, GripperEnv, TEST)
    made.save(tmp_path)

    assert (made.metrics["base_success"], made.metrics["success"]) == (0.5, 1.0)
    assert (made.metrics["gains"], made.metrics["regressions"]) == (3, 0)
    assert made.metrics["auc"] == 0.875
    assert (made.metrics["steps_to_90"], made.metrics["seconds_to_90"]) == (240.0, 24.0)
    assert made.metrics["own"] == 1
    assert measures.read_curve(tmp_path / "curve.csv") == made.result.curve
    assert Results.load(tmp_path, "policy").success.all()
    assert Results.load(tmp_path, "base").seeds == tuple(range(40_000_000, 40_000_006))


def test_a_curve_that_goes_backwards_is_a_broken_promise(inputs: MethodInput) -> None:
    def backwards(inputs: MethodInput) -> MethodResult:
        return dataclasses.replace(opening(inputs), curve=opening(inputs).curve[::-1])

    with pytest.raises(AssertionError, match="starts before it learns"):
        run(backwards, inputs, GripperEnv, TEST)


def test_the_residual_s_curve_starts_with_the_base_and_ends_with_the_budget(inputs: MethodInput) -> None:
    ensembling = dataclasses.replace(inputs.base.config, n_action_steps=1, temporal_ensemble_coeff=0.01)
    spec = dataclasses.replace(inputs.base.spec, n_action_steps=1, temporal_ensemble_coeff=0.01)
    base = type(inputs.base)(ensembling, spec)
    base.load_state_dict(inputs.base.state_dict())
    result = residual(dataclasses.replace(inputs, base=base.eval()))

    assert result.curve[0].step == 0
    assert result.curve[-1].step == result.metrics["env_steps"] >= 480
    assert result.policy(3).act is not None


def test_the_residual_s_policy_is_the_last_network_and_not_the_one_that_is_kept(
    inputs: MethodInput, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[TrainedResidual] = []
    monkeypatch.setattr(study_residual, "train", lambda *args, **kwargs: made.append(train(*args, **kwargs)) or made[0])
    found = residual(inputs)
    result, rows = made[0], np.arange(2)
    seen = {STATE: np.full((2, 6), 5.0, np.float32), ENVIRONMENT_STATE: np.ones((2, 7), np.float32)}

    def action(policy: BatchPolicy) -> Array:
        policy.reset(rows, [0, 1])
        return policy.act(seen, rows)

    def of(candidate: Candidate) -> Array:
        actor = copy.deepcopy(result.actor)
        actor.load_state_dict(candidate.weights)
        return action(residual_policy(inputs.base, actor.eval(), result.spec, 2))

    assert result.metrics["kept"] == "base"
    np.testing.assert_array_equal(action(found.policy(2)), of(result.candidates[-1]))
    assert not np.array_equal(of(result.candidates[-1]), of(result.candidates[0]))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with the parameters and no data; the stage runs in it."""
    data = yaml.safe_load((ROOT / "params.yaml").read_text())
    (tmp_path / "params.yaml").write_text(yaml.safe_dump({**data, "profile": "ci"}))
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "start"]):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SOARM_TRACKING", "off")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # a stage that fails leaves its own
    return tmp_path


@pytest.fixture
def study(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run the stage with these words."""

    def main(*words: str) -> None:
        monkeypatch.setattr(sys, "argv", ["study", *words])
        stage.main()

    return main


@pytest.mark.parametrize(
    ("there", "message"),
    [
        ([], "study needs data/train_act, which does not exist; make it with `dvc repro train_act`"),
        (["train_act", "record"], "study needs data/reach, which does not exist; make it with `dvc repro reach`"),
    ],
)
def test_missing_inputs_are_named(repository: Path, study: Callable[..., None], there: list[str], message: str) -> None:
    for name in there:
        (repository / "data" / name).mkdir(parents=True)
    with pytest.raises(StageError, match=message):
        study("residual", "0")

    assert not (repository / "data" / "study").exists()


def test_unknown_variants_and_seeds_stop_the_stage(study: Callable[..., None]) -> None:
    with pytest.raises(ParamsError, match=r"study has no variant 'residul'; params\.yaml has .*'residual'"):
        study("residul", "0")
    with pytest.raises(ParamsError, match=r"seed is 12; allowed are 0\.\.9"):
        study("residual", "12")
    with pytest.raises(SystemExit):
        study("residual", "zero")


def test_a_run_s_metrics_lie_in_its_own_folder(repository: Path) -> None:
    with stage.open_stage("study", part="toy-1") as opened:
        opened.log(5, {"loss": 1.0})
        opened.finish({"success": 0.5})
    folder = repository / "data" / "study" / "toy-1"

    assert json.loads((folder / "metrics.json").read_text())["success"] == 0.5
    assert (folder / "training.csv").read_text() == "step,loss\n5,1.0\n"
    assert sorted(path.name for path in (repository / "data").iterdir()) == [".scratch", ".written", "study"]
    assert list((repository / "data" / ".scratch").iterdir()) == []
