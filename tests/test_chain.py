"""The chain as a newcomer runs it, in a fresh repository and through DVC: all of it, tracked, and on one's own data."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from soarm.ownership import digest
from soarm.report.comparison import MOST_BYTES

ROOT = Path(__file__).parents[1]
POLICY_KEYS = {"success_rate", "success_ci95", "n_scenes", "return_mean", "time_to_success_s", "failures"}
# What each metrics file promises to whoever reads it.
CONTRACT = {
    "record": {"episodes", "frames", "expert_success_rate", "wall_s"},
    "train_eye": {"eye"},
    "train_act": {"parameters", "samples_per_s", "val_l1_deg"},
    "eval_base": POLICY_KEYS,
    "reach": {"base", "ceilings", "ceiling", "bound", "factor", "n_scenes", "wall_s"},
    "train_residual": {"env_steps", "env_steps_per_s", "wall_s"},
    "gauntlet": {"n_scenes", "worst", "rows"},
    "compare": {"base", "residual", "n_scenes", "mcnemar_p", "gains", "regressions"},
    "export": {"parity_max_abs_deg", "act_ms", "residual_ms"},
    "deploy_check": {"direct", "wire", "n_scenes", "clamped_fraction", "late_ticks", "gap_deg"},
}


class Repository:
    """A copy of the repository in which commands run as its user would type them."""

    def __init__(self, path: Path, **environment: str) -> None:
        """Copy what is on disk here, without results, under the profile `ci`, and commit it."""
        self.path = path
        ours = ("DVC_", "MLFLOW_", "SOARM_", "PYTEST_")
        self._environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        self._environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        self._environment |= environment
        path.mkdir()
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
        for name in filter(None, listing.stdout.split("\0")):
            if (ROOT / name).is_file() and name != "dvc.lock" and not name.startswith(("data/metrics/", "data/live/")):
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, path / name)
        text = (path / "params.yaml").read_text()
        (path / "params.yaml").write_text(re.sub(r"(?m)^profile: \w+$", "profile: ci", text, count=1))
        self.run("git", "init", "-q")
        self.revision = self.commit("start")

    def run(self, *command: str) -> str:
        """Run a command and return what it said; fails with all of it."""
        done = self.attempt(*command)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{said[-20000:]}"
        return said if command[0] == sys.executable else done.stdout

    def attempt(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        return subprocess.run(command, cwd=self.path, env=self._environment, text=True, capture_output=True, check=False)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command."""
        out = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.path, env=self._environment, text=True, **out)  # type: ignore[call-overload, no-any-return]

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
    """The chain, reproduced once; where SOARM_REPRODUCED says, for whoever comes after (tests/test_documented.py)."""
    made = Repository(Path(os.environ.get("SOARM_REPRODUCED") or tmp_path_factory.mktemp("chain") / "soarm"))
    made.run("soarm", "repro")
    return made


@pytest.mark.chain
@pytest.mark.parametrize("stage", CONTRACT)
def test_a_metrics_file_holds_what_it_promises(repository: Repository, stage: str) -> None:
    metrics = repository.metrics(stage)

    assert set(metrics) >= CONTRACT[stage] | {"git_rev", "profile", "seed"}
    assert (metrics["profile"], metrics["seed"]) == ("ci", 0)
    assert metrics["git_rev"] == repository.revision


@pytest.mark.chain
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


@pytest.mark.chain
def test_a_second_run_does_nothing(repository: Repository) -> None:
    said = repository.run("dvc", "repro")

    assert "Running stage" not in said
    assert said.count("didn't change, skipping") == len(CONTRACT)
    assert "Data and pipelines are up to date." in said


@pytest.mark.chain
def test_our_digest_of_a_folder_is_dvc_s(repository: Repository) -> None:
    locked = yaml.safe_load((repository.path / "dvc.lock").read_text())

    for stage in CONTRACT:
        (out,) = (out for out in locked["stages"][stage]["outs"] if out["path"] == f"data/{stage}")
        assert digest(repository.path / "data" / stage) == out["md5"]


@pytest.mark.chain
def test_nothing_is_left_but_results(repository: Repository) -> None:
    scratch = repository.path / "data" / ".scratch"

    assert list(scratch.iterdir()) == []
    status = repository.run("git", "status", "--porcelain").splitlines()
    assert {line[3:].split("/")[0] for line in status} <= {"data", "dvc.lock"}


