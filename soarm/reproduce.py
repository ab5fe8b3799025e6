"""Run stages of the chain through DVC, with parameters changed as `dvc exp run -S` does."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TextIO

import yaml
from dvc.utils.hydra import apply_overrides
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from soarm import ownership
from soarm import params as params_file
from soarm.errors import ParamsError, SmallFileError, StageError
from soarm.signals import recorded_signals
from soarm.smallfile import parse_json, shown

_LOOK_S = 0.05


@dataclasses.dataclass(frozen=True)
class Changes:
    """Parameters that are changed.

    Attributes:
        sets: `NAME=VALUE` of params.yaml, as `dvc exp run -S` takes them.
        profile: Profile; None leaves that of params.yaml.
        task: Task; None leaves it.
        seed: Seed; None leaves it.
        dataset: Folder of the demonstrations to train on; None leaves it.
        units: Of its joints, where it does not say them; None leaves what params.yaml says.
    """

    sets: Sequence[str] = ()
    profile: str | None = None
    task: str | None = None
    seed: int | None = None
    dataset: Path | None = None
    units: Literal["degrees"] | None = None

    def arguments(self, root: Path, temp: bool) -> list[str]:
        """Return the arguments of `dvc exp run`; none where nothing is changed.

        Args:
            root: Root of the repository.
            temp: Whether stages run in a copy of what git knows, where a dataset is found by its absolute path alone.

        Raises:
            StageError: A change is no `NAME=VALUE`, or the dataset does not exist.
            DatasetError: The dataset is not sound; lists every fault.
            ParamsError: params.yaml has no such task or profile; names those there are. Or a change is of no parameter, cannot
                be read, or is no number in the place of one; lists all of these.
        """
        for text in self.sets:
            if not all(text.partition("=")[::2]):
                raise StageError(
                    f"--set {text!r} is no change; write NAME=VALUE, as in base.record.n_episodes=50, or null for the value"
                )
        file = root / "params.yaml"
        loaded = params_file.load(file, self.task)
        if self.profile is not None and self.profile not in (profiles := _profiles(file)):
            raise ParamsError(f"profile is {self.profile!r}; {file} holds the profiles {profiles}")
        header = {"task": loaded.task, "profile": self.profile or loaded.profile}
        header |= dict(text.split("=", 1) for text in self.sets)
        _check_values(file, ("base", f"tasks.{header['task']}", header["profile"]), self.sets)
        named = {"profile": self.profile, "task": self.task, "seed": self.seed, "dataset_units": self.units}
        sets = [f"{name}={value}" for name, value in named.items() if value is not None]
        if self.dataset is not None:
            if not (self.dataset / "meta" / "info.json").is_file():
                raise StageError(
                    f"{self.dataset} is no dataset: it has no meta/info.json. Record one with `soarm control --dataset "
                    f"{self.dataset}`, or name the folder of one that exists"
                )
            from soarm.dataset import checks

            checks.check(self.dataset)
            place = self.dataset.resolve()
            name = str(place.relative_to(root) if place.is_relative_to(root) and not temp else place)
            sets.append(f"dataset={name}" if re.fullmatch(r"[\w./-]+", name, re.ASCII) else f"dataset={_quoted(name)}")
        return [word for change in [*sets, *self.sets] for word in ("-S", change)]


def reproduce(
    stages: Sequence[str],
    changes: Changes,
    *,
    temp: bool = False,
    force: bool = False,
    alone: bool = False,
    out: TextIO | None = None,
    check: Callable[[params_file.Params], None] | None = None,
) -> int:
    """Run stages, and those they depend on where something has changed, with `dvc repro` or `dvc exp run`.

    Args:
        stages: Names; none for the whole chain.
        changes: Parameters that are changed: in params.yaml, unless `temp`.
        temp: Work in a copy of the repository, and keep the results as an experiment of DVC.
        force: Run them although nothing has changed.
        alone: Leave out what they depend on.
        out: Where DVC and the stages write instead of standard output.
        check: Raises where the parameters, as changed, are not to be run.

    Returns:
        The exit status: 0, 1 where DVC or a stage failed, 130 after Ctrl-C.

    Raises:
        StageError: This is no repository, or a stage's folder holds files that DVC would delete for good.
        ParamsError: params.yaml is not usable.
    """
    root = Path.cwd()
    if not (root / "dvc.yaml").exists():
        raise StageError(f"{root} has no dvc.yaml; run this from the root of the repository")
    sets = changes.arguments(root, temp)
    if check is not None:
        check(_changed(root / "params.yaml", sets[1::2]))
    if not temp:
        _refuse_strangers(root)
    words = ["exp", "run", *sets, *(["--temp"] if temp else [])] if sets or temp else ["repro"]
    # The stages say `python`: it must be the one that runs this, whether or not its environment was activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    command = [sys.executable, "-m", "dvc", *words, *(["--force"] if force else []), *(["-s"] if alone else []), *stages]
    return _call(command, {**os.environ, "PATH": path}, out)


def _changed(file: Path, sets: list[str]) -> params_file.Params:
    """Return parameters as DVC is going to change them."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(shutil.copy(file, folder))
        if sets:
            apply_overrides(copy, sets)
        try:
            return dataclasses.replace(params_file.load(copy), path=file)
        except ParamsError as error:
            raise ParamsError(str(error).replace(str(copy), str(file))) from None


