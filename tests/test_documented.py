"""Every command of README, CONTRIBUTING and docs runs as it is typed there, or documented.yaml says why it is not run.

The default suite holds pages and table against each other. `pytest -m documented -n 0` runs what can be run: it installs
from a clone as the pages say, and drives the emulated arm in real time, so it wants the machine for itself.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer
import yaml

from soarm import cli
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.runtime.bundle import Bundle

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "mlflow/README.md")] + sorted((ROOT / "docs").glob("*.md"))
WITHOUT_AN_ARM = ROOT / "docs" / "without-an-arm.md"
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "documented.yaml").read_text())
SOARM: Any = typer.main.get_command(cli.app)
PROGRAMS = {
    "soarm",
    "dvc",
    "python",
    "python3.11",
    "pip",
    "pytest",
    "git",
    "mkdocs",
    "pre-commit",
    "docker",
    "export",
    ".",
    ".ci/run",
}
OTHER_SHELL = "# in another shell"
PROMPT = re.compile(r"\[status (\d+)\] ")
Answers = dict[str, str | Callable[[], str]]
"""Question -> the keys that are pressed, or what is done first and returns them."""
ANSWERS: Answers = {"(?<!adapter, then )press Enter": "\n"} | TABLE["answers"]
TRIES = 3
"""Of what happens in real time: the policy misses 5 scenes of 100, and a step that comes late is not recorded."""
REPRODUCED = os.environ.get("SOARM_REPRODUCED")
"""Where `pytest -m chain` was told to reproduce the chain; without it the commands of the chain do so once more."""
COMMIT = "git -c user.name=ci -c user.email=ci commit -qam"
KEY_S = 0.1
"""From one key to the next [s], as a terminal repeats a key that is held."""


class Block(NamedTuple):
    """Commands that stand together in a page, and whether they are typed in another shell than those before."""

    commands: list[str]
    other_shell: bool


def program(command: str) -> str:
    return next((word for word in command.split() if not re.match(r"[A-Z_]+=", word)), "")


def tidy(command: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"(^|\s)#\s.*$", "", command)).strip()


def read(page: Path) -> tuple[list[Block], set[str]]:
    """Return the blocks of commands of a page, fenced as bash or indented, and the commands in its sentences and tables."""
    blocks: list[Block] = []
    prose, lines, fence, unfinished = "", [], None, False
    for line in [*page.read_text().splitlines(), ""]:
        edge = re.match(r"```(\w*)", line)
        indented = fence is None and line.startswith("    ")
        if not edge and (fence == "bash" or unfinished or (indented and program(line) in PROGRAMS)):
            lines = [*lines[:-1], lines[-1][:-1] + line.strip()] if unfinished else [*lines, line.strip()]
            unfinished = line.endswith("\\")
        elif lines:
            blocks.append(Block(list(filter(None, map(tidy, lines))), lines[0].startswith(OTHER_SHELL)))
            lines = []
        if edge:
            fence = edge[1] if fence is None else None
        elif fence is None and not indented:
            prose += line + "\n"
    spans = {tidy(span) for span in re.findall(r"`([^`]+)`", prose)}
    return blocks, {span for span in spans if " " in span and program(span) in PROGRAMS}


def entries(kind: str) -> list[dict[str, Any]]:
    """Return what the table says of the commands of a kind: `run` as documented, and how it is run."""
    return [entry if isinstance(entry, dict) else {"run": entry} for entry in TABLE[kind]]


def test_every_documented_command_is_run_or_has_a_reason_why_not() -> None:
    documented: set[str] = set()
    for page in PAGES:
        blocks, spans = read(page)
        ran_as_a_whole = page == WITHOUT_AN_ARM
        documented |= {command for block in blocks for command in block.commands if not ran_as_a_whole}
        documented |= {span for span in spans if program(span) != "soarm"}
    listed = [entry["run"] for kind in ("clone", "copy", "fresh", "robot") for entry in entries(kind)]
    listed += [command for reason in ("by_ci", "not_run") for commands in TABLE[reason].values() for command in commands]

    assert sorted(documented - set(listed)) == [], "enter it in tests/documented.yaml"
    assert sorted(set(listed) - documented) == [], "no page has it; take it out of tests/documented.yaml"
    assert sorted({command for command in listed if listed.count(command) > 1}) == []


def options_of(words: list[str]) -> set[str] | None:
    """Return the options of a command of soarm, by what is typed after `soarm`; None where there is no such command."""
    command = SOARM
    while words and hasattr(command, "commands"):
        command = command.commands.get(words[0])
        words = words[1:]
    return None if command is None else {"--help"}.union(*(option.opts + option.secondary_opts for option in command.params))


def test_commands_of_soarm_in_sentences_messages_and_help_exist_with_their_options() -> None:
    told = {span for page in PAGES for span in read(page)[1]}
    told |= {command for page in PAGES for block in read(page)[0] for command in block.commands}
    for path in (ROOT / "soarm").rglob("*.py"):
        told |= {f"soarm {words}" for words in re.findall(r"(?:`|^    )soarm ([a-z][^`\n]+)", path.read_text(), re.MULTILINE)}
    missing = set()
    for command in told:
        for words in re.findall(r"\bsoarm ([a-z][a-z-]*[^|&;\"]*)", command):
            options = options_of(words.split())
            asked = re.findall(r"--[\w-]+", words)
            missing |= {command} if options is None else {f"{command}: {word}" for word in asked if word not in options}

    assert missing == set()


def test_the_examples_are_what_this_code_reads() -> None:
    for name in ("bundle", "desk"):
        assert set(Bundle.open(ROOT / "examples" / name).sessions) == {"act", "residual"}
    assert ArmConfig.load(ROOT / "examples" / "arm_settings.json") == DEFAULT


class Shell:
    """A shell in a terminal, into which commands are typed.

    Args:
        folder: Where it begins.
        path: Put before the usual PATH.
    """

    def __init__(self, folder: Path, *path: Path) -> None:
        ours = ("DVC_", "MLFLOW_", "SOARM_", "PYTEST_", "VIRTUAL_ENV")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
        environment |= {"TERM": "dumb", "PS1": r"[status $?] ", "PATH": os.pathsep.join([*map(str, path), os.environ["PATH"]])}
        environment |= {"PAGER": "cat", "DVC_PAGER": "cat"}  # a pager waits for a key
        environment |= {"XDG_STATE_HOME": str(folder.parent / "state"), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (50, 1000))
        self._process = subprocess.Popen(
            ["bash", "--norc", "--noprofile", "-i"],
            cwd=folder,
            env=environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self.said, self._from = "", 0
        self._wait_for(PROMPT, 30.0, {})

    def run(self, command: str, answers: Answers = ANSWERS, timeout_s: float = 900.0, status: int = 0) -> str:
        """Type a command, answer what it asks, and return what was said once it has ended as it should."""
        begin = len(self.said)
        self.start(command)
        ended = self._wait_for(PROMPT, timeout_s, answers)

        assert int(ended[1]) == status, f"{command}\nended with status {ended[1]}:\n{self.said[begin:][-20000:]}"
        return self.said[begin:]

    def start(self, command: str, until: str | None = None) -> None:
        """Type a command, and wait until it has said something."""
        self._from = len(self.said)
        os.write(self._ours, f"{command}\n".encode())
        if until is not None:
            self._wait_for(re.compile(until), 120.0, {})

    def stop(self) -> str:
        """Press Ctrl-C, and return all that the shell said once the command has ended."""
        os.write(self._ours, b"\x03")
        self._wait_for(PROMPT, 60.0, {})
        return self.said

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self._ours)  # the terminal hangs up on whatever runs in it
        self._process.wait(60.0)

    def _wait_for(self, wanted: re.Pattern[str], timeout_s: float, answers: Answers) -> re.Match[str]:
        until_s, answered = time.monotonic() + timeout_s, dict.fromkeys(answers, self._from)
        while time.monotonic() < until_s:
            found = wanted.search(self.said, self._from)
            if found:
                self._from = found.end()
                return found
            if select.select([self._ours], [], [], 1.0)[0]:
                said = os.read(self._ours, 65536).decode(errors="replace").replace("\r\n", "\n")
                self.said += re.sub(" {20,}", " ", said)  # a progress bar wipes a line of a thousand columns
            for question, keys in answers.items():
                asked = re.compile(question).search(self.said, answered[question])
                if asked:
                    answered[question] = asked.end()
                    for key in keys() if callable(keys) else keys:
                        os.write(self._ours, key.encode())
                        time.sleep(KEY_S)
        raise AssertionError(f"waited {timeout_s:.0f} s for {wanted.pattern!r}:\n{self.said[-20000:]}")


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what is on the disk here, committed."""
    path = tmp_path_factory.mktemp("documented") / "origin"
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listing, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        if (ROOT / name).is_file():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, path / name, follow_symlinks=False)
    git = ["git", "-c", "user.name=ci", "-c", "user.email=ci@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "what is on the disk"]):
        subprocess.run([*git, *words], cwd=path, check=True)
    return path


def clone_under_ci(origin: Path, name: str, *changes: str) -> Shell:
    """Return a shell in a new clone with the profile `ci` and other changes, committed."""
    subprocess.run(["git", "clone", "-q", str(origin), name], cwd=origin.parent, check=True)
    shell = Shell(origin.parent / name, Path(sys.executable).parent)
    for command in ("sed -i 's/^profile: default$/profile: ci/' params.yaml", *changes, f"{COMMIT} ci"):
        shell.run(command)
    return shell


@pytest.fixture(scope="module")
def clone(request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A shell in a clone in which the chain was reproduced under the profile `ci`."""
    if REPRODUCED is not None:
        with Shell(Path(REPRODUCED), Path(sys.executable).parent) as shell:
            yield shell
        return
    with clone_under_ci(request.getfixturevalue("origin"), "clone") as shell:
        shell.run(f"dvc repro && git add -A && {COMMIT} results")
        yield shell


@pytest.fixture(scope="module")
def copy(request: pytest.FixtureRequest) -> Iterator[Shell]:
    """A shell in another such clone."""
    folder = Path(REPRODUCED or request.getfixturevalue("origin").parent / "copy")
    if REPRODUCED is None:
        request.getfixturevalue("clone")
        shutil.copytree(folder.parent / "clone", folder, symlinks=True)
    with Shell(folder, Path(sys.executable).parent) as shell:
        yield shell


@pytest.fixture(scope="module")
def fresh(origin: Path) -> Iterator[Shell]:
    """A shell in a clone in which nothing ran, without the study."""
    with clone_under_ci(origin, "fresh", "git rm -qr study") as shell:
        yield shell


def type_as_told(shell: Shell, entry: dict[str, Any]) -> None:
    command = entry.get("typed", entry["run"])
    if "until" in entry:
        shell.start(command, entry["until"])
        shell.stop()
    else:
        shell.run(command, status=entry.get("status", 0))


@pytest.mark.documented
@pytest.mark.parametrize("entry", entries("clone"), ids=lambda entry: entry["run"])
def test_a_command_of_the_chain_runs_as_typed(clone: Shell, entry: dict[str, Any]) -> None:
    type_as_told(clone, entry)


@pytest.mark.documented
@pytest.mark.parametrize("entry", entries("copy"), ids=lambda entry: entry["run"])
def test_a_command_of_a_copy_of_the_chain_runs_as_typed(copy: Shell, entry: dict[str, Any]) -> None:
    type_as_told(copy, entry)


@pytest.mark.documented
@pytest.mark.parametrize("entry", entries("fresh"), ids=lambda entry: entry["run"])
def test_a_command_of_a_fresh_clone_runs_as_typed(fresh: Shell, entry: dict[str, Any]) -> None:
    type_as_told(fresh, entry)


@pytest.fixture(scope="module")
def installed(origin: Path) -> Path:
    """A folder that was empty, after the installation of the page about the twin; `.venv` is its environment."""
    folder = origin.parent / "empty"
    folder.mkdir()
    with Shell(folder) as shell:
        for command in read(WITHOUT_AN_ARM)[0][0].commands:
            shell.run(command.replace("<this repository>", str(origin)))
    return folder


def walk(folder: Path) -> tuple[str, str]:
    """Type what the page about the twin says after the installation; return what the first shell and the twin said."""
    environment = folder / ".venv" / "bin"
    for name in ("arm.json", "objects.json", "run.log"):
        (folder / name).unlink(missing_ok=True)
    with Shell(folder, environment) as first, Shell(folder, environment) as other, Shell(folder) as third:

        def move_cable() -> str:
            third.run(f"kill -USR1 {re.findall(r'kill -USR1 ([0-9]+)', other.said)[-1]}")
            time.sleep(1.0)
            return "\n"

        for block in read(WITHOUT_AN_ARM)[0][1:]:
            for command in block.commands:
                if block.other_shell:
                    other.start(command, "Ctrl-C ends it")
                else:
                    first.run(command, ANSWERS | {"Unplug the USB cable": move_cable}, timeout_s=180.0)
                if "find-port" in command:
                    move_cable()
        return first.said, other.stop()


@pytest.mark.documented
def test_from_an_empty_folder_the_cube_comes_to_lie_in_the_bin(installed: Path) -> None:
    for _ in range(TRIES):
        told, twin_told = walk(installed)
        if "ended: the cube lies in the bin" in told:
            break

    assert "ended: the cube lies in the bin" in told, told
    assert "the cube lies in the bin, after" in twin_told


@pytest.fixture(scope="module")
def robot(installed: Path) -> Path:
    """The folder of a robot host: soarm without any extra, a bundle, and what a dataset and a calibration are called there."""
    folder = installed.parent / "robot"
    shutil.copytree(ROOT / "examples" / "bundle", folder / "data" / "export")
    with Shell(folder) as shell:
        for command in read(ROOT / "docs" / "hardware.md")[0][0].commands:
            shell.run(command.replace("<this repository>", str(installed / "soarm")))
    return folder


@pytest.mark.documented
@pytest.mark.parametrize("entry", entries("robot"), ids=lambda entry: entry["run"])
def test_a_command_of_the_robot_runs_as_typed_on_the_twin(installed: Path, robot: Path, entry: dict[str, Any]) -> None:
    simulator = installed / ".venv" / "bin"
    command = entry.get("typed", entry["run"])
    for word, meant in TABLE["placeholders"].items():
        command = command.replace(word, meant)
    with (
        Shell(robot, simulator) as other,
        Shell(robot, simulator if entry.get("simulated") else robot / ".venv" / "bin") as shell,
    ):
        if "before" in entry:
            other.run(entry["before"])
        if "until" in entry:
            shell.start(command, entry["until"])
            shell.stop()
        else:
            other.start(f"soarm twin --port arm {entry.get('twin', TABLE['twin'])}", "Ctrl-C ends it")
            for left in reversed(range(TRIES if entry.get("in_time") else 1)):
                try:
                    shell.run(command, ANSWERS | entry.get("answers", {}), timeout_s=120.0, status=entry.get("status", 0))
                    break
                except AssertionError:
                    if not left:
                        raise
            other.stop()