@pytest.mark.chain
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width_px", [390, 1280])
def test_chromium_finds_nothing_wrong_with_the_report(
    inspect_page: Callable[..., Any], repository: Repository, width_px: int, scheme: str
) -> None:
    report = repository.path / "data" / "compare" / "report.html"
    found = inspect_page(report, width_px, scheme)

    assert not any(found._replace(scrolling=[]))
    assert width_px < 1280 or not found.scrolling
    assert report.stat().st_size < MOST_BYTES
    assert f"<dd>{repository.revision[:12]}</dd>" in report.read_text()


@pytest.mark.chain
def test_the_chain_runs_from_pictures_and_says_what_they_are_worth(repository: Repository, tmp_path: Path) -> None:
    seeing = copy.copy(repository)
    seeing.path = tmp_path / "soarm"
    seeing._environment = {**repository._environment, "SOARM_TRACKING": "off"}
    shutil.copytree(repository.path, seeing.path, ignore=shutil.ignore_patterns(".dvc"))
    params = seeing.path / "params.yaml"
    text = re.sub(r"(?m)^profile: ci$", "profile: ci_pixels", params.read_text())
    params.write_text(text.replace("    int8: false ", "    int8: true "))

    shutil.rmtree(seeing.path / "data" / "record")
    for stage in (
        "train_eye",
        "record",
        "train_act",
        "eval_base",
        "reach",
        "train_residual",
        "gauntlet",
        "compare",
        "export",
        "deploy_check",
    ):
        seeing.run(sys.executable, "-m", f"stages.{stage}")

    assert seeing.metrics("train_act")["val_l1_deg"] > 0
    eye, others = seeing.metrics("train_eye"), seeing.metrics("compare")["without_the_eye"]
    assert eye["cube"]["all"]["median_mm"] > 0
    assert {name: one["n_scenes"] for name, one in others.items()} == {
        "true_poses": 8,
        "blank_pictures": 4,
        "permuted_pictures": 4,
    }
    assert seeing.metrics("export")["eye_ms"] > 0
    assert seeing.metrics("export")["int8_scenes"] == 4
    assert {path.name for path in (seeing.path / "data" / "export").iterdir()} >= {"eye.onnx", "cameras.json"}
    assert seeing.metrics("deploy_check")["stops"] == []


@pytest.mark.chain
def test_plots_and_metrics_render(repository: Repository) -> None:
    repository.run("dvc", "plots", "show", "-o", "dvc_plots")
    metrics = json.loads(repository.run("dvc", "metrics", "show", "--json"))[""]["data"]
    page = (repository.path / "dvc_plots" / "index.html").read_text()

    assert set(metrics) == {f"data/live/{stage}/metrics.json" for stage in CONTRACT}
    assert max(map(len, repository.run("dvc", "metrics", "show").splitlines())) <= 120
    assert "https://" not in re.sub(r'(?s)<script id="vega">.*?</script>|"\$schema": "[^"]*"', "", page)
    curves = "train_act_plots_metrics_kl_tsv", "train_residual_plots_metrics_critic_loss_tsv"
    for part in (*curves, "Wilson 95 % interval", "cube_x_m"):
        assert part in page


@pytest.mark.chain
def test_plots_are_drawn_in_a_browser_that_has_no_network(repository: Repository, inspect_page: Callable[..., Any]) -> None:
    repository.run("dvc", "plots", "show", "-o", "dvc_plots")
    page = repository.path / "dvc_plots" / "index.html"
    drawn: list[int] = []

    def wait(shown: Any) -> None:
        shown.locator(".vega-embed canvas").last.wait_for()
        drawn.append(shown.locator(".vega-embed canvas").count())

    faults = inspect_page(page, do=wait)

    assert drawn == [page.read_text().count("vegaEmbed('")]
    assert (faults.failed, faults.errors) == ([], [])


@pytest.mark.chain
def test_datasets_and_models_are_artifacts_that_a_registry_finds(repository: Repository) -> None:
    program = (
        "import json; from dvc.repo import Repo; print('FOUND', json.dumps(list(Repo('.').artifacts.read()['dvc.yaml'])))"
    )
    said = repository.run(sys.executable, "-c", program)

    assert 'FOUND ["demonstrations", "act", "residual", "bundle"]' in said
    for card in ("record/README.md", "export/README.md", "export/act.md", "export/residual.md"):
        text = (repository.path / "data" / card).read_text()
        assert text.startswith("---\nlicense: apache-2.0\n")
        assert str(repository.path) not in text
    assert "On these scenes the residual gains" in (repository.path / "data" / "export" / "README.md").read_text()


