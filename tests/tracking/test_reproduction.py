"""A reproduction in MLflow, read back as a person reads it: figures, words, models, champion."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml

from soarm.evaluation.results import EpisodeRow, Results
from soarm.ownership import digest, md5
from soarm.tasks.pick_place import TASK
from soarm.tracking.mlflow_tracker import MlflowTracker
from soarm.tracking.store import Store
from soarm.tracking.tracker import Provenance

if TYPE_CHECKING:
    from mlflow import MlflowClient

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, which differ by version

INPUTS = {"train_act": ["record"], "compare": ["train_act", "train_residual"], "export": ["train_act", "train_residual"]}
STAGES = ["record", "train_act", "train_residual", "compare", "export"]
METRICS: dict[str, dict[str, Any]] = {
    "record": {"episodes": 100, "frames": 9619},
    "train_act": {"parameters": 874150, "val_l1_deg": 3.79},
    "train_residual": {"env_steps": 200000, "kept_step": 150000, "validation_success": 0.99},
    "export": {"act_ms": 0.2},
}
START_S = 1.7e9


class Chain:
    """A repository whose stages write what the real ones do, and a tracker as `open_stage` would have it."""

    def __init__(self, root: Path, store: Store) -> None:
        self.root, self.store, self.now_s = root, store, START_S
        (root / "params.yaml").write_text("seed: 0\n")
        declared = {stage: {"deps": [], "params": ["seed"]} for stage in STAGES}
        (root / "dvc.yaml").write_text(yaml.safe_dump({"stages": declared}))

    def run(self, stages: list[str], git_rev: str = "a" * 40, profile: str = "default", solved: str = "++++++++++") -> None:
        """Run stages one after the other, 60 s each; ACT alone solves the first scene, the residual those with a plus."""
        for stage in stages:
            changes = {"train_act": {"steps": 300, "network": {"dim_model": 32}}}
            about = Provenance(stage, git_rev, profile, 3, "0123", self.root, "pick_place", "data/record", changes)
            tracker = MlflowTracker(about, self.store, clock=lambda: self.now_s)
            tracker.params("sim", {"control_hz": 30})
            folder, metrics = self._write(stage, solved, git_rev + profile)
            for name in INPUTS.get(stage, []):
                if (self.root / "data" / name).exists():
                    tracker.dataset(name, Path("data") / name, digest(self.root / "data" / name))
            if stage.startswith("train"):
                tracker.log(300, {"loss": 0.5})
                tracker.checkpoint(folder, digest(folder), metrics.get("kept_step"))
            if stage == "compare":
                tracker.artifact(folder / "report.html")
            if stage == "export":
                tracker.networks(folder, {"base": folder / "act.onnx", "residual": folder / "residual.onnx"})
            tracker.summary(metrics)
            self.now_s += 60.0
            tracker.close("FINISHED")

    def _write(self, stage: str, solved: str, state: str) -> tuple[Path, dict[str, Any]]:
        folder = self.root / "data" / stage
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        own = METRICS.get(stage, {})
        if stage == "compare":
            marks = [mark == "+" for mark in solved]
            of_scenes(marks).save(folder, "residual")
            (folder / "report.html").write_text("hello")
            rate, gains = np.mean(marks), sum(marks[1:])
            own = {
                "n_scenes": 10,
                "base": {"success_rate": 0.1, "success_ci95": [0.0, 0.4]},
                "residual": {"success_rate": float(rate), "success_ci95": [0.5, 1.0]},
                "gains": gains,
                "regressions": int(not marks[0]),
                "mcnemar_p": 0.5 ** (gains - 1),
                "differences": {"success_rate": {"mean": float(rate) - 0.1, "ci95": [0.3, 0.95]}},
            }
        elif stage == "export":
            for name in ("act", "residual"):
                identity(folder / f"{name}.onnx")
            (folder / "act.md").write_text("---\nlicense: apache-2.0\n---\n\n# ACT for pick_place\n")
        else:
            (folder / "model.safetensors").write_text(f"{stage} of {state}")
        metrics = {"wall_s": 59.5, **own, "git_rev": state, "profile": "ci" if state.endswith("ci") else "default", "seed": 3}
        path = self.root / "data" / "metrics" / f"{stage}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(metrics))
        return folder, metrics


def of_scenes(solved: list[bool]) -> Results:
    own = dict.fromkeys(("cube_moved_m", "cube_x_m", "cube_y_m", "cube_yaw_deg", "bin_x_m", "bin_y_m"), 0.0)
    rows = [
        EpisodeRow(
            seed,
            done,
            "success" if done else "dropped",
            "place",
            90,
            math.nan,
            1.0,
            1.0,
            5.0,
            9.0,
            own | {"holding_at_end": False},
        )
        for seed, done in enumerate(solved)
    ]
    return Results(tuple(rows), TASK, {"simulator": "abc"})


def identity(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 6]) for name in ("state", "action")]
    graph = helper.make_graph([helper.make_node("Identity", ["state"], ["action"])], "toy", ends[:1], ends[1:])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)


@pytest.fixture
def chain(store: Store, tmp_path: Path) -> Chain:
    (tmp_path / "repository").mkdir()
    return Chain(tmp_path / "repository", store)


@pytest.fixture
def parents(client: MlflowClient) -> Callable[[], list[Any]]:
    """Return the runs of reproductions, oldest first."""

    def read() -> list[Any]:
        found = client.search_runs(["1"], "tags.kind = 'reproduction'", order_by=["attribute.start_time ASC"])
        return list(found)

    return read


@pytest.mark.chain
def test_a_reproduction_is_read_back_whole(chain: Chain, client: MlflowClient, parents: Callable[[], list[Any]]) -> None:
    import mlflow

    chain.run(STAGES)
    (parent,) = parents()

    assert parent.info.run_name == "pick_place default aaaaaaa"
    assert parent.data.metrics == pytest.approx(
        {
            "success_base": 0.1,
            "success_base_low": 0.0,
            "success_base_high": 0.4,
            "success_residual": 1.0,
            "success_residual_low": 0.5,
            "success_residual_high": 1.0,
            "success_difference": 0.9,
            "success_difference_low": 0.3,
            "success_difference_high": 0.95,
            "gains": 9.0,
            "losses": 0.0,
            "mcnemar_p": 0.5**8,
            "test_scenes": 10.0,
            "wall_s": 5 * 59.5,
        }
    )
    assert parent.data.params == {"train_act.steps": "300", "train_act.network.dim_model": "32"}
    assert (parent.info.status, parent.info.end_time) == ("FINISHED", int((START_S + 300) * 1000))
    note = parent.data.tags["mlflow.note.content"]
    assert "| ACT + residual | 100.0% | 50.0% to 100.0% |" in note
    assert "gains 9 scenes and loses 0" in note
    assert "`train_act.steps` = 300" in note
    assert "/artifacts/report.html)" in note
    assert "[Model: residual](#/models/soarm-pick_place/versions/2)" in note

    checkpoints = {one.name: one for one in client.search_logged_models(["1"]) if one.model_type == "checkpoint"}
    act, residual = checkpoints["train_act-checkpoint"], checkpoints["train_residual-checkpoint"]
    assert (act.params["step"], residual.params["step"]) == ("300", "150000")
    measured = {(one.key, one.value, one.step, one.dataset_name) for one in [*act.metrics, *residual.metrics]}
    assert measured >= {
        ("val_l1_deg", 3.79, 300, "record"),
        ("validation_success", 0.99, 150000, "validation scenes"),
        ("base.success_rate", 0.1, 0, "test scenes"),
        ("residual.success_rate", 1.0, 0, "test scenes"),
    }

    aliases = client.get_registered_model("soarm-pick_place").aliases
    assert {name: int(version) for name, version in aliases.items()} == {"base": 1, "residual": 2, "champion": 2}
    version = client.get_model_version("soarm-pick_place", "1")
    assert version.run_id == parent.info.run_id
    assert version.description == "# ACT for pick_place"
    loaded = mlflow.pyfunc.load_model("models:/soarm-pick_place@champion")
    state = np.ones((3, 6), np.float32)
    assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 6)
    np.testing.assert_array_equal(loaded.predict({"state": state})["action"], state)
    stored = sorted(path.name for path in (Path(chain.store.artifacts.removeprefix("file://")).rglob("extra_files/*")))
    assert stored == ["act.md", "act.onnx", "residual.onnx"]


@pytest.mark.slow
def test_the_champion_stays_where_the_next_one_is_worse_or_of_the_profile_ci(chain: Chain, client: MlflowClient) -> None:
    two = ["train_residual", "compare", "export"]
    for rev, profile, solved in (("a", "default", "+++++++++-"), ("b", "default", "++++++++--"), ("c", "ci", "++++++++++")):
        chain.run(two, rev * 40, profile, solved)
    before = client.get_registered_model("soarm-pick_place").aliases
    chain.run(["train_residual", "export", "compare"], "d" * 40, solved="++++++++-+")
    after = client.get_registered_model("soarm-pick_place").aliases

    assert {name: int(version) for name, version in before.items()} == {"base": 3, "residual": 4, "champion": 2}
    assert {name: int(version) for name, version in after.items()} == {"base": 7, "residual": 8, "champion": 8}
    why = client.get_model_version("soarm-pick_place", "4").tags["champion"]
    assert why.startswith("no: gains 7 scenes on its base and loses 0")
    assert why.endswith("solves 8 of 10 scenes, the champion before it 9")


def test_a_partial_reproduction_carries_what_stands_and_drops_what_does_not(
    chain: Chain, client: MlflowClient, parents: Callable[[], list[Any]]
) -> None:
    chain.run(["record", "train_act", "compare"])
    locked: dict[str, Any] = {}
    for stage in ("train_act", "compare"):
        path = f"data/metrics/{stage}.json"
        outs = [{"path": path, "md5": md5(chain.root / path)}]
        locked[stage] = {"params": {"params.yaml": {"seed": 0}}, "outs": outs}
    (chain.root / "dvc.lock").write_text(yaml.safe_dump({"stages": locked}))
    chain.run(["record"], "b" * 40)
    carried = parents()[1]
    (chain.root / "data" / "metrics" / "compare.json").write_text("{}")
    chain.run(["record"], "b" * 40)
    dropped = parents()[1]

    compared = client.search_runs(["1"], "tags.`soarm.stage` = 'compare'")[0].info.run_id
    assert (carried.data.metrics["success_residual"], carried.data.metrics["wall_s"]) == (1.0, 3 * 59.5)
    assert "| compare | 59.5 | before, by code aaaaaaa; up to date |" in carried.data.tags["mlflow.note.content"]
    assert f"runs/{compared}/artifacts/report.html" in carried.data.tags["mlflow.note.content"]
    assert math.isnan(dropped.data.metrics["success_residual"])
    assert dropped.data.metrics["wall_s"] == 2 * 59.5
    assert "ACT + residual |" not in dropped.data.tags["mlflow.note.content"]
