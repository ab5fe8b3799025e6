"""The command `soarm`: run the chain, look at its runs, look at an artefact.

    soarm run [DVC ARGUMENTS]   `dvc repro` with this Python; with -S (`soarm run -S profile=ci`) `dvc exp run`
    soarm ui                    MLflow's pages on the local store
    soarm info [PATH]           versions, and what a dataset, a checkpoint or a bundle is
    soarm find-port, setup-motors, calibrate, check-pose, doctor, release, restore-registers,
          import-calibration, export-calibration
                                the arm on its servo bus (soarm.hardware)
    soarm dataset               look at a dataset, verify it, or write a copy in degrees (soarm.dataset)
    soarm drive, show-log, replay-log
                                let a bundle drive an arm, and see what happened (soarm.runtime)
    soarm teleoperate           drive an arm by hand, and record it (soarm.teleop)
    soarm twin                  an emulated arm on a pseudo-terminal (soarm.twin)

Needs the standard library only, so that it works wherever a part of soarm is installed.
"""

from __future__ import annotations

from soarm import entry

if __name__ == "__main__":  # before the other imports: Ctrl-C while they load ends as it does later
    entry.start("soarm.cli")

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from soarm import ownership
from soarm.errors import SoarmError, SpecMismatchError, StageError, how_to_install
from soarm.smallfile import DATASET_BYTES, read_json
from soarm.spec import PolicySpec

_PACKAGES = ("soarm", "numpy", "torch", "mujoco", "stable_baselines3", "onnxruntime", "mlflow", "dvc", "feetech-servo-sdk")
_ELSEWHERE: dict[str, tuple[str, str]] = {
    "find-port": ("hardware", "find the arm's serial port"),
    "setup-motors": ("hardware", "give new servos their ids"),
    "calibrate": ("hardware", "measure zero and range of every joint"),
    "check-pose": ("hardware", "hold a calibration against a pose that is known"),
    "doctor": ("hardware", "ask every servo, and say what is wrong"),
    "release": ("hardware", "switch torque off, and prove it"),
    "restore-registers": ("hardware", "give the servos back what they held before"),
    "import-calibration": ("hardware", "read a calibration of LeRobot"),
    "export-calibration": ("hardware", "write a calibration as LeRobot does"),
    "dataset": ("dataset", "look at a dataset, verify it, or write a copy in degrees"),
    "drive": ("runtime", "let a bundle drive an arm"),
    "show-log": ("runtime", "what happened in a run"),
    "replay-log": ("runtime", "put a log through the safety chain again"),
    "teleoperate": ("teleop", "drive an arm by hand, and record demonstrations"),
    "twin": ("twin", "an emulated arm on a pseudo-terminal, for who has none at hand"),
}
"""Commands that a room has: name -> room, and what it does. A room with one command alone gets it without its name."""
# Where an artefact keeps its specification: file, and the keys to it.
_SPEC_PLACES = (("spec.json", ()), ("config.json", ("spec",)))
_DATASET = ("meta/info.json", "recording/recording.json")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="soarm", description="Teach the SO-ARM100 a task.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("run", help="run the chain; what follows goes to `dvc repro`, or with -S to `dvc exp run`")
    ui = commands.add_parser("ui", help="show the tracked runs in a browser")
    ui.add_argument("--port", type=int, default=5000, help="where to serve (%(default)s)")
    info = commands.add_parser("info", help="show versions, and what an artefact is")
    info.add_argument("path", type=Path, nargs="?", help="folder of a dataset, a checkpoint or a bundle")
    for name, (_, text) in _ELSEWHERE.items():
        commands.add_parser(name, help=text)
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words and words[0] in _ELSEWHERE:
        room = _ELSEWHERE[words[0]][0]
        alone = sum(other == room for other, _ in _ELSEWHERE.values()) == 1
        try:
            found = entry.load(f"soarm.{room}.__main__")
        except ModuleNotFoundError as error:
            if str(error.name).startswith("soarm"):
                raise
            sys.stderr.write(
                f"`soarm {words[0]}` needs {error.name}, which a robot host does not have: {how_to_install('twin')}\n"
            )
            return 1
        status: int = found.main(words[1:] if alone else words)
        return status
    passed_on = words[1:] if words[:1] == ["run"] and words[1:] != ["--help"] else []  # DVC's options are not argparse's
    options = parser.parse_args(words[: len(words) - len(passed_on)])
    try:
        if options.command == "run":
            return _run(passed_on)
        if options.command == "ui":
            return _ui(options.port)
        _info(options.path)
    except SoarmError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def _run(arguments: Sequence[str]) -> int:
    _require_repository("dvc.yaml")
    changes = any(argument == "--set-param" or argument.startswith("-S") for argument in arguments)
    if not {"--temp", "--queue"} & set(arguments):  # those work in a copy of the repository
        _refuse_strangers()
    # The stages say `python`: it must be the one that runs this, whether or not its environment was activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", *(["exp", "run"] if changes else ["repro"]), *arguments]
    return subprocess.call(command, env={**os.environ, "PATH": path})


