"""What a stage tells an experiment tracker. Knows none: each is a file of its own, and `soarm.tracking.choice` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

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

    def onnx_model(self, path: Path, name: str, alias: str) -> None:
        """Log an ONNX file with its signature and register it as `name`, reachable under `alias`."""

    def close(self, status: Status) -> None:
        """Write what is buffered and end the run."""
