"""What is true of every command: an example, bounds on its numbers, imports that are guarded."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import math
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from soarm import cli

FOLDER = Path(cli.__file__).parent


def walk(command: Any, *words: str) -> Iterator[tuple[str, Any]]:
    """Yield every command below one that is no group: how it is called, and the command."""
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, *words, name) if hasattr(below, "commands") else [(" ".join((*words, name)), below)]


COMMANDS = dict(walk(typer.main.get_command(cli.app)))
BY_NAME = pytest.mark.parametrize("name", COMMANDS)


@BY_NAME
def test_every_command_has_an_example_that_it_can_read(name: str) -> None:
    command = COMMANDS[name]
    assert command.help
    assert command.epilog.startswith("Example: `soarm ")
    words = shlex.split(command.epilog.removeprefix("Example: `").removesuffix("`"))

    assert words[: 1 + len(name.split())] == ["soarm", *name.split()]
    command.make_context(name, words[1 + len(name.split()) :])


@BY_NAME
def test_every_option_has_help_and_every_number_bounds(name: str) -> None:
    for option in COMMANDS[name].params:
        kinds = getattr(option.type, "types", [option.type])
        assert option.help, f"{name}: {option.name}"
        assert not {"int", "float", "int range", "float range"} & {kind.name for kind in kinds}, f"{name}: use whole or number"


@BY_NAME
def test_help_says_what_a_command_does_and_ends_with_the_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--help"]) == 0
    assert "Example: soarm" in capsys.readouterr().out


@pytest.mark.parametrize(("text", "is_one"), [("7", True), (" 2.5 ", True), ("nan", False), ("inf", False), ("25.5", False)])
def test_numbers_have_bounds_and_nan_is_none(text: str, is_one: bool) -> None:
    from soarm.cli.command import number

    read = number(0, 25.4, "volts").parser
    if is_one:
        assert math.isclose(read(text), float(text))
    else:
        with pytest.raises(typer.BadParameter, match=r"it must be a number in 0\.\.25\.4"):
            read(text)


@pytest.mark.parametrize("text", ["", "0", "-1", "1e3", "nan", "9" * 5000, "1.5", "101"])
def test_whole_numbers_have_bounds(text: str) -> None:
    from soarm.cli.command import whole

    read = whole(1, 100, "episodes").parser
    with pytest.raises(typer.BadParameter, match=r"it must be a whole number in 1\.\.100"):
        read(text)
    assert read(" 7 ") == 7


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_what_a_command_imports_of_a_room_it_imports_in_loading(path: Path) -> None:
    tree = ast.parse(path.read_text())
    guarded = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and ast.unparse(block.items[0].context_expr).startswith("loading(")
        for node in ast.walk(block)
    }
    inside = [node for function in ast.walk(tree) if isinstance(function, ast.FunctionDef) for node in ast.walk(function)]
    bare = [ast.unparse(node) for node in inside if isinstance(node, ast.Import | ast.ImportFrom) and id(node) not in guarded]

    assert bare == []


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (["trian"], 2, "No such command 'trian'"),
        (["ui", "--prot", "1"], 2, "No such option: --prot"),
        (["info", "a", "b"], 2, "See `soarm info --help`."),
        (["info", "/nowhere"], 1, "error: /nowhere holds no specification"),
        (["dataset", "delete", "a", "b", "--episodes", "3-1"], 2, "3-1 runs backwards; write 1-3"),
        (["dataset", "split", "a", "b", "--part", "x=0.5", "--part", "x=0.5"], 2, "each part needs a name of its own"),
        (["train", "--seed", "-1"], 2, "it must be a whole number in 0..2147483647"),
        (["rl-eval", "--temp", "--json"], 2, "--json shows the metrics in this folder"),
    ],
)
def test_what_is_wrong_is_one_paragraph_on_standard_error(
    words: list[str], status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == status
    said = capsys.readouterr()

    assert (said.out, said.err.count("\n")) == ("", 1)
    assert text in said.err


def test_a_group_without_a_command_shows_its_help_and_says_no_empty_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["dataset"]) == 2
    said = capsys.readouterr()

    assert "Usage: soarm dataset" in said.out
    assert said.err == ""


def test_help_whose_reader_has_gone_has_the_status_of_a_closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run([sys.executable, "-m", "soarm", "--help"], stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, b"")


def test_a_traceback_is_shown_where_it_is_asked_for_wherever_it_stands(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["info", "/nowhere", "--traceback"], ["--traceback", "info", "/nowhere"]):
        assert cli.main(words) == 1
        assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"soarm {importlib.metadata.version('soarm')}\n"


@pytest.mark.parametrize(("words", "package"), [(["twin"], "mujoco"), (["dataset", "info", "d"], "pyarrow")])
def test_what_a_robot_host_does_not_have_is_said_in_a_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: list[str], package: str
) -> None:
    room = {"twin": "soarm.twin", "dataset": "soarm.dataset"}[words[0]]
    for name in [name for name in sys.modules if name.startswith((room, package))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)

    assert cli.main(words) == 1
    said = capsys.readouterr().err
    assert f"error: this needs {package}, which is not installed: pip install -c constraints.txt '.[twin]' in" in said


def test_a_mistake_of_our_own_is_not_taken_for_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    # Else the package hands over the module that another test imported.
    monkeypatch.delattr(importlib.import_module("soarm.twin"), "serving", raising=False)
    monkeypatch.setitem(sys.modules, "soarm.twin.serving", None)

    with pytest.raises(ModuleNotFoundError):
        cli.main(["twin"])


@BY_NAME
def test_what_is_no_option_is_one_line_and_the_status_2(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*name.split(), "--no-such-option"]) == 2
    said = capsys.readouterr()

    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.endswith(f"See `soarm {name} --help`.\n")


@BY_NAME
def test_no_number_may_be_nan(name: str) -> None:
    for option in COMMANDS[name].params:
        for kind in getattr(option.type, "types", [option.type]):
            if getattr(kind, "func", None) is not None:
                with pytest.raises(typer.BadParameter, match="it is 'nan'"):
                    kind.convert("nan", option, None)


@pytest.mark.parametrize(
    ("typed", "completed"), [("soarm rl-", "rl-train"), ("soarm dataset sp", "split"), ("soarm twin --servo", "--servo-model")]
)
def test_the_shell_completes_commands_and_options(
    typed: str, completed: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_SOARM_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split()) - 1))

    with pytest.raises(SystemExit, match="0"):
        cli.main([])
    assert completed in capsys.readouterr().out.split()
