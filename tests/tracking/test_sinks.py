"""TensorBoard, Weights & Biases and Trackio: what a stage tells them is there to read, without a network."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from soarm.tracking import choice
from soarm.tracking.tensorboard_tracker import open_tensorboard
from soarm.tracking.tracker import Provenance, Tracker
from soarm.tracking.wandb_tracker import WandbTracker

PROVENANCE = Provenance("toy", "abcdef012-dirty", "ci", 7, "0123456789", Path())


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("WANDB_", "TRACKIO_", "DVC_"))]:
        monkeypatch.delenv(name)


def tell(tracker: Tracker) -> None:
    """Tell a tracker what a stage tells it."""
    tracker.params("toy", {"lr": 0.5, "hidden": [3, 4], "name": "x", "nothing": None})
    for step in (10, 20):
        tracker.log(step, {"loss": 1.0 / step, "success": step / 40})
    tracker.artifact(Path("figure.png"))
    tracker.summary({"wall_s": 1.5, "base": {"success": 0.25}, "kept": "last"})
    tracker.close("FINISHED")


def test_tensorboard_reads_curves_parameters_and_final_metrics(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for _ in range(2):
        tell(open_tensorboard(PROVENANCE._replace(root=tmp_path)))
    folder = tmp_path / "runs" / "tensorboard" / "ci-abcdef0-012345"
    found = EventAccumulator(str(folder / "toy_2")).Reload()

    assert sorted(path.name for path in folder.iterdir()) == ["toy_1", "toy_2"]
    assert {one.step: one.value for one in found.Scalars("toy/loss")} == pytest.approx({10: 0.1, 20: 0.05})
    assert {"toy/success", "toy/final/wall_s", "toy/final/base.success"} <= set(found.Tags()["scalars"])
    hparams = found.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for word in (b"toy.lr", b"toy.hidden.1", b"git_rev", b"abcdef012-dirty"):
        assert word in hparams


class Module:
    """A stand-in for wandb or trackio."""

    def __init__(self, name: str) -> None:
        self.__name__ = name
        self.opened: list[dict[str, Any]] = []
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.finished: list[dict[str, Any]] = []

    def init(self, **options: Any) -> Any:
        self.opened.append(options)
        return SimpleNamespace(
            log=lambda metrics, step: self.logged.append((step, metrics)), finish=lambda **how: self.finished.append(how)
        )


@pytest.mark.parametrize(("name", "how"), [("wandb", {"exit_code": 1}), ("trackio", {})])
def test_one_sink_serves_both(name: str, how: dict[str, Any]) -> None:
    module = Module(name)
    tracker = WandbTracker(PROVENANCE, module, embed=False)
    tracker.params("toy", {"lr": 0.5, "hidden": [3, 4]})
    tracker.log(20, {"loss": 1})
    tracker.log(10, {"loss": 2})
    tracker.summary({"n": 3, "kept": "last"})
    tracker.close("FAILED")

    (opened,) = module.opened
    assert opened["config"] == {"profile": "ci", "seed": 7, "git_rev": "abcdef012-dirty", "toy.lr": 0.5} | {
        "toy.hidden.0": 3,
        "toy.hidden.1": 4,
    }
    assert (opened["project"], opened["group"]) == ("soarm", "ci-abcdef0-012345")
    assert module.logged == [(20, {"toy/loss": 1.0}), (20, {"toy/loss": 2.0}), (20, {"toy/final/n": 3.0})]
    assert module.finished == [how]


def test_a_run_that_logged_nothing_was_never_opened() -> None:
    module = Module("wandb")
    WandbTracker(PROVENANCE, module).close("FAILED")

    assert module.opened == module.finished == []


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_a_package_that_is_missing_costs_one_paragraph_that_says_how_to_install_it(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    for module in [module for module in sys.modules if module.split(".")[0] == name] + [name]:
        monkeypatch.setitem(sys.modules, module, None)  # type: ignore[arg-type]
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path))

    tell(choice.TRACKERS[name](PROVENANCE._replace(root=tmp_path)))

    (record,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert f"Install it (`pip install -c constraints.txt -e '.[{name}]'`)" in record.getMessage()
    assert "\n" not in record.getMessage()


TELL = """
import sys; from pathlib import Path
from soarm.tracking.choice import open_tracker
from soarm.tracking.tracker import Provenance
tracker = open_tracker(Provenance("toy", "abcdef012", "ci", 7, "0123456789", Path(sys.argv[1])), [sys.argv[2]])
tracker.params("toy", {"lr": 0.5})
for step in (10, 20): tracker.log(step, {"loss": 1.0 / step})
tracker.summary({"wall_s": 1.5})
tracker.close("FINISHED")
"""


def told(root: Path, name: str) -> str:
    """Tell a tracker the same in a process of its own, whose home is empty and whose network is not there."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB", "TRACKIO", "SOARM"))}
    environment |= {"HOME": str(root), "HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"}
    command = [sys.executable, "-c", TELL, str(root), name]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert "failed" not in done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_wandb_writes_a_run_offline_that_can_be_sent_later(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    said = told(tmp_path, "wandb")
    (run,) = (tmp_path / "runs" / "wandb").glob("offline-run-*/*.wandb")

    for word in (b"toy/loss", b"toy/final/wall_s", b"toy.lr", b"ci-abcdef0-012345"):
        assert word in run.read_bytes()
    assert "wandb sync" in said


@pytest.mark.slow
def test_trackio_keeps_a_run_in_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("trackio")
    told(tmp_path, "trackio")
    program = """
import json; from trackio.sqlite_storage import SQLiteStorage
(run,) = SQLiteStorage.get_runs("soarm")
print(json.dumps([run, SQLiteStorage.get_logs("soarm", run), SQLiteStorage.get_run_config("soarm", run)]))
"""
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "runs" / "trackio")}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True).stdout

    for part in ("toy ci-abcdef0-012345", '"toy/loss": 0.1', '"toy/loss": 0.05', '"toy/final/wall_s": 1.5', '"toy.lr": 0.5'):
        assert part in found
