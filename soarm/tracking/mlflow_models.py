"""Models in MLflow: a LoggedModel per checkpoint that a training kept, and registered versions of the exported networks.

A task has one registered model, `soarm-<task>`. Its versions are networks: `base` and `residual` are the newest of each, and
`champion` is moved by tests alone (`soarm.tracking.champion`). A residual comes with the whole bundle that drives an arm.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from soarm.tracking.champion import PairedTest, verdict
from soarm.tracking.tracker import Provenance

logger = logging.getLogger(__name__)

MAX_CHECKPOINT_BYTES = 8_000_000
"""A checkpoint's files are copied up to this size in all; beyond it the LoggedModel refers to them by DVC's hash alone."""
_TEST_TAG = "soarm.test"
_NO_ALIAS = "ci"


def registered_name(task: str) -> str:
    """Return the name of a task's registered model."""
    return f"soarm-{task}"


def log_checkpoint(
    client: Any, experiment: str, run_id: str, provenance: Provenance, *, folder: Path, digest: str, step: int
) -> str:
    """Log the weights that a training kept as a LoggedModel of its run, and return its id.

    Args:
        client: MLflow's.
        experiment: Id of the experiment.
        run_id: Id of the stage's run.
        provenance: What the run is identified by.
        folder: Where the checkpoint lies; its safetensors and its specification are copied.
        digest: DVC's hash of the folder.
        step: At which the weights were kept.
    """
    from mlflow.entities import LoggedModelOutput

    of_run = {"task": provenance.task, "profile": provenance.profile, "seed": str(provenance.seed)}
    model = client.create_logged_model(
        experiment,
        name=f"{provenance.stage}-checkpoint",
        source_run_id=run_id,
        params={"step": str(step), **of_run},
        tags={"hash": digest, "git_rev": provenance.git_rev, "dvc.path": f"data/{provenance.stage}"},
        model_type="checkpoint",
    )
    files = sorted(path for path in folder.glob("*") if path.suffix in (".safetensors", ".json"))
    if sum(path.stat().st_size for path in files) <= MAX_CHECKPOINT_BYTES:
        for path in files:
            client.log_model_artifact(model.model_id, str(path))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    return str(model.model_id)


def find_checkpoint(client: Any, experiment: str, digest: str) -> str | None:
    """Return the id of the LoggedModel of a checkpoint; None where the store has none."""
    found = client.search_logged_models([experiment], f"tags.hash = '{digest}'", max_results=1)
    return str(found[0].model_id) if found else None


def register(
    client: Any,
    run_id: str,
    parent: str,
    provenance: Provenance,
    about: Mapping[str, str],
    bundle: Path,
    networks: Mapping[str, Path],
) -> None:
    """Register the networks of a bundle as the newest versions of the task's model.

    Their description is the card beside each file (`act.md` beside `act.onnx`), or a few words where there is none. The
    profile `ci` moves no alias.

    Args:
        client: MLflow's.
        run_id: Id of the run that exported them.
        parent: Id of the run of its reproduction, which they are from: it has what a person wants to know of them.
        provenance: What the runs are identified by.
        about: Further tags of the versions: hashes of the checkpoints.
        bundle: Folder of the bundle.
        networks: Network -> its ONNX file.
    """
    import mlflow
    import onnx
    from mlflow.entities import LoggedModelOutput

    name = registered_name(provenance.task)
    tags = {"profile": provenance.profile, "seed": str(provenance.seed), "git_rev": provenance.git_rev, **about}
    _describe_model(client, name, provenance.task)
    for network, path in networks.items():
        model = onnx.load(path)
        with mlflow.start_run(run_id=parent):  # log_model knows only the active run
            logged = mlflow.onnx.log_model(
                model,
                name=network,
                signature=_signature(model),
                pip_requirements=[f"{package}=={metadata.version(package)}" for package in ("onnxruntime", "numpy")],
                onnx_execution_providers=["CPUExecutionProvider"],
                save_as_external_data=False,  # the stored file is then ours, byte for byte
                extra_files=[str(one) for one in sorted(bundle.iterdir())] if network == "residual" else None,
                registered_model_name=name,
            )
        version = str(logged.registered_model_version)
        client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, 0)])
        for key, value in {"network": network, **tags}.items():
            client.set_model_version_tag(name, version, key, value)
        card = path.with_suffix(".md")
        text = _card(card.read_text(encoding="utf-8")) if card.exists() else _words(network, provenance)
        client.update_model_version(name, version, text)
        if provenance.profile != _NO_ALIAS:
            client.set_registered_model_alias(name, network, version)


def settle_champion(client: Any, task: str, residual: str, found: PairedTest) -> None:
    """Note the test of a residual with its version, and let it become the champion if it deserves it.

    Args:
        client: MLflow's.
        task: Name of the task.
        residual: DVC's hash of the checkpoint that was tested. Where no version was exported from it, nothing happens.
        found: The test.
    """
    name = registered_name(task)
    of_it = [one for one in client.search_model_versions(f"name = '{name}'") if one.tags.get("network") == "residual"]
    versions = [one for one in of_it if one.tags.get("hash.train_residual") == residual]
    if not versions:
        return
    version = max(versions, key=lambda one: int(one.version))
    client.set_model_version_tag(name, version.version, _TEST_TAG, found.to_json())
    number = client.get_registered_model(name).aliases.get("champion")
    if number == version.version:
        return
    champion = next((one.tags.get(_TEST_TAG) for one in of_it if one.version == number), None)
    wins, why = verdict(found, None if champion is None else PairedTest.from_json(champion))
    client.set_model_version_tag(name, version.version, "champion", f"{'yes' if wins else 'no'}: {why}")
    if wins:
        client.set_registered_model_alias(name, "champion", version.version)
        logger.info("%s version %s is the champion: %s", name, version.version, why)


def _describe_model(client: Any, name: str, task: str) -> None:
    from mlflow.exceptions import MlflowException

    description = (
        f"Networks for the task {task} on an SO-ARM100, in ONNX. Aliases: `base` and `residual` are the newest of each; "
        "`champion` is the residual that a paired test preferred, and is never moved by hand or by the profile `ci`. "
        "A version of the residual holds the whole bundle (`extra_files`), which `soarm drive` takes."
    )
    try:
        client.create_registered_model(name, description=description)
    except MlflowException:  # there is one
        client.update_registered_model(name, description)


def _card(text: str) -> str:
    """Return a card without the block of YAML at its top, which MLflow would show as text."""
    return text.partition("\n---\n")[2].strip() if text.startswith("---\n") else text


def _words(network: str, provenance: Provenance) -> str:
    what = {"base": "ACT, imitated from demonstrations", "residual": "Residual on the frozen ACT of the version before it"}
    of_run = f"task {provenance.task}, profile {provenance.profile}, seed {provenance.seed}, code {provenance.git_rev[:7]}"
    return f"{what[network]}; {of_run}."


def _signature(model: Any) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec
    from onnx.helper import tensor_dtype_to_np_dtype

    def schema(values: Iterable[Any]) -> Any:
        specs: list[ColSpec | TensorSpec] = []
        for value in values:
            tensor = value.type.tensor_type
            shape: Sequence[int] = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
            specs.append(TensorSpec(tensor_dtype_to_np_dtype(tensor.elem_type), tuple(shape), value.name))
        return Schema(specs)

    return ModelSignature(inputs=schema(model.graph.input), outputs=schema(model.graph.output))
