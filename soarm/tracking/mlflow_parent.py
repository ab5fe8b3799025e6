"""The parent run in MLflow: one per reproduction, over the runs of its stages.

A reproduction is a DVC experiment, or one state of code and parameters. DVC skips the stages that are up to date, so any stage
may be the first to come, and the parent carries the results of the skipped ones as well (`soarm.tracking.standing`). It begins
with its first stage and ends with its last; a stage that joins later moves its end.

Where several clones share a store, each has reproductions of its own: code that is not committed has no name, and a result
that stands in one clone may not stand in another. Nothing in MLflow keeps two processes that begin together from making a
parent each, so the one that was made first counts: whoever made another sees it then, or when its stage ends.

A sweep has a parent run as well, over the runs of its trials. It carries no results: each trial has its own.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from soarm.ownership import md5
from soarm.tracking.reproduction import describe, figures
from soarm.tracking.standing import standing
from soarm.tracking.tracker import Provenance, Status, flatten

PIPELINE_TAG, KIND_TAG = "soarm.pipeline", "kind"
STAGE_TAG, METRICS_TAG, PARENT_TAG = "soarm.stage", "hash.metrics", "mlflow.parentRunId"
_BATCH_PARAMS = 100  # limit of one log_batch call
_PARAM_CHARS = 6000


def pipeline_key(provenance: Provenance, clone: str | None) -> str:
    """Return what the parent run is found by: the sweep, the DVC experiment, or the state of code and parameters.

    Args:
        provenance: What a run is identified by.
        clone: Where the store is shared, the name of the clone, whose experiment or state it is.
    """
    if provenance.trial is not None:
        return f"sweep:{provenance.trial.sweep}"
    experiment = os.environ.get("DVC_EXP_NAME")
    key = f"exp:{experiment}" if experiment else f"repro:{provenance.git_rev}:{provenance.params_hash}"
    return f"{key}:{clone}" if clone else key


def log_params(client: Any, run_id: str, values: Mapping[str, Any], prefix: str = "") -> None:
    """Log nested parameters with dotted keys."""
    from mlflow.entities import Param

    found = [Param(key, str(value)[:_PARAM_CHARS]) for key, value in flatten(values, prefix)]
    for start in range(0, len(found), _BATCH_PARAMS):
        client.log_batch(run_id, params=found[start : start + _BATCH_PARAMS])


def open_parent(
    client: Any, experiment: str, provenance: Provenance, tags: Mapping[str, str], clone: str | None = None
) -> str:
    """Get or create the parent run and return its id; it counts as running until `close_parent`.

    Args:
        client: MLflow's.
        experiment: Id of the experiment.
        provenance: What the stage's run is identified by.
        tags: Of the stage's run.
        clone: See `pipeline_key`.
    """
    key = pipeline_key(provenance, clone)
    if found := _parents(client, experiment, key):
        client.update_run(found[0], "RUNNING")
        return found[0]
    name = os.environ.get("DVC_EXP_NAME") or f"{provenance.task} {provenance.profile} {provenance.git_rev[:7]}"
    about = {**tags, PIPELINE_TAG: key, KIND_TAG: "reproduction", "mlflow.source.name": "dvc repro"}
    if provenance.trial is not None:
        name = provenance.trial.sweep
        about |= {KIND_TAG: "sweep", "mlflow.source.name": "soarm sweep"}
    run_id = str(client.create_run(experiment, tags=about, run_name=name).info.run_id)
    if provenance.trial is None:
        log_params(client, run_id, provenance.changes)
    return _first_parent(client, experiment, run_id, key)


def close_parent(
    client: Any, experiment: str, parent: str, provenance: Provenance, status: Status, end_ms: int
) -> Mapping[str, Any]:
    """Write into the parent run what stands now, and move its end to that of a stage.

    Args:
        client: MLflow's.
        experiment: Id of the experiment.
        parent: Id of the parent run.
        provenance: What the stage's run is identified by.
        status: How the stage ended.
        end_ms: When [ms since the epoch].

    Returns:
        Metrics of the stages whose results stand; none for a sweep.
    """
    from mlflow.entities import Metric, RunTag

    parent = _first_parent(client, experiment, parent, client.get_run(parent).data.tags[PIPELINE_TAG])
    if provenance.trial is not None:
        client.set_terminated(parent, "FINISHED", end_ms)  # however this trial ended: sweeps stop most of theirs early
        return {}
    header = {"profile": provenance.profile, "task": provenance.task, "dataset": provenance.dataset}
    own = {run.data.tags[STAGE_TAG]: run for run in _children(client, experiment, parent)}
    results = standing(provenance.root, header, [stage for stage in own if "." not in stage])
    made = {stage: own.get(stage) or _maker(client, experiment, provenance, stage) for stage in ("compare", "export")}
    versions = _versions(client, made["export"]) if "export" in results else []
    run = client.get_run(parent)
    found = figures(results)
    gone = {key: math.nan for key, value in run.data.metrics.items() if key not in found and not math.isnan(value)}
    metrics = [Metric(key, value, end_ms, 0) for key, value in {**found, **gone}.items() if run.data.metrics.get(key) != value]
    links = [*_links(experiment, made["compare"] if "compare" in results else None, versions)]
    note = RunTag("mlflow.note.content", describe(provenance, results, own.keys(), links))
    client.log_batch(parent, metrics=metrics, tags=[note])
    client.set_terminated(parent, status, end_ms)
    return results


def _parents(client: Any, experiment: str, key: str) -> list[str]:
    """Return the ids of the parent runs of a key, the one that counts first: one, but where several were made at once."""
    found = client.search_runs([experiment], f"tags.`{PIPELINE_TAG}` = '{key}'")
    return [str(run.info.run_id) for run in sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))]


def _first_parent(client: Any, experiment: str, parent: str, key: str) -> str:
    """Return the parent run that counts; if `parent` is another, its children go to that one, and it is deleted."""
    from mlflow.exceptions import MlflowException

    first = next(iter(_parents(client, experiment, key)), parent)  # none where somebody has deleted it
    if first != parent:
        for child in client.search_runs([experiment], f"tags.`{PARENT_TAG}` = '{parent}'"):
            client.set_tag(child.info.run_id, PARENT_TAG, first)
        with suppress(MlflowException):  # another process has deleted it
            client.delete_run(parent)
    return first


def _children(client: Any, experiment: str, parent: str) -> list[Any]:
    """Return the finished runs of a reproduction's stages, the newest of each stage last."""
    of_parent = f"tags.`{PARENT_TAG}` = '{parent}' and attributes.status = 'FINISHED'"
    return list(client.search_runs([experiment], of_parent, order_by=["attribute.start_time ASC"]))


