"""A local store is opened by one process at a time and appears whole; tests/sharing opens one by several processes at once."""

from __future__ import annotations

import fcntl
import sys
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
