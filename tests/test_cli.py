"""The command `soarm`, without running DVC or MLflow."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from soarm import cli
from soarm.spec import ACTION, JOINT_FEATURE, PolicySpec

SPEC = PolicySpec({ACTION: JOINT_FEATURE}, 30)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that would have run, in a folder that looks like the repository."""
    commands: list[list[str]] = []

    def call(command: list[str], env: dict[str, str] | None = None) -> int:
        assert command[0] == sys.executable
        if env is not None:
            assert env["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        commands.append(command[1:])
        return 7

    (tmp_path / "dvc.yaml").touch()
    (tmp_path / "mlflow").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "call", call)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return commands


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["run"], ["-m", "dvc", "repro"]),
        (["run", "train_act", "--force"], ["-m", "dvc", "repro", "train_act", "--force"]),
        (["run", "-S", "profile=ci"], ["-m", "dvc", "exp", "run", "-S", "profile=ci"]),
        (["run", "--set-param", "seed=1"], ["-m", "dvc", "exp", "run", "--set-param", "seed=1"]),
    ],
)
def test_run_hands_its_arguments_to_dvc_with_this_python_first(
    called: list[list[str]], words: list[str], command: list[str]
) -> None:
    status = cli.main(words)

    assert called == [command]
    assert status == 7


def test_ui_shows_the_local_store_or_the_one_that_is_named(called: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    cli.main(["ui", "--port", "5050"])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    cli.main(["ui"])

    assert "sqlite:///mlflow/mlflow.db" in called[0]
    assert called[0][-4:] == ["--port", "5050", "--workers", "1"]
    assert "sqlite:///elsewhere.db" in called[1]


def test_outside_of_the_repository_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    status = cli.main(["run"])

    assert status == 1
    assert "has no dvc.yaml; run this from the root of the repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("spec.json", SPEC.to_dict()),
        ("config.json", {"spec": SPEC.to_dict(), "network": {}}),
    ],
    ids=["bundle", "checkpoint"],
)
def test_info_shows_the_specification_of_each_kind_of_artefact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, content: dict[str, object]
) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))

    status = cli.main(["info", str(tmp_path)])

    out = capsys.readouterr().out
    assert status == 0
    assert "numpy" in out
    assert PolicySpec.from_dict(json.loads(out[out.index("{") :])) == SPEC


def test_info_on_anything_else_says_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["info", str(tmp_path)])

    assert status == 1
    assert "holds no specification; looked in spec.json, config.json" in capsys.readouterr().err


def test_a_command_of_a_room_gets_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[str, list[str]]] = []

    def load(name: str) -> object:
        def answer(words: list[str]) -> int:
            heard.append((name, words))
            return 3

        return type("Room", (), {"main": staticmethod(answer)})

    monkeypatch.setattr(importlib, "import_module", load)
    statuses = [cli.main(words) for words in (["doctor", "--port", "P"], ["twin", "--scene", "2"], ["drive", "BUNDLE"])]

    assert statuses == [3, 3, 3]
    assert heard == [
        ("soarm.hardware.__main__", ["doctor", "--port", "P"]),
        ("soarm.twin.__main__", ["--scene", "2"]),
        ("soarm.runtime.__main__", ["drive", "BUNDLE"]),
    ]


@pytest.mark.parametrize(("missing", "told"), [("mujoco", True), ("soarm.twin.nothing", False)])
def test_what_a_robot_host_does_not_have_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], missing: str, told: bool
) -> None:
    def load(name: str) -> object:
        raise ModuleNotFoundError(missing, name=missing)

    monkeypatch.setattr(importlib, "import_module", load)
    if told:
        assert cli.main(["twin"]) == 1
        assert "`soarm twin` needs mujoco, which a robot host does not have: pip install" in capsys.readouterr().err
    else:
        with pytest.raises(ModuleNotFoundError):
            cli.main(["twin"])


def test_the_module_is_the_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "soarm.cli", "info", "nowhere"], capture_output=True, text=True)

    assert shown.returncode == 1
    assert "nowhere holds no specification" in shown.stderr + shown.stdout