def _maker(client: Any, experiment: str, provenance: Provenance, stage: str) -> Any:
    """Return the run of any reproduction that wrote the metrics of a stage as they are; None where the store has none."""
    path = provenance.root / "data" / "metrics" / f"{stage}.json"
    if not path.is_file():
        return None
    wrote_them = f"tags.`{STAGE_TAG}` = '{stage}' and tags.`{METRICS_TAG}` = '{md5(path)}'"
    return next(iter(client.search_runs([experiment], wrote_them, max_results=1)), None)


def _versions(client: Any, exported: Any) -> list[Any]:
    """Return the newest version of each network that a reproduction registered, by a run of its stage `export`."""
    if exported is None:
        return []
    of_parent = f"run_id = '{exported.data.tags[PARENT_TAG]}'"
    found = client.search_model_versions(of_parent, order_by=["version_number ASC"])
    return list({one.tags.get("network"): one for one in found}.values())


def _links(experiment: str, compared: Any, versions: list[Any]) -> Iterator[str]:
    if compared is not None:
        yield f"[Report with films](#/experiments/{experiment}/runs/{compared.info.run_id}/artifacts/report.html)"
    for version in versions:
        network = version.tags.get("network", version.name)
        yield f"[Model: {network}](#/models/{version.name}/versions/{version.version})"