@pytest.mark.chain
def test_mlflow_holds_one_parent_with_a_finished_child_per_stage(repository: Repository) -> None:
    program = """
import json, mlflow
client = mlflow.MlflowClient("sqlite:///mlflow/mlflow.db")
found = client.search_runs([client.get_experiment_by_name("soarm").experiment_id])
runs = [[run.info.run_name, run.info.status, run.data.tags, len(run.data.params)] for run in found]
print("FOUND", json.dumps([runs, [model.name for model in client.search_registered_models()]]))
"""
    said = repository.run(sys.executable, "-c", program)
    runs, registered = json.loads(next(line for line in said.splitlines() if line.startswith("FOUND "))[6:])

    children = {name: (status, n_params) for name, status, tags, n_params in runs if "mlflow.parentRunId" in tags}
    assert len(runs) == len(CONTRACT) + 1
    assert set(children) == set(CONTRACT)
    assert all(status == "FINISHED" and n_params > 0 for status, n_params in children.values())
    assert len({tags["mlflow.parentRunId"] for _, _, tags, _ in runs if "mlflow.parentRunId" in tags}) == 1
    assert registered == []  # networks of these settings are no version of anything


@pytest.mark.chain
def test_an_experiment_changes_a_parameter_and_runs_only_what_follows(repository: Repository) -> None:
    repository.commit("results")

    said = repository.run("soarm", "repro", "-S", "ci.deploy_check.n_scenes=3")
    changed = json.loads(repository.run("dvc", "metrics", "diff", "--json"))

    fewer = repository.metrics("deploy_check")
    repository.run("git", "checkout", "HEAD", "--", "params.yaml", "dvc.lock", "data")
    repository.run("dvc", "checkout", "dvc.yaml")

    assert re.findall(r"Running stage '(\w+)'", said) == ["deploy_check"], said
    assert (fewer["wire"]["n_scenes"], changed["data/live/deploy_check/metrics.json"]["n"]["new"]) == (3, 3)
    assert repository.metrics("deploy_check")["wire"]["n_scenes"] == 4
    assert "changed outs" not in repository.run("dvc", "status", "dvc.yaml")


@pytest.fixture
def clone(tmp_path: Path) -> Repository:
    """A repository in which nothing ran yet."""
    return Repository(tmp_path / "soarm", SOARM_TRACKING="off")


def put_demonstrations(folder: Path) -> dict[str, bytes]:
    """Put what somebody recorded into a folder, whatever lay there before, and return its files."""
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("meta/info.json", "meta/stats.json", "data/chunk-000/file-000.parquet"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"mine: {name}")
    return files(folder)


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder with their content."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.chain
def test_demonstrations_put_in_the_place_of_data_record_outlive_dvc_repro(clone: Repository) -> None:
    mine = put_demonstrations(clone.path / "data" / "record")
    done = clone.attempt("dvc", "repro", "train_act")

    assert done.returncode != 0
    assert files(clone.path / "data" / "record") == mine
    assert "mv data/record datasets/mine" in done.stdout + done.stderr
    assert "dvc exp run -S dataset=datasets/mine" in done.stdout + done.stderr


@pytest.mark.slow
def test_they_outlive_every_other_command_after_the_chain_ran_as_well(clone: Repository) -> None:
    clone.run("dvc", "repro", "record")
    first = clone.commit("recorded")
    clone.run("dvc", "exp", "run", "-n", "other", "-S", "ci.record.n_episodes=4", "record")
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "repro", "record")
    mine = put_demonstrations(clone.path / "data" / "record")

    def left_after(*command: str) -> int:
        status = clone.attempt(*command).returncode
        assert files(clone.path / "data" / "record") == mine, command
        assert clone.metrics("record"), command
        clone.run("git", "checkout", "-q", ".")
        return status

    refused = [
        ["dvc", "repro"],
        ["dvc", "repro", "-f", "record"],
        ["dvc", "exp", "run", "-S", "ci.record.n_episodes=5"],
        ["soarm", "repro", "-S", "seed=1"],
        ["python", "-m", "stages.record"],
    ]
    assert [command for command in refused if left_after(*command) == 0] == []
    for command in (["dvc", "checkout", "-f"], ["dvc", "exp", "apply", "other"]):
        left_after(*command)
    assert left_after("dvc", "exp", "run", "--temp", "-S", "ci.record.n_episodes=5", "record") == 0
    assert clone.run("git", "status", "--porcelain") == ""
    assert clone.run("git", "rev-parse", "HEAD").strip() == first


