"""Which results stand: those whose code, parameters and inputs are as dvc.lock has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from soarm.ownership import digest, md5
from soarm.tracking.standing import standing

HEADER = {"profile": "default", "task": "push", "dataset": "data/record"}
DEPS = {"record": ["soarm/sim"], "train_act": ["stages/train_act.py", "${dataset}"], "export": ["data/train_act"]}


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository whose three stages are all up to date."""
    write(tmp_path / "params.yaml", {"seed": 0, "default": {"train_act": {"steps": 3}}, "ci": {"train_act": {"steps": 3}}})
    write(tmp_path / "soarm" / "sim" / "world.py", "x = 1\n")
    write(tmp_path / "stages" / "train_act.py", "y = 1\n")
    declared = {stage: {"deps": deps, "params": ["seed", "${profile}.train_act"]} for stage, deps in DEPS.items()}
    write(tmp_path / "dvc.yaml", {"stages": declared})
    params = {"seed": 0, "default.train_act": {"steps": 3}}
    locked = {}
    for stage, deps in DEPS.items():
        write(tmp_path / "data" / stage / "result", stage)
        write(tmp_path / "data" / "metrics" / f"{stage}.json", json.dumps({"wall_s": 1.0, "of": stage}))
        paths = [tmp_path / dep.replace("${dataset}", "data/record") for dep in deps]
        files = [tmp_path / "data" / stage, tmp_path / "data" / "metrics" / f"{stage}.json"]
        locked[stage] = {
            "deps": [entry(path, tmp_path) for path in paths],
            "params": {"params.yaml": params},
            "outs": [entry(path, tmp_path) for path in files],
        }
    write(tmp_path / "dvc.lock", {"stages": locked})
    return tmp_path


def entry(path: Path, root: Path) -> dict[str, str]:
    return {"path": path.relative_to(root).as_posix(), "md5": digest(path) if path.is_dir() else md5(path)}


def test_results_that_are_up_to_date_stand_in_the_order_of_the_chain(root: Path) -> None:
    write(root / "soarm" / "sim" / "__pycache__" / "world.pyc", "compiled")

    found = standing(root, HEADER)

    assert list(found) == ["record", "train_act", "export"]
    assert found["export"] == {"wall_s": 1.0, "of": "export"}


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (lambda root: write(root / "soarm" / "sim" / "world.py", "x = 2\n"), ["train_act", "export"]),
        (lambda root: write(root / "stages" / "train_act.py", "y = 2\n"), ["record", "export"]),
        (lambda root: write(root / "params.yaml", {"seed": 1, "default": {"train_act": {"steps": 3}}}), []),
        (lambda root: write(root / "data" / "metrics" / "export.json", "{}"), ["record", "train_act"]),
        (lambda root: (root / "data" / "metrics" / "export.json").unlink(), ["record", "train_act"]),
        (lambda root: (root / "dvc.lock").unlink(), []),
        (lambda root: write(root / "dvc.yaml", "stages: ["), []),
    ],
    ids=["code", "stage", "parameter", "another's metrics", "no metrics", "no lock", "no pipeline"],
)
def test_a_result_of_another_state_does_not_stand(root: Path, change: Callable[[Path], object], left: list[str]) -> None:
    change(root)

    assert list(standing(root, HEADER)) == left


@pytest.mark.parametrize(
    ("header", "left"),
    [({"profile": "ci"}, []), ({"dataset": "datasets/mine"}, ["record", "export"])],
    ids=["profile", "dataset"],
)
def test_a_result_of_another_profile_or_dataset_does_not_stand(root: Path, header: dict[str, str], left: list[str]) -> None:
    assert list(standing(root, HEADER | header)) == left


def test_what_has_just_run_stands_and_takes_what_followed_from_its_last_result_with_it(root: Path) -> None:
    same = list(standing(root, HEADER, ["train_act"]))
    write(root / "stages" / "train_act.py", "y = 2\n")
    write(root / "data" / "train_act" / "result", "another")

    assert same == ["record", "train_act", "export"]
    assert list(standing(root, HEADER, ["train_act"])) == ["record", "train_act"]
