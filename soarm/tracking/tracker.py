"""What a stage tells an experiment tracker. Knows none: each is a file of its own, and `soarm.tracking.choice` lists them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from soarm.spec import DEFAULT_TASK
from soarm.tracking.trial import Trial

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Provenance(NamedTuple):
    """What a run is identified by.

    Attributes:
        stage: Name of the stage.
        git_rev: Revision of the code, with `-dirty` where the work tree differed.
        profile: Profile of the parameters.
        seed: Seed of the run.
        params_hash: Hash of all parameters with the profile applied.
        root: Root of the repository the work is done in.
        task: Name of the task.
        dataset: Folder of the demonstrations, as params.yaml names it.
        changes: Parameters that differ from the committed profile `default`, nested as in params.yaml.
        trial: The trial of a sweep that it is; None for a stage of the chain.
    """

    stage: str
    git_rev: str
    profile: str
    seed: int
    params_hash: str
    root: Path
    task: str = DEFAULT_TASK
    dataset: str = "data/record"
    changes: Mapping[str, Any] = MappingProxyType({})
    trial: Trial | None = None


def reproduction(provenance: Provenance) -> str:
    """Return a name for runs that belong together: the sweep's, the DVC experiment's, or the state of code and parameters."""
    if provenance.trial is not None:
        return provenance.trial.sweep
    return os.environ.get("DVC_EXP_NAME") or f"{provenance.profile}-{provenance.git_rev[:7]}-{provenance.params_hash[:6]}"


def runs_folder(provenance: Provenance) -> Path:
    """Return the folder, of the repository and ignored by git, for trackers that write files.

    `dvc exp run` works in a temporary copy; DVC_ROOT names the repository it was made from.
    """
    return Path(os.environ.get("DVC_ROOT", provenance.root)) / "runs"


class Tracker:
    """Where a stage's run is written down. This one writes nothing: a tracker overrides what it can do."""

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """Note the parameters of a section; nested mappings become dotted keys."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note metrics at a step; may be buffered."""

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """Note the final metrics; nested mappings become dotted keys, what is not a number is left out."""

    def artifact(self, path: Path) -> None:
        """Copy a file into the run."""

    def dataset(self, name: str, path: Path, digest: str) -> None:
        """Note that the run read the folder `path`, by reference."""

    def checkpoint(self, folder: Path, digest: str, step: int | None) -> None:
        """Note the weights that a training kept, before its `summary`: DVC's hash of the folder, the step (None: the last)."""

    def networks(self, bundle: Path, networks: Mapping[str, Path]) -> None:
        """Register the networks of a bundle, `base` and `residual`, as the newest of the task; each an ONNX file."""

    def close(self, status: Status) -> None:
        """Write what is buffered and end the run."""


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings and lists with dotted keys, in order."""
    for key, value in values.items():
        dotted = f"{prefix}.{key}" if prefix else str(key)
        if isinstance(value, list | tuple):
            value = {str(i): inner for i, inner in enumerate(value)}
        if isinstance(value, Mapping):
            yield from flatten(value, dotted)
        else:
            yield dotted, value
