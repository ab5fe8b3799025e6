"""Versions, artefacts and tracked runs, without running MLflow."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from soarm import cli
from soarm.cli import look
from soarm.spec import ACTION, JOINT_FEATURE, PolicySpec
from soarm.tracking import server
from soarm.tracking import ui as pages

SPEC = PolicySpec({ACTION: JOINT_FEATURE}, 30)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The servers that would have run, in a folder that looks like the repository, with stores that are there."""
    called: list[list[str]] = []
    (tmp_path / "mlflow").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    for store in ("mlflow/mlflow.db", "elsewhere.db"):
        Path(store).write_bytes(b"there is one")
    monkeypatch.setattr(server, "serve", lambda command, environment: called.append(command[1:]) or 7)
    monkeypatch.setattr(pages, "_show", lambda address, open_browser: None)
    return called


def test_ui_shows_the_local_store_or_the_one_that_is_named(served: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    called, ports = served, [str(free_port()) for _ in range(2)]
    status = cli.main(["ui", "--port", ports[0]])
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db")
    cli.main(["ui", "--port", ports[1]])

    assert status == 7
    assert "sqlite:///mlflow/mlflow.db" in called[0]
    assert called[0][-4:] == ["--port", ports[0], "--workers", "1"]
    assert "sqlite:///elsewhere.db" in called[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@pytest.mark.parametrize(
    ("port", "message"), [("99999", "1..65535"), ("0", "it is '0'"), ("-5", "it is '-5'"), ("nan", "it is 'nan'")]
)
def test_ui_refuses_what_is_no_port(
    served: list[list[str]], capsys: pytest.CaptureFixture[str], port: str, message: str
) -> None:
    assert cli.main(["ui", "--port", port]) == 2
    assert message in capsys.readouterr().err
    assert served == []


def test_ui_refuses_a_port_in_use(served: list[list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()

        assert cli.main(["ui", "--port", str(other.getsockname()[1])]) == 1
    assert "cannot be served on (Address already in use); give another with --port" in capsys.readouterr().err
    assert served == []


def test_ui_says_which_store_cannot_be_opened(
    served: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///elsewhere.db/mlflow.db")

    assert cli.main(["ui", "--port", str(free_port())]) == 1
    assert "the store sqlite:///elsewhere.db/mlflow.db cannot be opened" in capsys.readouterr().err
    assert served == []


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


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_info_on_a_bundle_with_a_changed_byte_says_what_check_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str]
) -> None:
    path = tmp_path / "bundle"
    shutil.copytree(Path(__file__).parents[2] / "examples" / "bundle", path)

    assert cli.main(["info", str(path), *options]) == 0
    content = bytearray((path / "act.onnx").read_bytes())
    content[500] ^= 1
    (path / "act.onnx").write_bytes(content)
    capsys.readouterr()
    assert cli.main(["info", str(path), *options]) == 1
    said = capsys.readouterr()
    assert "act.onnx was changed: its SHA-256 is" in said.err
    assert "chunk_size" in said.out
    assert cli.main(["check", str(path)]) == 1
    assert capsys.readouterr().err == said.err


def test_info_on_a_bundle_says_what_its_networks_are_and_look_at(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["info", str(Path(__file__).parents[2] / "examples" / "bundle")]) == 0
    assert "networks: act, residual\n" in capsys.readouterr().out

    told = {"networks": ["act", "eye"], "cameras": {"eye": {"front": [64, 96]}}, "mounting": {"front": "on it"}}
    assert look._bundle_lines({**told, "trained_on": None}) == [
        "networks: act, eye",
        "the eye   looks at front (96 x 64 px)",
        "camera front: on it",
        "on which arm it was trained is not said: `soarm drive --allow gains`",
    ]


def test_info_on_an_eye_says_what_it_looks_at_and_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = {"task": "push", "network": {"hidden": 8}, "cameras": {"front": [64, 96], "wrist": [48, 48]}}
    (tmp_path / "eye.safetensors").touch()
    (tmp_path / "config.json").write_text(json.dumps(config))

    assert cli.main(["info", str(tmp_path)]) == 0
    assert "looks at front (96 x 64 px) and wrist (48 x 48 px), and says where cube and square are" in capsys.readouterr().out
    assert cli.main(["info", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["eye"] == {**config, "things": ["cube", "square"]}
    (tmp_path / "config.json").write_text(json.dumps({**config, "task": "fly"}))
    assert cli.main(["info", str(tmp_path)]) == 1
    assert "is not an eye's configuration (SpecMismatchError(\"the task is 'fly'" in capsys.readouterr().err


def test_info_on_anything_else_says_where_it_looked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["info", str(tmp_path)])

    assert status == 1
    assert "holds no specification; looked in spec.json, config.json" in capsys.readouterr().err


def test_the_module_is_the_command() -> None:
    shown = subprocess.run([sys.executable, "-m", "soarm", "info", "nowhere"], capture_output=True, text=True)

    assert shown.returncode == 1
    assert "nowhere holds no specification" in shown.stderr + shown.stdout


def test_view_writes_the_page_of_a_dataset_and_says_where_it_is(tmp_path, monkeypatch, caplog) -> None:
    from soarm.dataset.recorder import Recorder
    from soarm.spec import STATE
    from soarm.view import dataset_page

    caplog.set_level("INFO")
    monkeypatch.setattr(dataset_page, "render", lambda looked, episodes, facts: f"{episodes}\n")
    with Recorder.create(
        tmp_path / "d", {STATE: JOINT_FEATURE, ACTION: JOINT_FEATURE}, 30, "so100_follower", "Lift."
    ) as recorder:
        for _ in range(4):
            recorder.save_episode({STATE: [[0.0] * 6] * 3}, [[0.0] * 6] * 3)

    assert cli.main(["view", str(tmp_path / "d"), "--episodes", "0,2-3", "--no-open"]) == 0
    assert (tmp_path / "d.html").read_text().startswith("[0, 2, 3]")
    assert f"{tmp_path / 'd.html'} (0.0 MB)" in caplog.text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--episodes", "0,x"], "it must be numbers and ranges, as in 3,7-9"),
        (["--episodes", "0-999999999"], "0-999999999 is too long a range"),
        (["--save", "d.rrd"], "--save goes with --rerun"),
        (["--rerun", "--out", "d.html"], "--out and --no-open are of the page"),
        ([], "nowhere does not exist"),
    ],
)
def test_view_says_what_is_wrong_in_one_paragraph(options, text, capsys) -> None:
    assert cli.main(["view", "/nowhere", *options]) in (1, 2)
    said = capsys.readouterr().err

    assert text in said
    assert said.count("\n") == 1
