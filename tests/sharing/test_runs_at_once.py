"""Processes open one store of MLflow at the same moment: no run is lost, and each is where it belongs.

The store is MLflow's server with PostgreSQL behind it, to which two clones log, or the SQLite file of one clone, not made yet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RUNS = ("study.residual-0", "study.residual-1", "study.ppo-0")
"""Of one clone, all at once, as `soarm study` begins them."""
STEPS = 1200
WRITE = textwrap.dedent("""
    import sys
    from pathlib import Path
    import mlflow
    from soarm.tracking.choice import open_tracker
    from soarm.tracking.tracker import Provenance

    print("ready", flush=True)
    sys.stdin.readline()
    root, stage, steps = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    tracker = open_tracker(Provenance(stage, "abc", "ci", 0, "0123", root, changes={"clone": root.name}))
    tracker.params(stage, {"lr": 1e-3})
    for step in range(steps):
        tracker.log(step, {"loss": step / 2})
    tracker.artifact(root / "notes.txt")
    tracker.close("FINISHED")
""")


def write_at_once(clones: Sequence[Path], runs: Sequence[str], uri: str | None = None) -> None:
    """Have a process for every run of every clone open its store at the same moment, and write to it."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "DVC_", "SOARM_"))}
    environment |= {"SOARM_TRACKING": "mlflow"} | ({} if uri is None else {"MLFLOW_TRACKING_URI": uri})
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = [sys.executable, "-W", "ignore", "-c", WRITE]
    started = [
        subprocess.Popen([*program, str(clone), run, str(STEPS)], env=environment, text=True, **pipes)
        for clone in clones
        for run in runs
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in started]

    assert [process.returncode for process in started] == [0] * len(started), said
    assert [text for text in said if "failed" in text] == []


def require_all(uri: str, clones: Sequence[Path], runs: Sequence[str]) -> None:
    """Require that a store has every run with all that was written, below the one parent run of its clone."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("soarm")
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    parents = {run.info.run_id: run.data.params["clone"] for run in found if run.data.tags["kind"] == "reproduction"}
    children = [run for run in found if run.data.tags["kind"] == "stage"]
    whose = {run.info.run_id: parents[run.data.tags["mlflow.parentRunId"]] for run in children}

    assert sorted(parents.values()) == sorted(clone.name for clone in clones)
    assert sorted((whose[run.info.run_id], str(run.info.run_name)) for run in children) == sorted(
        (clone.name, run) for clone in clones for run in runs
    )
    assert {run.info.status for run in found} == {"FINISHED"}
    for run in children:
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [(metric.step, metric.value) for metric in history] == [(step, step / 2) for step in range(STEPS)]
        notes = Path(client.download_artifacts(run.info.run_id, "notes.txt"))
        assert notes.read_text() == whose[run.info.run_id]


@pytest.fixture
def clones(tmp_path: Path) -> list[Path]:
    """Two folders in the place of clones."""
    found = [tmp_path / "one", tmp_path / "two"]
    for folder in found:
        folder.mkdir()
        (folder / "notes.txt").write_text(folder.name)
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # MLflow's own, which differ by version
def test_two_clones_log_to_one_server_at_once(server: str, clones: list[Path]) -> None:
    write_at_once(clones, RUNS, server)

    require_all(server, clones, RUNS)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_processes_that_open_a_new_local_store_at_once_all_track_their_runs(clones: list[Path]) -> None:
    runs = [f"study.residual-{seed}" for seed in range(6)]
    write_at_once(clones[:1], runs)

    require_all(f"sqlite:///{clones[0]}/mlflow/mlflow.db", clones[:1], runs)


def test_docker_gets_the_versions_that_are_tested_and_the_options_of_the_page() -> None:
    constraints = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    text = (ROOT / "mlflow" / "compose.yaml").read_text()
    server = yaml.safe_load(text)["services"]["server"]
    page = (ROOT / "docs" / "sharing.md").read_text()
    (typed,) = re.findall(r"(?m)^mlflow server .*$", page)

    assert server["image"].rpartition(":v")[2] == constraints["mlflow"]
    assert re.findall(r"psycopg\[binary\]==([\d.]+)", server["command"][-1]) == [constraints["psycopg"]]
    assert set(re.findall(r"--[\w-]+", server["command"][-1])) - {"--quiet"} == set(re.findall(r"--[\w-]+", typed))
    assert set(re.findall(r"MLFLOW_\w+=", page.partition("mlflow server")[0].rpartition("export")[2])) <= {
        f"{name}=" for name in server["environment"]
    }
