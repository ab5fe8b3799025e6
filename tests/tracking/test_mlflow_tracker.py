"""What MLflow holds after stages ran: against a real SQLite store, made once and copied."""

from __future__ import annotations

import itertools
import json
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from soarm.tracking import mlflow_parent
from soarm.tracking.experiment import EXPERIMENT, open_experiment
from soarm.tracking.mlflow_tracker import MlflowTracker, open_mlflow
from soarm.tracking.store import Store
from soarm.tracking.tracker import Provenance
from soarm.tracking.trial import Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, which differ by version


def provenance(stage: str = "train_act", git_rev: str = "abc") -> Provenance:
    return Provenance(stage, git_rev, "ci", 3, "0123", Path())


def runs(client: MlflowClient) -> list[Any]:
    experiment = client.get_experiment_by_name("soarm")
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id], order_by=["attribute.start_time ASC"]))


def test_stages_of_one_reproduction_are_children_of_one_parent(store: Store, client: MlflowClient) -> None:
    for stage in ("record", "train_act"):
        MlflowTracker(provenance(stage), store).close("FINISHED")
    MlflowTracker(provenance("record", git_rev="other"), store).close("FAILED")

    found = runs(client)

    parents = [run.info.run_id for run in found if "soarm.pipeline" in run.data.tags]
    children = {
        (run.info.run_name, run.info.status, run.data.tags["mlflow.parentRunId"])
        for run in found
        if "mlflow.parentRunId" in run.data.tags
    }
    assert len(parents) == 2
    assert children == {
        ("record", "FINISHED", parents[0]),
        ("train_act", "FINISHED", parents[0]),
        ("record", "FAILED", parents[1]),
    }


