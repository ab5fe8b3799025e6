"""What a stage tells an experiment tracker, and the tracker that does nothing.

Knows no MLflow: `soarm.tracking.mlflow_tracker` does, and is imported only when tracking is on.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

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
    """

    stage: str
    git_rev: str
    profile: str
    seed: int
    params_hash: str
    root: Path


class Tracker(Protocol):
    """Where a stage's run is written down."""

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """Note the parameters of a section; nested mappings become dotted keys."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note metrics at a step; may be buffered."""

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """Note the final metrics; nested mappings become dotted keys, what is not a number is left out."""

    def tag(self, key: str, value: str) -> None:
        """Attach a tag to the run."""

    def artifact(self, path: Path) -> None:
        """Copy a file into the run."""

    def dataset(self, name: str, path: Path, digest: str) -> None:
        """Note that the run read the folder `path`, by reference."""

    def onnx_model(self, path: Path, name: str, alias: str) -> None:
        """Log an ONNX file with its signature and register it as `name`, reachable under `alias`."""

    def close(self, status: Status) -> None:
        """Write what is buffered and end the run."""


class NullTracker:
    """Tracking switched off: takes everything, keeps nothing."""

    def params(self, section: str, values: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Do nothing."""

    def summary(self, metrics: Mapping[str, Any]) -> None:
        """Do nothing."""

    def tag(self, key: str, value: str) -> None:
        """Do nothing."""

    def artifact(self, path: Path) -> None:
        """Do nothing."""

    def dataset(self, name: str, path: Path, digest: str) -> None:
        """Do nothing."""

    def onnx_model(self, path: Path, name: str, alias: str) -> None:
        """Do nothing."""

    def close(self, status: Status) -> None:
        """Do nothing."""


def open_tracker(provenance: Provenance) -> Tracker:
    """Return the tracker the environment asks for: MLflow, or none where `SOARM_TRACKING=off`."""
    if os.environ.get("SOARM_TRACKING", "on") == "off":
        return NullTracker()
    from soarm.tracking.mlflow_tracker import open_mlflow  # MLflow takes two seconds to import

    return open_mlflow(provenance)
