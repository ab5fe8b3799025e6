"""A stage's run in MLflow: one parent run per reproduction, one child per stage that really ran.

A reproduction is a DVC experiment, or one state of code and parameters; DVC skips the stages that are up to date, so any stage
may be the first to come and opens the parent. The store is a SQLite file under `mlflow/` of the repository, or whatever
`MLFLOW_TRACKING_URI` names. Tracking never stops the chain: whatever it raises, one warning says so and the stage goes on.
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
from typing import Any

from soarm.tracking.forgiving import Forgiving, without_password
from soarm.tracking.store import Store, opened_alone, store_for
from soarm.tracking.tracker import Provenance, Status, Tracker, flatten

EXPERIMENT = "soarm"
PIPELINE_TAG = "soarm.pipeline"
_FLUSH_ROWS = 500
_FLUSH_S = 5.0
_BATCH_METRICS, _BATCH_PARAMS = 1000, 100  # limits of one log_batch call
_PARAM_CHARS = 6000

# MLflow's defaults retry a dead server for minutes. Whoever has a slow server raises these in the environment.
_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
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

        self._clock = clock
        mlflow.set_tracking_uri(store.uri)
        with opened_alone(store.uri):
            self._client = mlflow.MlflowClient(store.uri)
            experiment = _experiment(self._client, store)
            parent = _parent(self._client, experiment, provenance)
        tags = {**_tags(provenance), "mlflow.parentRunId": parent, "soarm.stage": provenance.stage}
        self.run_id: str = self._client.create_run(experiment, tags=tags, run_name=provenance.stage).info.run_id
        self._buffer: list[Any] = []
        self._flushed_s = clock()

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        from mlflow.entities import Param

        found = [Param(key, str(value)[:_PARAM_CHARS]) for key, value in flatten(values, section)]
        for start in range(0, len(found), _BATCH_PARAMS):
            self._client.log_batch(self.run_id, params=found[start : start + _BATCH_PARAMS])

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        from mlflow.entities import Metric

        now_s = self._clock()
        self._buffer += [Metric(key, float(value), int(now_s * 1000), step) for key, value in metrics.items()]
        if len(self._buffer) >= _FLUSH_ROWS or now_s - self._flushed_s >= _FLUSH_S:
            self._flush()

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """See `Tracker`."""
        self.log(0, {key: float(value) for key, value in flatten(metrics) if isinstance(value, int | float)})

    def artifact(self, path: Path) -> None:
        """See `Tracker`."""
        self._client.log_artifact(self.run_id, str(path))

    def dataset(self, name: str, path: Path, digest: str) -> None:
        """See `Tracker`."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        source = json.dumps({"path": str(path), "md5": digest})  # as in dvc.lock: DVC keeps the bytes
        dataset = Dataset(name, digest, "dvc", source)
        self._client.log_inputs(self.run_id, datasets=[DatasetInput(dataset, [InputTag("mlflow.data.context", name)])])
        self._client.set_tag(self.run_id, f"hash.{name}", digest)

    def onnx_model(self, path: Path, name: str, alias: str) -> None:
        """See `Tracker`."""
        import mlflow
        import onnx

        model = onnx.load(path)
        with mlflow.start_run(run_id=self.run_id):  # log_model knows only the active run
            logged = mlflow.onnx.log_model(
                model,
                name=name,
                signature=_signature(model),
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in ("onnxruntime", "numpy")],
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,  # the stored file is then ours, byte for byte
                registered_model_name=name,
            )
        self._client.set_registered_model_alias(name, alias, str(logged.registered_model_version))

    def close(self, status: Status) -> None:
        """See `Tracker`."""
        self._flush()
        self._client.set_terminated(self.run_id, status)

    def _flush(self) -> None:
        pending, self._buffer = self._buffer, []
        self._flushed_s = self._clock()
        for start in range(0, len(pending), _BATCH_METRICS):
            self._client.log_batch(self.run_id, metrics=pending[start : start + _BATCH_METRICS])


def pipeline_key(provenance: Provenance) -> str:
    """Return what the parent run is found by: the DVC experiment, or the state of code and parameters."""
    experiment = os.environ.get("DVC_EXP_NAME")
    return f"exp:{experiment}" if experiment else f"repro:{provenance.git_rev}:{provenance.params_hash}"


def _experiment(client: Any, store: Store) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    return str(found.experiment_id if found else client.create_experiment(EXPERIMENT, artifact_location=store.artifacts))


def _parent(client: Any, experiment: str, provenance: Provenance) -> str:
    """Get or create the parent run; it is closed at once, children may still join."""
    key = pipeline_key(provenance)
    found = client.search_runs([experiment], f"tags.`{PIPELINE_TAG}` = '{key}'", max_results=1)
    if found:
        return str(found[0].info.run_id)
    name = os.environ.get("DVC_EXP_NAME") or f"{provenance.profile} {provenance.git_rev[:7]}"
    run = client.create_run(experiment, tags={**_tags(provenance), PIPELINE_TAG: key}, run_name=name)
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def _tags(provenance: Provenance) -> dict[str, str]:
    tags = {
        "mlflow.user": os.environ.get("USER", "unknown"),
        "mlflow.source.name": f"stages.{provenance.stage}",
        "mlflow.source.git.commit": provenance.git_rev.removesuffix("-dirty"),
        "git_rev": provenance.git_rev,
        "profile": provenance.profile,
        "seed": str(provenance.seed),
        "hash.params": provenance.params_hash,
        "python": platform.python_version(),
        "torch": metadata.version("torch"),
    }
    return tags | ({"dvc.exp": name} if (name := os.environ.get("DVC_EXP_NAME")) else {})


def _signature(model: Any) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    def schema(values: Iterable[Any]) -> Any:
        specs: list[ColSpec | TensorSpec] = []
        for value in values:
            tensor = value.type.tensor_type
            shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
            specs.append(TensorSpec(tensor_dtype_to_np_dtype(tensor.elem_type), shape, value.name))
        return Schema(specs)

    return ModelSignature(inputs=schema(model.graph.input), outputs=schema(model.graph.output))
