"""The whole chain under the `ci` profile, as a newcomer runs it: in a fresh repository, through DVC, tracked by MLflow."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from soarm.provenance import digest

pytestmark = pytest.mark.chain

ROOT = Path(__file__).parents[1]
POLICY_KEYS = {"success_rate", "success_ci95", "n_scenes", "return_mean", "time_to_success_s", "failures"}
# What each metrics file promises to whoever reads it.
CONTRACT = {
    "record": {"episodes", "frames", "expert_success_rate", "wall_s"},
    "train_act": {"parameters", "samples_per_s", "val_l1_deg"},
    "eval_base": POLICY_KEYS,
    "reach": {"base", "ceilings", "ceiling", "bound", "factor", "n_scenes", "wall_s"},
    "train_residual": {"env_steps", "env_steps_per_s", "wall_s"},
    "compare": {"base", "residual", "n_scenes", "mcnemar_p", "gains", "regressions"},
    "export": {"parity_max_abs_deg", "act_ms", "residual_ms"},
    "deploy_check": {"direct", "wire", "n_scenes", "clamped_fraction", "late_ticks", "gap_deg"},
}


class Repository:
    """A copy of the repository in which commands run as its user would type them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.revision = ""
        ours = ("DVC_", "MLFLOW_", "SOARM_", "PYTEST_")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self._environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

    def run(self, *command: str) -> str:
        """Run a command and return what it said; fails with all of it."""
        done = subprocess.run(command, cwd=self.path, env=self._environment, text=True, capture_output=True, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{said[-20000:]}"
        return said if command[0] == sys.executable else done.stdout

    def metrics(self, stage: str) -> dict[str, Any]:
        """Return a stage's metrics file."""
        values: dict[str, Any] = json.loads((self.path / "data" / "metrics" / f"{stage}.json").read_text())
        return values

    def commit(self, message: str) -> str:
        """Commit everything git does not ignore and return the revision."""
        self.run("git", "add", "-A")
        self.run("git", "-c", "user.name=ci", "-c", "user.email=ci@example.org", "commit", "-qm", message)
        return self.run("git", "rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """What is on disk here, committed without results under the profile `ci`, and reproduced once."""
    path = tmp_path_factory.mktemp("chain") / "soarm"
    path.mkdir()
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listing.stdout.split("\0")):
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith(("data/metrics/", "data/curves/")):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name)
    text = (path / "params.yaml").read_text()
    (path / "params.yaml").write_text(re.sub(r"(?m)^profile: \w+$", "profile: ci", text, count=1))
    made = Repository(path)
    made.run("git", "init", "-q")
    made.revision = made.commit("start")
    made.run("soarm", "run")
    return made


@pytest.mark.parametrize("stage", CONTRACT)
def test_a_metrics_file_holds_what_it_promises(repository: Repository, stage: str) -> None:
    metrics = repository.metrics(stage)

    assert set(metrics) >= CONTRACT[stage] | {"git_rev", "profile", "seed"}
    assert (metrics["profile"], metrics["seed"]) == ("ci", 0)
    assert metrics["git_rev"] == repository.revision


def test_rates_counts_and_intervals_fit_each_other(repository: Repository) -> None:
    compared = repository.metrics("compare")

    tried = repository.metrics("deploy_check")
    for way in ("direct", "wire", "servo"):
        low, high = tried[way]["success_ci95"]
        assert 0 <= low <= tried[way]["success_rate"] <= high <= 1
    assert tried["direct"]["n_scenes"] == tried["wire"]["n_scenes"] == tried["n_scenes"]
    for policy in (repository.metrics("eval_base"), compared["base"], compared["residual"]):
        low, high = policy["success_ci95"]
        assert set(policy) >= POLICY_KEYS
        assert 0 <= low <= policy["success_rate"] <= high <= 1
        assert sum(policy["failures"].values()) == round(policy["n_scenes"] * (1 - policy["success_rate"]))
    assert compared["base"]["success_rate"] == repository.metrics("eval_base")["success_rate"]
    difference = compared["residual"]["success_rate"] - compared["base"]["success_rate"]
    assert compared["gains"] - compared["regressions"] == round(difference * compared["n_scenes"])


def test_a_second_run_does_nothing(repository: Repository) -> None:
    said = repository.run("dvc", "repro")

    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == len(CONTRACT)
    assert "Data and pipelines are up to date." in said


def test_our_digest_of_a_folder_is_dvc_s(repository: Repository) -> None:
    locked = yaml.safe_load((repository.path / "dvc.lock").read_text())

    for stage in CONTRACT:
        (out,) = (out for out in locked["stages"][stage]["outs"] if out["path"] == f"data/{stage}")
        assert digest(repository.path / "data" / stage) == out["md5"]


def test_nothing_is_left_but_results(repository: Repository) -> None:
    scratch = repository.path / "data" / ".scratch"

    assert list(scratch.iterdir()) == []
    status = repository.run("git", "status", "--porcelain").splitlines()
    assert {line[3:].split("/")[0] for line in status} <= {"data", "dvc.lock"}


def test_plots_and_metrics_render(repository: Repository) -> None:
    repository.run("dvc", "plots", "show", "-o", "dvc_plots")
    metrics = json.loads(repository.run("dvc", "metrics", "show", "--json"))[""]["data"]
    page = (repository.path / "dvc_plots" / "index.html").read_text()

    there = {path for path, found in metrics.items() if "data" in found}  # the study's are not: nobody ran it
    assert there == {f"data/metrics/{stage}.json" for stage in CONTRACT}
    for part in ("data_curves_train_act_csv", "data_curves_train_residual_csv", "Wilson 95 % interval", "figures_scenes.svg"):
        assert part in page


def test_mlflow_holds_one_parent_with_a_finished_child_per_stage(repository: Repository) -> None:
    program = """
import json, mlflow
client = mlflow.MlflowClient("sqlite:///mlflow/mlflow.db")
found = client.search_runs([client.get_experiment_by_name("soarm").experiment_id])
runs = [[run.info.run_name, run.info.status, run.data.tags, len(run.data.params)] for run in found]
versions = {name: client.get_model_version_by_alias(name, "ci").version for name in ("soarm-act", "soarm-residual")}
print("FOUND", json.dumps([runs, versions]))
"""
    said = repository.run(sys.executable, "-c", program)
    runs, versions = json.loads(next(line for line in said.splitlines() if line.startswith("FOUND "))[6:])

    children = {name: (status, n_params) for name, status, tags, n_params in runs if "mlflow.parentRunId" in tags}
    assert len(runs) == len(CONTRACT) + 1
    assert set(children) == set(CONTRACT)
    assert all(status == "FINISHED" and n_params > 0 for status, n_params in children.values())
    assert len({tags["mlflow.parentRunId"] for _, _, tags, _ in runs if "mlflow.parentRunId" in tags}) == 1
    assert set(versions) == {"soarm-act", "soarm-residual"}


def test_an_experiment_changes_a_parameter_and_runs_only_what_follows(repository: Repository) -> None:
    repository.commit("results")

    said = repository.run("soarm", "run", "-S", "ci.deploy_check.n_servo_scenes=1", "--name", "fewer-scenes")
    changed = json.loads(repository.run("dvc", "metrics", "diff", "--json"))

    assert re.findall(r"Running stage '(\w+)'", said) == ["deploy_check"], said
    assert "data/metrics/deploy_check.json" in changed
    assert repository.metrics("deploy_check")["servo"]["n_scenes"] == 1
