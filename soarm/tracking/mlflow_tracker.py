"""A stage's run in MLflow: a child of the run of its reproduction (`soarm.tracking.mlflow_parent`).

The store is a SQLite file under `mlflow/` of the repository, or whatever `MLFLOW_TRACKING_URI` names. Tracking never stops the
chain: whatever it raises, one warning says so and the stage goes on.
"""

from __future__ import annotations

import json
import logging
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from soarm.ownership import md5
from soarm.spec import content_hash
from soarm.tracking import champion, mlflow_models
from soarm.tracking.experiment import open_experiment
from soarm.tracking.forgiving import Forgiving, without_password
from soarm.tracking.mlflow_parent import KIND_TAG, METRICS_TAG, PARENT_TAG, STAGE_TAG, close_parent, log_params, open_parent
from soarm.tracking.store import Store, clone_name, opened_alone, store_for
from soarm.tracking.tracker import Provenance, Status, Tracker, flatten

_FLUSH_ROWS = 500
_FLUSH_S = 5.0
_BATCH_METRICS = 1000  # limit of one log_batch call

# MLflow's defaults retry a dead server for minutes. Whoever has a slow server raises these in the environment.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


def open_mlflow(provenance: Provenance) -> Tracker:
    """Open a run for a stage; where the store is of no use, the tracker warns once and then does nothing."""
    store = store_for(provenance.root)
    for key, value in _ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # its word on every retry; ours comes once
    return Forgiving(
        lambda: MlflowTracker(provenance, store),
        f"MLflow at {without_password(store.uri)}",
        "Start the server, unset MLFLOW_TRACKING_URI for the local store",
    )


