"""Which parameters differ from the committed profile `default`."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from soarm import params as params_file
from soarm.provenance import changes

FILE: dict[str, Any] = {
    "profile": "ci",
    "task": "push",
    "seed": 0,
    "dataset": "data/record",
    "dataset_units": None,
    "tracking": ["mlflow"],
    "base": {"train": {"steps": 100, "network": {"dim": 8, "heads": 2}}, "study": {"n": 1}},
    "tasks": {"push": {"train": {"network": {"heads": 4}}}},
    "default": {},
    "ci": {"train": {"steps": 3}, "study": {"n": 2}},
}


def commit(root: Path, content: dict[str, Any]) -> None:
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    for words in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start"],
    ):
        subprocess.run(["git", *words], cwd=root, check=True)


def found(root: Path, content: dict[str, Any]) -> dict[str, Any]:
    (root / "params.yaml").write_text(yaml.safe_dump(content))
    return changes(root, params_file.load(root / "params.yaml"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"profile": "default"}, {}),
        ({}, {"train": {"steps": 3}}),
        ({"profile": "default", "seed": 2, "dataset": "datasets/mine"}, {"seed": 2, "dataset": "datasets/mine"}),
        ({"profile": "default", "default": {"train": {"network": {"dim": 16}}}}, {"train": {"network": {"dim": 16}}}),
    ],
    ids=["default", "profile", "header", "edited"],
)
def test_changes_are_what_differs_from_the_committed_default(
    tmp_path: Path, content: dict[str, Any], expected: dict[str, Any]
) -> None:
    commit(tmp_path, FILE)

    assert found(tmp_path, FILE | content) == expected


def test_without_a_committed_default_nothing_is_known_to_differ(tmp_path: Path) -> None:
    content = {key: value for key, value in FILE.items() if key != "default"}
    commit(tmp_path, content)

    assert found(tmp_path, content) == {}
