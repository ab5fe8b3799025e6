"""How commands start and end, in processes of their own where it matters."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from soarm import entry
from soarm.errors import TwinError
from soarm.signals import StopRequested

ROOT = Path(__file__).parents[1]


def raising(error: BaseException) -> Callable[[], int]:
    def call() -> int:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "stopped\n"),
        (StopRequested(15), 143, "stopped\n"),
        (TwinError("no such fault"), 1, "error: no such fault\n"),
        (FileNotFoundError(2, "No such file or directory", "a.json"), 1, "a.json: No such file or directory\n"),
        (OSError(28, "No space left on device"), 1, "error: the output cannot be written: No space left on device\n"),
        (OSError(5, "Input/output error"), 1, "OSError: Input/output error\n"),
        (ModuleNotFoundError("no", name="mujoco"), 1, "this needs mujoco, which is not installed"),
        (SystemExit(2), 2, ""),
        (SystemExit("gone"), 1, ""),
        (SystemExit(None), 0, ""),
    ],
)
def test_what_a_command_raises_becomes_a_line_and_a_status(
    error: BaseException, status: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entry.guarded(raising(error)) == status
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("error", [ValueError("a mistake"), ModuleNotFoundError("no", name="soarm.nothing")])
def test_a_mistake_of_our_own_is_not_hidden(error: Exception) -> None:
    with pytest.raises(type(error)):
        entry.guarded(raising(error))


def test_the_module_is_guarded_before_it_imports_anything_else() -> None:
    docstring, guard, start = ast.parse((ROOT / "soarm" / "__main__.py").read_text()).body

    assert isinstance(docstring, ast.Expr)
    assert ast.unparse([guard, start]) == "from soarm import entry\nentry.soarm()"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("package", "words"),
    [
        ("typer", ["--help"]),
        ("numpy", ["info", "."]),
        ("numpy", ["doctor", "--port", "p"]),
        ("numpy", ["drive", "b", "--port", "p", "--calibration", "c"]),
        ("numpy", ["control"]),
        ("numpy", ["twin"]),
        ("yaml", ["train"]),
    ],
)
def test_ctrl_c_while_a_command_loads_ends_it_quietly(tmp_path: Path, package: str, words: list[str]) -> None:
    # This package takes its time, and turns what strikes it into an error of its own.
    (tmp_path / f"{package}.py").write_text(
        "import time\nprint('loading', flush=True)\n"
        "try:\n    time.sleep(60)\nexcept BaseException as error:\n    raise ImportError\n"
    )
    command = [sys.executable, "-m", "soarm", *words]
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "loading\n"
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (130, "stopped\n")


def test_the_command_that_is_installed_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[str] = []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    monkeypatch.setattr(entry, "start", started.append)

    module, _, name = project["scripts"]["soarm"].partition(":")
    getattr(sys.modules[module], name)()

    assert started == ["soarm.cli.program"]


PROGRAMS = {
    "writes": "import sys\ndef main():\n    sys.stdout.write('x' * 10)\n    return 0\n",
    "writes much": "import sys\ndef main():\n    sys.stdout.write('x' * 1000000)\n    return 0\n",
    "logs": (
        "import logging, sys\ndef main():\n    logging.basicConfig(stream=sys.stdout)\n"
        "    for _ in range(9): logging.error('x')\n    open('done', 'w').close()\n    return 0\n"
    ),
    "logs odd names": (
        "import logging, sys\ndef main():\n    logging.basicConfig(stream=sys.stdout)\n"
        "    logging.error('\\udcff')\n    return 3\n"
    ),
}


def run(folder: Path, program: str, **how: object) -> subprocess.CompletedProcess[bytes]:
    (folder / "program.py").write_text(PROGRAMS[program])
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", "from soarm import entry; entry.start('program')"]
    paths = {"PYTHONPATH": f"{folder}:{ROOT}"}
    return subprocess.run(command, cwd=folder, env=environment | paths, stderr=subprocess.PIPE, timeout=60, **how)  # type: ignore[call-overload, no-any-return]


@pytest.mark.parametrize("program", ["writes", "writes much", "logs"])
def test_a_command_whose_reader_has_gone_ends_without_a_word_and_with_its_work_done(tmp_path: Path, program: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(tmp_path, program, stdout=writer)
    os.close(writer)

    assert (done.returncode, done.stderr) == (141, b"")
    assert (tmp_path / "done").exists() == (program == "logs")


@pytest.mark.parametrize("program", ["writes", "logs"])
def test_a_command_without_standard_output_works(tmp_path: Path, program: str) -> None:
    done = run(tmp_path, program, preexec_fn=lambda: (os.close(0), os.close(1)))

    assert (done.returncode, done.stderr) == (0, b"")


def test_an_output_that_is_full_is_said(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        done = run(tmp_path, "writes", stdout=full)

    assert done.returncode == 1
    assert done.stderr == b"error: the output cannot be written: No space left on device\n"


def test_a_name_that_is_no_text_is_shown_with_escapes(tmp_path: Path) -> None:
    done = run(tmp_path, "logs odd names", stdout=subprocess.PIPE)

    assert (done.returncode, done.stderr) == (3, b"")
    assert done.stdout == b"ERROR:root:\\udcff\n"