class MlflowTracker(Tracker):
    """A child run of one stage, written through MLflow's client in batches.

    Args:
        provenance: What the run is identified by.
        store: Where it goes.
        clock: Seconds since the epoch.
    """

    def __init__(self, provenance: Provenance, store: Store, clock: Callable[[], float] = time.time) -> None:
        import mlflow

        self._provenance, self._clock = provenance, clock
        mlflow.set_tracking_uri(store.uri)
        clone = clone_name(provenance.root) if store.artifacts is None else None
        with opened_alone(store.uri):
            self._client = mlflow.MlflowClient(store.uri)
            self._experiment = open_experiment(self._client, store.artifacts)
            self._parent = open_parent(self._client, self._experiment, provenance, _tags(provenance), clone)
        tags = {**_tags(provenance), PARENT_TAG: self._parent, STAGE_TAG: provenance.stage, KIND_TAG: "stage"}
        if provenance.trial is not None:
            tags[KIND_TAG] = "trial"
        name = provenance.stage if provenance.trial is None else provenance.trial.name
        self.run_id: str = self._client.create_run(self._experiment, tags=tags, run_name=name).info.run_id
        self._buffer: list[Any] = []
        self._flushed_s = clock()
        self._step = 0
        self._simulator = ""
        self._inputs: dict[str, str] = {}
        self._checkpoint: str | None = None

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        if section == "sim":
            self._simulator = content_hash(repr(values))[:12]
        log_params(self._client, self.run_id, values, section)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._step = step
        self._add([(key, float(value), step, {}) for key, value in metrics.items()])

    def checkpoint(self, folder: Path, digest: str, step: int | None) -> None:
        """See `Tracker`."""
        self._step = self._step if step is None else step
        about = self._client, self._experiment, self.run_id, self._provenance
        self._checkpoint = mlflow_models.log_checkpoint(*about, folder=folder, digest=digest, step=self._step)

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        numbers = {key: float(value) for key, value in flatten(metrics) if isinstance(value, int | float)}
        rows = []
        subjects = [(one.prefix, self._subject(one)) for one in _SUBJECTS.get(self._provenance.stage, ())]
        for key, value in numbers.items():
            subject = next((found for prefix, found in subjects if key.startswith(prefix)), {})
            rows.append((key, value, self._step if subject and subject["model_id"] == self._checkpoint else 0, subject))
        self._add(rows)

    def artifact(self, path: Path) -> None:
        """See `Tracker`."""
        self._client.log_artifact(self.run_id, str(path))

    def dataset(self, name: str, path: Path, digest: str) -> None:
        """See `Tracker`."""
        self._log_dataset(name, digest, "dvc", {"path": str(path), "md5": digest})  # as in dvc.lock: DVC keeps the bytes
        self._inputs[name] = digest
        self._client.set_tag(self.run_id, f"hash.{name}", digest)

    def networks(self, bundle: Path, networks: Mapping[str, Path]) -> None:
        """See `Tracker`."""
        about = {f"hash.{name}": digest for name, digest in self._inputs.items()}
        mlflow_models.register(self._client, self.run_id, self._parent, self._provenance, about, bundle, networks)

    def close(self, status: Status) -> None:
        """See `Tracker`."""
        self._flush()
        end_ms = int(self._clock() * 1000)
        metrics_file = self._provenance.root / "data" / "metrics" / f"{self._provenance.stage}.json"
        if status == "FINISHED" and self._provenance.trial is None and metrics_file.is_file():
            self._client.set_tag(self.run_id, METRICS_TAG, md5(metrics_file))
        self._client.set_terminated(self.run_id, status, end_ms)
        results = close_parent(self._client, self._experiment, self._parent, self._provenance, status, end_ms)
        tested = self._provenance.root / "data" / "compare"
        if status == "FINISHED" and "train_residual" in self._inputs and "compare" in results and tested.is_dir():
            found = champion.read_test(tested, results["compare"])
            mlflow_models.settle_champion(self._client, self._provenance.task, self._inputs["train_residual"], found)

    def _subject(self, subject: _Subject) -> dict[str, str]:
        """Return which model and which dataset a metric is about, as `Metric` takes it; empty where the model is not known."""
        digest = self._inputs.get(subject.model)
        model = self._checkpoint if digest is None else mlflow_models.find_checkpoint(self._client, self._experiment, digest)
        if model is None:
            return {}
        if subject.scenes is None:
            name = next(iter(self._inputs))
            return {"model_id": model, "dataset_name": name, "dataset_digest": self._inputs[name]}
        name, digest = f"{subject.scenes} scenes", content_hash(f"{self._provenance.task} {self._simulator}")[:12]
        self._log_dataset(name, digest, "simulator", {"task": self._provenance.task, "split": subject.scenes})
        return {"model_id": model, "dataset_name": name, "dataset_digest": digest}

    def _log_dataset(self, name: str, digest: str, source_type: str, source: Mapping[str, str]) -> None:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        dataset = Dataset(name, digest, source_type, json.dumps(source))
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", name)])])

    def _add(self, rows: Iterable[tuple[str, float, int, Mapping[str, str]]]) -> None:
        """Buffer metrics: name, value, step, and what they are about."""
        from mlflow.entities import Metric

        now_s = self._clock()
        self._buffer += [
            Metric(key, value, int(now_s * 1000), step, run_id=self.run_id, **about) for key, value, step, about in rows
        ]
        if len(self._buffer) >= _FLUSH_ROWS or now_s - self._flushed_s >= _FLUSH_S:
            self._flush()

    def _flush(self) -> None:
        pending, self._buffer = self._buffer, []
        self._flushed_s = self._clock()
        for start in range(0, len(pending), _BATCH_METRICS):
            self._client.log_batch(self.run_id, metrics=pending[start : start + _BATCH_METRICS])


class _Subject(NamedTuple):
    """What metrics of a stage are about: those whose name begins with `prefix`.

    Attributes:
        prefix: Of the metrics.
        model: Input of the stage that is the checkpoint; empty for the one that the stage itself kept.
        scenes: Split of the simulator's scenes that was measured on; None for the demonstrations.
    """

    prefix: str
    model: str
    scenes: str | None


_SUBJECTS = {
    "train_act": (_Subject("val_", "", None),),
    "train_residual": (_Subject("validation_", "", "validation"),),
    "eval_base": (_Subject("", "train_act", "test"),),
    "compare": (_Subject("base.", "train_act", "test"), _Subject("residual.", "train_residual", "test")),
}


def _tags(provenance: Provenance) -> dict[str, str]:
    tags = {
        "mlflow.user": os.environ.get("USER", "unknown"),
        "mlflow.source.name": f"stages.{provenance.stage}",
        "mlflow.source.git.commit": provenance.git_rev.removesuffix("-dirty"),
        "git_rev": provenance.git_rev,
        "task": provenance.task,
        "profile": provenance.profile,
        "seed": str(provenance.seed),
        "hash.params": provenance.params_hash,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }
    if provenance.trial is not None:
        tags["sweep"] = provenance.trial.sweep
    return tags | ({"dvc.exp": name} if (name := os.environ.get("DVC_EXP_NAME")) else {})