def experiments() -> set[str]:
    """Return the experiments of DVC in this repository, as git's references."""
    listed = _git("for-each-ref", "--format=%(refname)", "refs/exps")
    return {ref for ref in listed.split() if re.fullmatch(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/[^/]+", ref)}


def told(experiment: str, stage: str) -> list[str]:
    """Return the few metrics of a stage in an experiment, a line each, and the commands that go on from there.

    Args:
        experiment: One of `experiments`.
        stage: Name of the stage.
    """
    name, content = experiment.rpartition("/")[2], _git("show", f"{experiment}:data/live/{stage}/metrics.json")
    with contextlib.suppress(SmallFileError):  # where there is no such file, git has said nothing
        metrics = parse_json(content)
        return [*(f"{key:<12} {shown(value)}" for key, value in metrics.items()), _next(name)]
    return [_next(name)]


def _next(name: str) -> str:
    return f"the experiment is {name}: `dvc metrics diff HEAD {name}` compares it, `dvc exp apply {name}` brings its results"


def _git(*words: str) -> str:
    """Return what git says; nothing where it fails."""
    return subprocess.run(["git", *words], capture_output=True, text=True, check=False).stdout


def _profiles(file: Path) -> list[str]:
    keys = yaml.safe_load(file.read_text(encoding="utf-8"))
    return [
        key for key in keys if key not in {"base", "tasks", *(field.name for field in dataclasses.fields(params_file.Header))}
    ]


def _check_values(file: Path, layers: Sequence[str], sets: Sequence[str]) -> None:
    """Refuse changes that DVC cannot make, and warn of one that task or profile hide.

    Args:
        file: The params file.
        layers: What is laid over one another there, the last one on top.
        sets: `NAME=VALUE`, or `+NAME=VALUE`, as Hydra reads them for DVC.

    Raises:
        ParamsError: Lists every change that cannot be read, that is of no parameter, or whose value is no number in the place
            of one.
    """
    keys = yaml.safe_load(file.read_text(encoding="utf-8"))
    faults = [fault for text in sets if (fault := _fault(text, keys)) is not None]
    for name, _, value in (text.partition("=") for text in sets):
        now = _at(keys, name)
        if isinstance(now, int | float) and not isinstance(now, bool) and not _is_number(value):
            faults.append(f"{name} is {shown(value)}; it must be a number, as {now} is")
        for below, layer in enumerate(layers):
            inner = name.removeprefix(f"{layer}.")
            hides = [f"{over}.{inner}" for over in layers[below + 1 :] if _at(keys, f"{over}.{inner}") is not None]
            if inner != name and hides:
                sys.stderr.write(f"warning: {name} changes nothing: {hides[-1]} is laid over it; change that\n")
    if faults:
        raise ParamsError("\n  ".join(["parameters do not fit:", *faults]))


def _fault(text: str, keys: Any) -> str | None:
    """Return why DVC cannot make a change; None where it can."""
    name, _, value = text.partition("=")
    try:
        read = OverridesParser.create().parse_override(text)
    except HydraException:
        return (
            f"{name} is {shown(value)}, which cannot be read: brackets and quotes have to be closed, and a text with other "
            f'characters than letters, digits and ./:_- has quotes of its own, as in -S "{name}={_quoted(value)}"'
        )
    if read.is_sweep_override():
        return f"{name} is {shown(value)}, several values; give one, or a list: -S '{name}=[{value}]'"
    if name[:1] in "+~" or _at(keys, name) is not None:
        return None
    above, _, last = name.rpartition(".")
    there = _at(keys, above) if above else keys
    if isinstance(there, dict) and last in there:  # it is null
        return None
    if not isinstance(there, dict):
        return f"{name} is no parameter: params.yaml has no {above}, or nothing below it"
    adds = f"; -S '+{name}={value}' adds it" if not name.startswith("base.") or not there else ""
    return f"{name} is no parameter: {above or 'params.yaml'} has {list(there)}{adds}"


def _quoted(text: str) -> str:
    """Return a text as Hydra reads it whatever is in it."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _at(keys: Any, name: str) -> Any:
    """Return what stands under a dotted name; None where nothing does."""
    for part in name.split("."):
        keys = keys.get(part) if isinstance(keys, dict) else None
    return keys


def _is_number(text: str) -> bool:
    """Whether DVC may read a number in a text; null stands for one that is not set."""
    try:
        return text.lower() == "null" or math.isfinite(float(text))
    except ValueError:
        return False


def _refuse_strangers(root: Path) -> None:
    """Refuse to run DVC while a stage's folder holds files that it would delete for good; DVC itself asks nobody."""
    folders = {output.stage: root / "data" / output.stage for output in ownership.outputs(root / "dvc.yaml")}
    told = [ownership.in_danger(root, stage, folder) for stage, folder in folders.items() if folder.is_dir()]
    faults = [text for text in told if text is not None]
    if faults:
        raise StageError("\n  ".join(faults))


def _call(command: Sequence[str], environment: dict[str, str], out: TextIO | None) -> int:
    """Run a command in a process group of its own, and hand it the signals that come."""
    with recorded_signals() as stop:
        process = subprocess.Popen(command, env=environment, stdout=out, process_group=0)
        told = 0
        while process.poll() is None:
            time.sleep(_LOOK_S)
            for name in stop.came[told:]:
                os.killpg(process.pid, signal.Signals[name])
            told = len(stop.came)
    if not stop:
        return min(process.returncode, 1) if process.returncode >= 0 else 128 - process.returncode  # DVC fails with 255
    sys.stderr.write("stopped. Type the same command again: finished stages are kept, training goes on from its checkpoint\n")
    return 128 + signal.Signals[stop.came[0]]