def test_clones_that_share_a_store_have_reproductions_of_their_own(store: Store, client: MlflowClient, tmp_path: Path) -> None:
    client.create_experiment(EXPERIMENT, artifact_location=store.artifacts)
    shared = store._replace(artifacts=None)
    for stage, clone in (("record", "one"), ("record", "two"), ("train_act", "one")):
        MlflowTracker(provenance(stage)._replace(root=tmp_path / clone), shared).close("FINISHED")
    parents = [run for run in runs(client) if run.data.tags["kind"] == "reproduction"]
    stages = [
        [run.info.run_name for run in runs(client) if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
        for parent in parents
    ]

    assert stages == [["record", "train_act"], ["record"]]


@pytest.mark.parametrize("seen", ["when it begins", "when it ends"])
def test_of_parents_that_two_processes_made_at_once_the_first_remains(
    seen: str, store: Store, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches = itertools.count()
    search, n_missed = mlflow_parent._parents, {"when it begins": 1, "when it ends": 2}[seen]

    def search_too_early(*about: Any) -> list[str]:
        found = search(*about)
        return found if next(searches) >= n_missed else found[1:]

    first = MlflowTracker(provenance("study.a"), store)
    monkeypatch.setattr(mlflow_parent, "_parents", search_too_early)
    second = MlflowTracker(provenance("study.b"), store)
    n_open = sum(run.data.tags["kind"] == "reproduction" for run in runs(client))
    second.close("FINISHED")
    first.close("FINISHED")
    parent, *children = runs(client)

    assert n_open == n_missed
    assert parent.data.tags["kind"] == "reproduction"
    assert [run.info.run_id for run in children] == [first.run_id, second.run_id]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}


def test_an_experiment_that_another_process_makes_meanwhile_is_taken(
    store: Store, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, theirs = client.get_experiment_by_name, []

    def look_too_early(name: str) -> Any:
        found = look(name)
        if found is None:
            theirs.append(open_experiment(type(client)(store.uri), store.artifacts))
        return found

    monkeypatch.setattr(client, "get_experiment_by_name", look_too_early)
    ours = open_experiment(client, store.artifacts)

    assert [ours] == theirs
    assert "mlflow.note.content" in client.get_experiment(ours).tags


def test_trials_of_a_sweep_are_children_of_one_run_that_is_no_reproduction(
    store: Store, client: MlflowClient, tmp_path: Path
) -> None:
    for number, status in (("0", "FINISHED"), ("1", "KILLED")):
        trial = Trial(tmp_path / "mine" / number)
        tracker = MlflowTracker(provenance("train_residual")._replace(trial=trial, changes={"gamma": number}), store)
        tracker.params("train_residual", {"gamma": number})
        tracker.close(status)  # type: ignore[arg-type]
    parent, *children = runs(client)

    assert (parent.info.run_name, parent.info.status, parent.data.params) == ("mine", "FINISHED", {})
    assert (parent.data.tags["kind"], parent.data.tags["sweep"]) == ("sweep", "mine")
    told = [(one.info.run_name, one.info.status, one.data.params["train_residual.gamma"]) for one in children]
    assert told == [("trial 0", "FINISHED", "0"), ("trial 1", "KILLED", "1")]
    assert {one.data.tags["mlflow.parentRunId"] for one in children} == {parent.info.run_id}
    assert {(one.data.tags["kind"], one.data.tags["sweep"]) for one in children} == {("trial", "mine")}


def test_a_run_says_what_it_was_made_from(store: Store, client: MlflowClient) -> None:
    tracker = MlflowTracker(provenance(), store)
    tracker.params("train_act", {"lr": 0.001, "network": {"layers": 2}, "betas": [0.9, 0.99]})
    tracker.dataset("record", Path("data/record"), "d41d8cd98f00b204e9800998ecf8427e.dir")
    tracker.close("FINISHED")

    run = client.get_run(tracker.run_id)

    assert run.data.params == {
        "train_act.lr": "0.001",
        "train_act.network.layers": "2",
        "train_act.betas.0": "0.9",
        "train_act.betas.1": "0.99",
    }
    assert run.data.tags["git_rev"] == "abc"
    assert run.data.tags["hash.params"] == "0123"
    assert run.data.tags["hash.record"] == "d41d8cd98f00b204e9800998ecf8427e.dir"
    (read,) = run.inputs.dataset_inputs
    assert (read.dataset.name, read.dataset.digest) == ("record", "d41d8cd98f00b204e9800998ecf8427e.dir")
    assert json.loads(read.dataset.source)["path"] == "data/record"


def test_metrics_over_steps_are_buffered_and_all_arrive(store: Store, client: MlflowClient) -> None:
    clock = itertools.count(0.0, 1e-3)
    tracker = MlflowTracker(provenance(), store, clock=lambda: next(clock))
    for step in range(1200):
        tracker.log(step, {"loss": step / 2})
    early = client.get_metric_history(tracker.run_id, "loss")
    tracker.close("FINISHED")

    late = client.get_metric_history(tracker.run_id, "loss")

    assert len(early) == 1000
    assert [(metric.step, metric.value) for metric in late] == [(step, step / 2) for step in range(1200)]


def test_slow_metrics_do_not_wait_for_the_buffer_to_fill(store: Store, client: MlflowClient) -> None:
    clock = itertools.count(0.0, 3.0)
    tracker = MlflowTracker(provenance(), store, clock=lambda: next(clock))
    for step in range(4):
        tracker.log(step, {"loss": 1.0})

    assert len(client.get_metric_history(tracker.run_id, "loss")) >= 2


def test_the_summary_keeps_what_is_a_number(store: Store, client: MlflowClient) -> None:
    tracker = MlflowTracker(provenance(), store)
    tracker.summary({"success_rate": 0.5, "ci95": [0.4, 0.6], "failures": {"dropped": 3}, "git_rev": "abc", "time_s": None})
    tracker.close("FINISHED")

    assert client.get_run(tracker.run_id).data.metrics == {
        "success_rate": 0.5,
        "ci95.0": 0.4,
        "ci95.1": 0.6,
        "failures.dropped": 3.0,
    }


def test_a_file_is_copied_into_the_run(store: Store, client: MlflowClient, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("hello")
    tracker = MlflowTracker(provenance(), store)
    tracker.artifact(tmp_path / "report.html")
    tracker.close("FINISHED")

    assert [artifact.path for artifact in client.list_artifacts(tracker.run_id)] == ["report.html"]
    assert len(list((tmp_path / "artifacts").rglob("report.html"))) == 1


def test_a_dead_server_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)

    tracker = open_mlflow(provenance()._replace(root=tmp_path))
    tracker.log(0, {"loss": 1.0})
    tracker.summary({"n": 1})
    tracker.close("FINISHED")

    (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert f"MLflow at {address} failed" in warning.getMessage()
    assert "Connection refused" in warning.getMessage()


def test_a_store_that_cannot_be_written_costs_one_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/file/mlflow.db")

    open_mlflow(provenance()._replace(root=tmp_path)).close("FINISHED")

    assert "failed" in caplog.text
    assert len([record for record in caplog.records if record.name.startswith("soarm")]) == 1
