"""What workers of a cluster are told and tell, without Ray."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from soarm.cluster import archive, on_ray, remote
from soarm.errors import StageError
from soarm.tracking.store import CLONE, clone_name


def test_the_board_says_how_far_tasks_are_and_who_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    board = remote.Board(str(tmp_path))
    before = board.tell("a", "one: step 1"), board.tell("b", "two: step 1")
    now_s = 140.0
    board.stop()
    after = board.tell("b", "two: step 2")

    assert before == (False, False)
    assert after is True
    assert board.lines() == {"a": "no word for 40 s; one: step 1", "b": "two: step 2"}


def test_tasks_on_other_machines_log_as_the_clone_that_sends_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CLONE, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    there, here = on_ray._environments(tmp_path)

    assert there[CLONE] == here[CLONE] == clone_name(tmp_path)


def test_checkpoints_that_come_are_those_that_the_next_worker_gets(counting: Path, tmp_path: Path) -> None:
    board, scratch = remote.Board(str(counting)), "data/.scratch/a"
    nothing = board.kept(scratch)
    for step in ("1", "2"):
        (tmp_path / scratch).mkdir(parents=True, exist_ok=True)
        (tmp_path / scratch / "at").write_text(step)
        board.keep(scratch, archive.pack(tmp_path, [scratch]))
    kept = board.kept(scratch)

    assert nothing is None
    assert kept is not None
    archive.unpack(kept, tmp_path / "next")
    assert (tmp_path / "next" / scratch / "at").read_text() == "2"


def test_a_change_of_a_checkpoint_is_seen(tmp_path: Path) -> None:
    absent = remote._state(tmp_path / "absent")
    (tmp_path / "at").write_text("1")
    first = remote._state(tmp_path)
    (tmp_path / "at").write_text("12")

    assert absent == []
    assert remote._state(tmp_path) != first


def test_other_machines_track_where_a_server_is_and_this_one_in_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SOARM_TRACKING", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_PROJECT", "arms")
    others, here = on_ray._environments(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    served = on_ray._environments(tmp_path)

    assert others["SOARM_TRACKING"] == "off"
    assert here["DVC_ROOT"] == str(tmp_path)
    assert "SOARM_TRACKING" not in here
    assert others["WANDB_PROJECT"] == here["WANDB_PROJECT"] == "arms"
    assert served[0] == served[1]
    assert served[0]["MLFLOW_TRACKING_URI"] == "http://server:5000"
    assert "SOARM_TRACKING" not in served[0]


def test_an_address_without_a_cluster_is_refused() -> None:
    def init(address: str, **_: object) -> None:
        raise ConnectionError("Could not find any running Ray instance.\nPlease specify one")

    with pytest.raises(
        StageError, match=r"no Ray cluster at 'auto' \(Could not find any running Ray instance\.\); `ray start"
    ):
        on_ray._connect(SimpleNamespace(init=init), "auto")


def test_an_address_at_which_nothing_answers_is_refused_before_ray_is_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"

        for wrong in (address, "127.0.0.1", "127.0.0.1:99999"):
            with pytest.raises(StageError, match=f"there is no Ray cluster at '{wrong}' "):
                on_ray.require_reachable(wrong)
    on_ray.require_reachable("auto")


def test_this_machine_has_to_be_a_node_of_the_cluster() -> None:
    with pytest.raises(StageError, match="it has to be a node of the cluster: `ray start"):
        on_ray._connect(None, "ray://somewhere:10001")


def test_what_is_sent_to_workers_uses_nothing_of_soarm_that_is_not_sent() -> None:
    sent = {module.__name__ for module in (archive, remote)} | {"soarm.process"}
    found = {value.__module__ for value in vars(remote).values() if getattr(value, "__module__", "").startswith("soarm")}

    assert found <= sent
