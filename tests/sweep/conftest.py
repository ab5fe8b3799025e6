"""A repository with a stage of a few lines that trains in no time; Optuna is an extra."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from soarm.quantities import Count, Positive

# As a stage does it, but without what takes a second to import. It is good where lr is near 0.01, and never gets far with 0.1.
STAGE = """
import json, os, pathlib, sys, time
import yaml

place = pathlib.Path(os.environ["SOARM_TRIAL"])
params = yaml.safe_load((place / "params.yaml").read_text())["base"]["train_residual"]
lr, data = params["learner"]["lr"], place / "data"
checkpoint, curves = data / ".scratch" / "step", data / "live" / "train_residual" / "plots" / "metrics"
for folder in (checkpoint.parent, curves):
    folder.mkdir(parents=True, exist_ok=True)
with (place / "starts").open("a") as file:
    file.write(f"{checkpoint.read_text() if checkpoint.exists() else 0}\\n")
print("training", flush=True)
if params["mode"] == "broken":
    sys.exit("TrainingError: the loss is no longer finite")
first = int(checkpoint.read_text()) if checkpoint.exists() else 0
rows = [(step, (1 - abs(lr - 0.01) * 10) * step / 400) for step in range(first + 100, 500, 100)]
for n, (step, value) in enumerate(rows):
    lines = [f"{s}\\t{v}" for s, v in rows[: n + 1]]
    new = curves / "new"
    new.write_text("\\n".join(["step\\tvalidation_success", *lines]) + "\\n")
    new.rename(curves / "validation_success.tsv")
    checkpoint.write_text(str(step))
    while params["mode"] == "slow" and step == 200 and not (place.parent / "go").exists():
        time.sleep(0.02)
(data / "metrics").mkdir()
(data / "metrics" / "train_residual.json").write_text(json.dumps({"validation_success": rows[-1][1]}))
(data / "train_residual").mkdir()
"""


@dataclasses.dataclass(frozen=True)
class LearnerParams:
    lr: Positive
    gamma: Positive


@dataclasses.dataclass(frozen=True)
class ToyParams:
    learner: LearnerParams
    mode: str
    log_every: Count


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The root of a repository with the toy stage in it, and the input that it depends on; the working directory."""
    section = {"learner": {"lr": 0.05, "gamma": 0.9}, "mode": "quick", "log_every": 100}
    header = {"profile": "default", "task": "toy", "seed": 0, "dataset": "data/record", "tracking": [], "dataset_units": None}
    layers = {"base": {"train_residual": section}, "tasks": {"toy": {}}, "default": {"train_residual": {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(header | layers))
    stage = {
        "cmd": "python -m stages.train_residual",
        "deps": ["stages/train_residual.py", "${dataset}", "data/train_act"],
        "params": ["seed", "base.train_residual", "tasks.${task}.train_residual", "${profile}.train_residual"],
    }
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train_residual": stage}}))
    for folder in ("stages", "data/record", "data/train_act"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "stages" / "__init__.py").touch()
    (tmp_path / "stages" / "train_residual.py").write_text(STAGE)
    (tmp_path / "data" / "train_act" / "weights").write_text("some")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)  # `stages` is the toy's
    return tmp_path


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> object:
    """The toy stage as one that can be swept."""
    from soarm.sweep import swept

    toy = swept.Swept("train_residual", ToyParams, "validation_success", "maximize", ("log_every",))
    monkeypatch.setitem(swept.STAGES, "train_residual", toy)
    return toy
