"""A local store is opened by one process at a time and appears whole."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from soarm.tracking import store as stores
from soarm.tracking.store import CLONE, clone_name, opened_alone


def is_locked(lock: Path) -> bool:
    with lock.open("w") as other:
        try:
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_store_is_locked_while_it_is_opened(tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(b"there is one")

    with opened_alone(f"sqlite:///{database}"):
        during = is_locked(tmp_path / "mlflow.db.lock")

    assert during
    assert not is_locked(tmp_path / "mlflow.db.lock")
    assert database.read_bytes() == b"there is one"


def test_who_waits_in_vain_is_told_for_what(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"there is one")
    uri = f"sqlite:///{tmp_path}/mlflow.db"

    told = r"another process has held .*mlflow\.db\.lock for 0\.01 s"
    with opened_alone(uri), pytest.raises(TimeoutError, match=told), opened_alone(uri, patience_s=0.01):
        pytest.fail("two have it")


def test_a_new_store_is_made_aside_and_appears_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, bool]] = []

    class Client:
        def __init__(self, uri: str) -> None:
            self.path = Path(uri.removeprefix("sqlite:///"))

        def search_experiments(self, max_results: int) -> None:
            seen.append((self.path.name, self.path.exists()))
            self.path.write_bytes(b"all tables")
            assert not (tmp_path / "new" / "mlflow.db").exists()

    monkeypatch.setitem(sys.modules, "mlflow", type(sys)("mlflow"))
    monkeypatch.setattr(sys.modules["mlflow"], "MlflowClient", Client, raising=False)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "mlflow.db.partial").write_bytes(b"half of them")  # its process was killed

    with opened_alone(f"sqlite:///{tmp_path}/new/mlflow.db"):
        assert (tmp_path / "new" / "mlflow.db").read_bytes() == b"all tables"

    assert seen == [("mlflow.db.partial", False)]


@pytest.mark.parametrize("uri", ["http://server:5000", "sqlite:///:memory:", "postgresql://host/db", "databricks"])
def test_a_store_that_is_no_file_is_left_alone(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stores, "_make", lambda database: pytest.fail("made"))

    with opened_alone(uri):
        pass

    assert list(tmp_path.iterdir()) == []


def test_a_clone_keeps_a_name_that_no_other_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    first, other = clone_name(tmp_path / "first"), clone_name(tmp_path / "other")
    again = clone_name(tmp_path / "first")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "first"))  # `dvc exp run --temp` works in a copy of it
    of_a_copy = clone_name(tmp_path / "copy")
    monkeypatch.setenv(CLONE, "told")  # on another machine

    assert len({first, other}) == 2
    assert first == again == of_a_copy
    assert clone_name(tmp_path / "copy") == "told"


@pytest.mark.slow
def test_processes_that_open_a_new_store_at_once_all_track_their_runs(tmp_path: Path) -> None:
    program = textwrap.dedent("""
        import sys
        from pathlib import Path
        import mlflow
        from soarm.tracking.choice import open_tracker
        from soarm.tracking.tracker import Provenance

        print("ready", flush=True)
        sys.stdin.readline()
        tracker = open_tracker(Provenance(sys.argv[2], "abc", "ci", 0, "0123", Path(sys.argv[1])))
        tracker.log(0, {"loss": 1.0})
        tracker.close("FINISHED")
    """)
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MLFLOW_TRACKING_URI", "DVC_ROOT", "DVC_EXP_NAME")
    }
    names = ["record", "train_act", "reach"]
    started = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", program, str(tmp_path), name],
            env={**environment, "SOARM_TRACKING": "mlflow"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate()[1] for process in started]

    look = (
        "from mlflow import MlflowClient; import sys; client = MlflowClient(sys.argv[1]); "
        "experiment = client.get_experiment_by_name('soarm').experiment_id; "
        "print(*sorted(run.info.run_name for run in client.search_runs([experiment])))"
    )
    uri = f"sqlite:///{tmp_path}/mlflow/mlflow.db"
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", look, uri], capture_output=True, text=True, check=True)
    assert [process.returncode for process in started] == [0, 0, 0]
    assert [text for text in said if "failed" in text] == []
    assert found.stdout.split() == ["ci", "abc", *sorted(names)]
