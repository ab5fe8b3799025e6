"""The switch, the null object, and the tracker that survives its store."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from soarm.errors import StageError
from soarm.tracking import mlflow_tracker
from soarm.tracking.choice import TRACKERS, Several, open_tracker
from soarm.tracking.forgiving import Forgiving
from soarm.tracking.mlflow_parent import pipeline_key
from soarm.tracking.mlflow_tracker import MlflowTracker, open_mlflow
from soarm.tracking.store import store_for
from soarm.tracking.tracker import Provenance, Tracker, flatten

PROVENANCE = Provenance("toy", "abc-dirty", "ci", 0, "0123", Path())
METHODS = {name for name, _ in inspect.getmembers(Tracker, inspect.isfunction) if not name.startswith("_")}


class Broken(Tracker):
    """Takes everything until told otherwise."""

    def __init__(self) -> None:
        self.calls = 0

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.calls += 1
        raise OSError("disk full")


def test_off_is_the_tracker_that_writes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOARM_TRACKING", "off")

    assert open_tracker(PROVENANCE).trackers == ()
    assert len(METHODS) == 8
    for kind in (Forgiving, Several, MlflowTracker):
        assert vars(kind).keys() >= METHODS, "each does all that a tracker can"


@pytest.mark.parametrize(
    ("said", "names", "message"),
    [
        ("on", ["mlflow"], "SOARM_TRACKING names 'on'; there are mlflow, tensorboard, wandb, trackio, and `off` for none"),
        ("wandb, x", [], "SOARM_TRACKING names 'x'"),
        (None, ["mlflow", "y", "z"], "`tracking` in params.yaml names 'y', 'z'"),
    ],
)
def test_a_tracker_that_there_is_not_is_refused(
    monkeypatch: pytest.MonkeyPatch, said: str | None, names: list[str], message: str
) -> None:
    monkeypatch.delenv("SOARM_TRACKING")
    if said is not None:
        monkeypatch.setenv("SOARM_TRACKING", said)

    with pytest.raises(StageError, match=message):
        open_tracker(PROVENANCE, names)


def test_the_environment_wins_over_the_parameter_and_each_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    for name in TRACKERS:
        monkeypatch.setitem(TRACKERS, name, lambda _, name=name: opened.append(name) or Tracker())  # type: ignore[index]
    monkeypatch.delenv("SOARM_TRACKING")
    open_tracker(PROVENANCE, ["trackio", "tensorboard", "trackio"])
    monkeypatch.setenv("SOARM_TRACKING", "wandb, mlflow")
    open_tracker(PROVENANCE, ["trackio"])

    assert opened == ["trackio", "tensorboard", "wandb", "mlflow"]


def test_several_trackers_are_told_the_same_and_one_that_fails_leaves_the_others(caplog: pytest.LogCaptureFixture) -> None:
    told: list[tuple[int, Mapping[str, float]]] = []

    class Keeps(Tracker):
        def log(self, step: int, metrics: Mapping[str, float]) -> None:
            told.append((step, metrics))

    both = Several([Forgiving(Broken, "Books at x", "Wait"), Keeps()])
    for step in range(2):
        both.log(step, {"loss": 1.0})

    assert [step for step, _ in told] == [0, 1]
    assert "Books at x failed" in caplog.text


def test_a_store_that_fails_costs_one_warning_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    inner = Broken()
    tracker = Forgiving(lambda: inner, "Books at http://server:5000", "Start the server")

    tracker.params("toy", {"n": 1})
    for step in range(3):
        tracker.log(step, {"loss": 1.0})
    tracker.close("FINISHED")

    assert inner.calls == 1
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "Books at http://server:5000 failed (OSError: disk full)" in record.getMessage()
    assert "Start the server, or set SOARM_TRACKING=off." in record.getMessage()


def mistaken(*_: object) -> None:
    raise KeyError("uq_experiments_name")


@pytest.mark.parametrize("method", sorted(METHODS))
def test_whatever_tracking_raises_no_stage_ends_by_it(method: str, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Forgiving(type("Mistaken", (Tracker,), {method: mistaken}), "Books at x", "Wait")
    arguments = inspect.signature(getattr(Tracker, method)).parameters

    for _ in range(2):
        getattr(tracker, method)(*["x"] * (len(arguments) - 1))

    assert [record.getMessage()[:60] for record in caplog.records if record.levelno == logging.WARNING] == [
        "Books at x failed (KeyError: 'uq_experiments_name'): this ru"
    ]


def test_whatever_opening_raises_no_stage_ends_by_it(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr(mlflow_tracker, "MlflowTracker", mistaken)

    open_mlflow(PROVENANCE._replace(root=tmp_path)).close("FINISHED")

    assert "failed (KeyError: 'uq_experiments_name')" in caplog.text


def test_a_repository_that_cannot_be_written_is_not_tracked(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow").write_text("a file in place of the folder")

    open_mlflow(PROVENANCE._replace(root=tmp_path)).close("FINISHED")

    assert "failed (FileExistsError" in caplog.text


def test_a_password_in_the_address_is_not_logged(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://user:secret@host:1/path")
    monkeypatch.setattr(mlflow_tracker, "MlflowTracker", mistaken)

    open_mlflow(PROVENANCE)

    assert "https://host:1/path" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize(
    ("values", "prefix", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": {"e": 3}}}, "", [("a", 1), ("b.c", 2), ("b.d.e", 3)]),
        ({"pair": [0.1, 0.2]}, "sim", [("sim.pair.0", 0.1), ("sim.pair.1", 0.2)]),
        ({}, "sim", []),
    ],
)
def test_nested_values_get_dotted_keys(values: dict[str, Any], prefix: str, expected: list[tuple[str, Any]]) -> None:
    assert list(flatten(values, prefix)) == expected


def test_the_store_is_the_repository_s_unless_the_environment_names_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    repository = tmp_path / "repository"
    repository.mkdir()

    own = store_for(repository)
    monkeypatch.setenv("DVC_ROOT", str(repository))  # `dvc exp run --temp` works in a copy of it
    from_a_copy = store_for(tmp_path / "copy")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    named = store_for(repository)

    assert own.uri == f"sqlite:///{repository}/mlflow/mlflow.db"
    assert own.artifacts == (repository / "mlflow" / "artifacts").as_uri()
    assert from_a_copy == own
    assert named == ("http://server:5000", None)


def test_a_reproduction_is_one_state_of_code_and_parameters_or_one_experiment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    by_content = {
        pipeline_key(PROVENANCE._replace(stage=stage, git_rev=rev, params_hash=params), None)
        for stage in ("record", "train_act")
        for rev in ("a", "b")
        for params in ("1", "2")
    }
    monkeypatch.setenv("DVC_EXP_NAME", "brisk-arm")

    assert len(by_content) == 4
    assert pipeline_key(PROVENANCE, None) == "exp:brisk-arm"
    assert pipeline_key(PROVENANCE, "one") != pipeline_key(PROVENANCE, "two")
