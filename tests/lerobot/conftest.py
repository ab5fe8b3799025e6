"""Policies as the real LeRobot wrote them, with weights made by a rule (benchmarks/lerobot_vectors.py)."""

from __future__ import annotations

import json
import runpy
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

MADE_WEIGHT = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "lerobot_vectors.py"))["made_weight"]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def theirs(tmp_path):
    """Return a maker of the folder of one of the archive's policies."""

    def make(case: str) -> Path:
        with zipfile.ZipFile(Path(__file__).with_name("fixtures") / "act-0.4.4.zip") as archive:
            archive.extractall(tmp_path, [name for name in archive.namelist() if name.startswith(f"{case}/")])
        shapes = json.loads((tmp_path / case / "shapes.json").read_text())
        weights = {name: torch.from_numpy(MADE_WEIGHT(name, tuple(shape))) for name, shape in shapes.items()}
        save_file(weights, tmp_path / case / "model.safetensors")
        return tmp_path / case

    return make
