"""Commands that run stages, without running DVC."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from soarm import cli, reproduce

ROOT = Path(__file__).parents[2]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """The commands that would have run, in a folder that looks like the repository."""
    commands: list[list[str]] = []

    def call(command: list[str], environment: dict[str, str]) -> int:
        assert command[:3] == [sys.executable, "-m", "dvc"]
        assert environment["PATH"].split(os.pathsep)[0] == str(Path(sys.executable).parent)
        commands.append(command[3:])
        return 7

    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(reproduce, "_call", call)
    return commands


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (["repro"], ["repro"]),
        (["train", "--force"], ["repro", "--force", "train_act"]),
        (["repro", "--profile", "ci"], ["exp", "run", "-S", "profile=ci"]),
        (
            ["rl-train", "--seed", "1", "-S", "a.b=2", "--temp"],
            ["exp", "run", "-S", "seed=1", "-S", "a.b=2", "--temp", "train_residual"],
        ),
        (["record", "--task", "push"], ["exp", "run", "-S", "task=push", "record"]),
        (["export", "--temp"], ["exp", "run", "--temp", "export"]),
    ],
)
def test_a_stage_runs_through_dvc_with_this_python_first(
    called: list[list[str]], words: list[str], command: list[str]
) -> None:
    status = cli.main(words)

    assert called == [command]
    assert status == 7


def test_a_dataset_is_named_from_the_root_or_absolutely(called: list[list[str]], tmp_path: Path) -> None:
    for folder in (Path("datasets/mine"), tmp_path.with_name(tmp_path.name + "-elsewhere")):
        (folder / "meta").mkdir(parents=True)
        (folder / "meta" / "info.json").touch()
        cli.main(["train", "--dataset", str(folder)])

    assert [words[3] for words in called] == ["dataset=datasets/mine", f"dataset={tmp_path}-elsewhere"]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--dataset", "nowhere"], "nowhere is no dataset: it has no meta/info.json"),
        (["--task", "juggle"], "task is 'juggle'; `tasks` holds ['pick_place', 'push', 'stack']"),
        (["--profile", "none"], "holds the profiles ['default', 'ci'"),
        (["-S", "seed"], "--set 'seed' is no change; write NAME=VALUE"),
    ],
)
def test_what_cannot_be_is_said_before_dvc_runs(
    called: list[list[str]], words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["train", *words]) == 1
    assert text in capsys.readouterr().err
    assert called == []


def test_outside_of_the_repository_it_says_where_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert cli.main(["repro"]) == 1
    assert "has no dvc.yaml; run this from the root of the repository" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["repro"], ["train"], ["repro", "-S", "seed=1"]])
def test_nothing_runs_that_would_delete_what_is_in_no_cache(
    called: list[list[str]], capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    for name in ("record", "train_act"):
        Path("data", name).mkdir(parents=True)
        Path("data", name, "mine").write_text(name)
    status = cli.main(words)
    said = capsys.readouterr().err

    assert (status, called) == (1, [])
    assert "mv data/record datasets/mine" in said
    assert "mv data/train_act elsewhere" in said
    assert cli.main(["repro", "--temp", "--profile", "ci"]) == 7  # in a copy of the repository