def _refuse_strangers() -> None:
    """Refuse to run DVC while a stage's folder holds files that it would delete for good; DVC itself asks nobody."""
    root = Path.cwd()
    owned = [output for output in ownership.outputs(root / "dvc.yaml") if output.path.is_dir()]
    told = [ownership.in_danger(root, output.stage, output.path) for output in owned]
    faults = [text for text in told if text is not None]
    if faults:
        raise StageError("\n  ".join(faults))


def _ui(port: int) -> int:
    from soarm.tracking.server import require_free, serve
    from soarm.tracking.store import opened_alone

    _require_repository("mlflow")
    require_free(port)
    store = os.environ.get("MLFLOW_TRACKING_URI", "sqlite:///mlflow/mlflow.db")
    # One worker: each takes 250 MB, and the default of four needs half a minute to start on two cores.
    command = ["mlflow", "ui", "--backend-store-uri", store, "--port", str(port), "--workers", "1"]
    try:
        with opened_alone(store):  # a new store is made before the server looks
            pass
    except (OSError, ImportError) as error:
        raise StageError(f"the store {store} cannot be opened: {error}") from None
    return serve([sys.executable, "-m", *command])


def _info(path: Path | None) -> None:
    lines = [f"{'python':<18} {platform.python_version()}  {sys.executable}"]
    for package in _PACKAGES:
        try:
            lines.append(f"{package:<18} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{package:<18} not installed")
    if path is not None:
        lines += [
            "",
            *(
                _dataset_page(path)
                if any((path / name).exists() for name in _DATASET)
                else [f"{path}:", json.dumps(read_spec(path).to_dict(), indent=2)]
            ),
        ]
    sys.stdout.write("\n".join(lines) + "\n")


def _dataset_page(path: Path) -> list[str]:
    try:
        from soarm.dataset.overview import page
    except ModuleNotFoundError as error:
        raise StageError(f"{path} is a dataset, which needs {error.name}: {how_to_install('pipeline')}") from None
    return page(path)


def read_spec(path: Path) -> PolicySpec:
    """Return the specification inside an artefact.

    Args:
        path: Folder of a checkpoint or a bundle.

    Raises:
        StageError: There is none, or it cannot be read.
        SpecMismatchError: It is of another version of soarm.
    """
    for name, keys in _SPEC_PLACES:
        if (path / name).is_file():
            data: Any = read_json(path / name, StageError, "Bring it back from a copy", most_bytes=DATASET_BYTES)
            for key in keys:
                data = data.get(key)
            if isinstance(data, Mapping):
                try:
                    return PolicySpec.from_dict(data)
                except SpecMismatchError as error:
                    raise SpecMismatchError(f"{path / name}: {error}") from None
    places = ", ".join(name for name, _ in _SPEC_PLACES)
    raise StageError(
        f"{path} holds no specification; looked in {places}. Give the folder of a dataset, a checkpoint or a bundle"
    )


def _require_repository(name: str) -> None:
    if not Path(name).exists():
        raise StageError(f"{Path.cwd()} has no {name}; run this from the root of the repository")
