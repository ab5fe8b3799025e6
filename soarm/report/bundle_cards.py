"""The cards beside an exported bundle: README.md of all of it, and one of each network, beside its ONNX file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from soarm.dataset.reader import Dataset
from soarm.evaluation.evaluator import policy_hash
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import paired_table
from soarm.evaluation.summary import summarise
from soarm.report.cards import Evaluation, Network, Training, model_card
from soarm.spec import PolicySpec
from soarm.tasks.task import Task

FILES: Mapping[Network, str] = {"bundle": "README.md", "act": "act.md", "residual": "residual.md"}


def training(
    dataset: Dataset, root: Path, params: Mapping[str, Mapping[str, Any]], profile: str, seed: int, git_rev: str
) -> Training:
    """Return what policies were trained from and with.

    Args:
        dataset: The demonstrations.
        root: Root of the repository; a dataset outside of it is called by its folder's name.
        params: Section of params.yaml -> its values.
        profile: Name of the profile.
        seed: Seed of the run.
        git_rev: Revision of the code.
    """
    path = dataset.path
    name = path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
    size = dataset.n_episodes, dataset.n_frames, dataset.fps
    return Training(name, dataset.hash, *size, params, profile, seed, git_rev)


def evaluation(compared: Path | None, base: Path, residual: Path) -> Evaluation | None:
    """Return what a comparison found, if it compared these policies.

    Args:
        compared: Folder that the stage `compare` wrote; None where there is none.
        base: Folder of the base.
        residual: Folder of the residual.

    Raises:
        DatasetError: The rows in `compared` cannot be read.
    """
    if compared is None:
        return None
    alone, corrected = Results.load(compared, "base"), Results.load(compared, "residual")
    if [one.provenance.get("policy") for one in (alone, corrected)] != [policy_hash(base), policy_hash(residual)]:
        return None
    return Evaluation(summarise(alone), summarise(corrected), paired_table(alone.success, corrected.success))


def write(
    folder: Path,
    task: Task,
    spec: PolicySpec,
    training: Training,
    found: Evaluation | None,
    measured: Mapping[str, Any],
    eye: Sequence[str] = (),
) -> None:
    """Write the cards into the folder of a bundle; the rest as `soarm.report.cards.model_card`."""
    for network, name in FILES.items():
        own = dataclasses.replace(spec, residual_scale=None) if network == "act" else spec
        card = model_card(network, task, own, training, found, measured, eye)
        (folder / name).write_text(card, encoding="utf-8")