@pytest.mark.slow
def test_a_dataset_of_one_s_own_is_trained_on_where_it_lies_and_no_scripted_one_is_made(clone: Repository) -> None:
    record = ["--leader", "expert", "--fast", "--episodes", "3", "--params", "params.yaml"]
    refused = clone.attempt("soarm", "control", "--dataset", "data/record", *record)
    clone.run("soarm", "control", "--dataset", "datasets/mine", *record)
    mine = files(clone.path / "datasets" / "mine")
    short = ["-S", "ci.train_act.steps=30", "train_act"]
    clone.run("dvc", "exp", "run", "-n", "own", "-S", "dataset=datasets/mine", *short)
    trained = clone.metrics("train_act")["train_windows"]
    clone.run("git", "checkout", "-q", ".")
    missing = clone.attempt("dvc", "exp", "run", "--temp", "-S", "dataset=datasets/mine", *short)
    clone.run("dvc", "exp", "run", "--temp", "-n", "far", "-S", f"dataset={clone.path / 'datasets' / 'mine'}", *short)
    clone.run("dvc", "add", "datasets/mine")
    clone.commit("my dataset")
    clone.run("dvc", "exp", "run", "--temp", "-n", "added", "-S", "dataset=datasets/mine", *short)

    assert refused.returncode == 1
    assert 0 < trained < sum(json.loads(line)["length"] for line in lengths(clone))
    assert missing.returncode != 0  # git knows nothing of it, so the copy has none
    assert files(clone.path / "datasets" / "mine") == mine
    assert not (clone.path / "data" / "record").exists()
    tracked = {path for name in ("own", "far", "added") for path in experiment(clone, name)}
    assert {path for path in tracked if path.startswith("datasets/")} == {
        f"datasets/{name}" for name in (".gitignore", "README.md", "mine.dvc")
    }


def lengths(clone: Repository) -> list[str]:
    """Return a line of JSON per episode of datasets/mine, with its length."""
    program = (
        "import json; from soarm.dataset.reader import Dataset; d = Dataset.open('datasets/mine')\n"
        "for i in range(d.n_episodes): print(json.dumps({'length': len(d.episode(i))}))"
    )
    return clone.run(sys.executable, "-c", program).splitlines()


def experiment(clone: Repository, name: str) -> list[str]:
    """Return the files that an experiment of DVC keeps in git."""
    (ref,) = (ref for ref in clone.run("git", "for-each-ref", "--format=%(refname)").split() if ref.endswith(f"/{name}"))
    return clone.run("git", "ls-tree", "-r", "--name-only", ref).splitlines()


@pytest.mark.slow
def test_a_training_that_is_stopped_with_ctrl_c_goes_on_when_the_command_is_typed_again(clone: Repository) -> None:
    with clone.start("soarm", "train", "-S", "ci.train_act.steps=1200") as process:
        until_s = time.monotonic() + 240.0
        while not list((clone.path / "data" / ".scratch").glob("train_act/*/resume.pt")):
            assert process.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60.0)

    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert "stopped. Type the same command again" in said
    again = clone.attempt("soarm", "train", "--json")
    assert again.returncode == 0, again.stderr
    assert "resuming from" in again.stderr
    assert json.loads(again.stdout) == clone.metrics("train_act")


@pytest.mark.slow
def test_what_an_experiment_replaced_in_the_workspace_comes_back(clone: Repository) -> None:
    short = ["ci.train_act.steps=30", "ci.train_act.log_every=10"]
    text = (clone.path / "params.yaml").read_text()
    (clone.path / "params.yaml").write_text(text.replace("    steps: 300\n", "    steps: 30\n"))
    clone.run("dvc", "repro", "train_act")
    clone.commit("trained")
    trained = files(clone.path / "data" / "train_act")
    clone.run("dvc", "exp", "run", "-S", "seed=1", *(word for one in short for word in ("-S", one)), "train_act")
    replaced = files(clone.path / "data" / "train_act")
    clone.run("git", "checkout", "HEAD", "--", "params.yaml", "dvc.lock", "data")
    clone.run("dvc", "checkout", "train_act")
    back = files(clone.path / "data" / "train_act")
    clone.run("dvc", "exp", "run", "--temp", "-S", "seed=2", "train_act")

    assert replaced != trained
    assert back == trained
    assert files(clone.path / "data" / "train_act") == trained
    assert clone.run("git", "status", "--porcelain", "params.yaml", "dvc.lock") == ""


@pytest.mark.slow
def test_a_number_is_changed_as_the_readme_says(clone: Repository) -> None:
    text = (clone.path / "README.md").read_text()
    (number,) = re.findall(r"dvc exp run -S (base\.record\.n_episodes=\d+)", text)
    clone.run("dvc", "exp", "run", "-S", "profile=default", "-S", number, "record")

    assert clone.metrics("record")["episodes"] == int(number.partition("=")[2])
