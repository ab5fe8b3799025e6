"""What every stage of the chain shares: parameters, folders, metrics, provenance, progress and tracking.

    with open_stage("train_act") as run:
        params = run.params("train_act", TrainActParams)
        dataset = Dataset.open(run.dataset())
        ...
        run.finish({"val_l1_deg": 1.2})

The name of a stage is its module (`stages.train_act`), its section in params.yaml, its folder (`data/train_act`), its metrics
file (`data/metrics/train_act.json`), and its folder for DVC to draw (`data/live/train_act`), which gets curves as they come.
Nothing else appears before `finish`: a stage that fails or is killed leaves the previous result as it was, and checkpoints in
`scratch`, from which the next try goes on. A stage does not start while its folder holds files that it did not write and DVC's
cache does not hold: `finish` would delete them.

As a trial of a sweep (`soarm.tracking.trial`) a stage reads the chain's inputs, and params.yaml of the trial's folder.
All that it writes lies there.
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import logging
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import threadpoolctl
from rich.console import Console

from soarm import ownership
from soarm import params as params_file
from soarm.errors import ParamsError, SoarmError, StageError
from soarm.parts import Parts
from soarm.progress import Reporter, console_logging
from soarm.provenance import changes, git_revision, source_digest
from soarm.records import History, plain, write_json
from soarm.spec import content_hash
from soarm.tasks.registry import find
from soarm.tracking.choice import open_tracker
from soarm.tracking.tracker import Provenance, Tracker
from soarm.tracking.trial import Trial, running_trial

logger = logging.getLogger(__name__)
T = TypeVar("T")


class StageRun:
    """One run of one stage. Made by `open_stage`.

    Attributes:
        name: Name of the stage.
        part: Which of the runs of a stage that has several; None where it has one. Each has a folder `data/<name>/<part>` with
            metrics and curves in it (`metrics.json`, `training.csv`), and a scratch folder of its own.
        root: Root of the repository.
        place: Folder in whose `data` the results go: the root, or the folder of a sweep's trial.
        seed: Seed of the run.
        task: The task of the run.
        profile: Profile of the parameters.
        dataset_units: The unit of the dataset's arm joints by params.yaml, for a dataset that does not say it itself.
        git_rev: Revision of the code, with `-dirty` where the work tree differs from it.
        finished: Whether `finish` was called.
    """

    def __init__(
        self,
        name: str,
        root: Path,
        params: params_file.Params,
        git_rev: str,
        tracker: Tracker,
        reporter: Reporter,
        part: str | None = None,
        trial: Trial | None = None,
    ) -> None:
        self.name, self.part, self.root, self.git_rev = name, part, root, git_rev
        self.place = root if trial is None else trial.folder
        self._full_name = _full_name(name, part)
        self.seed, self.profile, self.dataset_units = params.seed, params.profile, params.dataset_units
        self.task = find(params.task, ParamsError)
        self._params, self._tracker, self._reporter = params, tracker, reporter
        self._start_s = time.monotonic()
        # What the result follows from, as far as asked for.
        self._identity: dict[str, Any] = {"seed": params.seed, "task": params.task}
        self._history = History(live=self._live)
        self.finished = False

    def params(self, section: str, cls: type[T], depends_on: Callable[[T], Any] | None = None) -> T:
        """Return a section of params.yaml as the dataclass `cls`.

        Args:
            section: Its name.
            cls: The dataclass.
            depends_on: What of the section the result depends on; all of it by default.

        Raises:
            ParamsError: The section does not fit; lists every fault.
        """
        value = self._params.section(section, cls)
        self._identify(f"params.{section}", self._params.sections[section] if depends_on is None else depends_on(value))
        self._tracker.params(section, self._params.sections[section])
        return value

    def without_profile(self, section: str, cls: type[T]) -> T:
        """Return a section of params.yaml as the task has it, whatever the profile; raises as `params`."""
        plain = self._params.without_profile()
        self._identify(f"params.without_profile.{section}", plain.sections[section])
        return plain.section(section, cls)

    def values(self, section: str) -> Mapping[str, Any]:
        """Return a section of params.yaml as it stands there, task and profile applied: for what a result says of others."""
        self._identify(f"params.{section}", self._params.sections[section])
        return self._params.sections[section]

    def input(self, stage: str) -> Path:
        """Return the folder another stage wrote.

        Raises:
            StageError: It is not there.
        """
        path = self.root / "data" / stage
        if not path.is_dir():
            raise StageError(f"{self.name} needs data/{stage}, which does not exist; make it with `dvc repro {stage}`")
        self._follow(f"data.{stage}", path)
        return path

    def input_if_any(self, stage: str) -> Path | None:
        """Return the folder another stage wrote, None where it did not run; for what the result says and does not need."""
        return self.input(stage) if (self.root / "data" / stage).is_dir() else None

    def dataset(self) -> Path:
        """Return the folder of the demonstrations to train on: `dataset` of params.yaml, whatever `record` wrote by default.

        Raises:
            StageError: It is not there.
        """
        named = self._params.dataset
        path = self.root / named
        if not path.is_dir():
            made = "; `dvc repro record` records scripted demonstrations there" if named == "data/record" else ""
            raise StageError(
                f"{self.name} needs {named} (`dataset` in params.yaml), which does not exist{made}. Name the folder of a "
                "dataset, relative to the root of the repository or absolute: `dvc exp run -S dataset=datasets/mine`"
            )
        self._identify("dataset_units", self.dataset_units)
        self._follow("dataset", path)
        return path

    def control_hz(self) -> int:
        """Return the control rate of the simulator and of the policies (`sim.control_hz`) [Hz].

        For a stage that needs nothing else of the simulator.

        Raises:
            ParamsError: It is no whole number.
        """
        rate = params_file.build(_Rate, {"control_hz": self._params.sections["sim"]["control_hz"]}, "params.yaml: sim")
        self._identify("params.sim.control_hz", rate.control_hz)
        return rate.control_hz

    def curves(self, stage: str) -> Path:
        """Return the folder of what another stage logged over steps: a TSV per metric.

        Raises:
            StageError: It is not there.
        """
        name = f"data/live/{stage}/plots/metrics"
        if not (self.root / name).is_dir():
            raise StageError(f"{self.name} needs {name}, which does not exist; make it with `dvc repro {stage}`")
        return self.root / name

    @cached_property
    def out(self) -> Path:
        """An empty folder to write results in; `finish` moves it to `data/<name>`."""
        path = self._scratch_root / "out"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        return path

    @cached_property
    def scratch(self) -> Path:
        """A folder that survives a kill, for checkpoints to resume from; ask for it after parameters and inputs.

        Its name follows from everything the result follows from (seed, sections and inputs read so far, source code), so
        a checkpoint is only ever found by a run that would have written the same one. `finish` deletes it.
        """
        path = self._scratch_root / self._state
        path.mkdir(parents=True, exist_ok=True)
        self._history = History(path / "history.jsonl", self._live)
        return path

    @cached_property
    def parts(self) -> Parts:
        """The parts of a result that is made in parts, to be asked for after parameters and inputs; `finish` deletes them."""
        return Parts(self.place, self.name, self._state, self.part)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Note metrics at a step: in the tracker, on the console, and in `data/live/<name>/plots/metrics`.

        After a resume, what an earlier try logged for later steps is forgotten and for earlier ones kept.
        """
        for past_step, past in self._history.add(step, metrics):
            self._tracker.log(past_step, past)
        self._tracker.log(step, metrics)
        self._reporter.note(step, metrics)

    def track(self, iterable: Iterable[T], total: int | None = None, description: str | None = None) -> Iterator[T]:
        """Yield from `iterable`, showing progress and the time left."""
        return self._reporter.track(iterable, total, description or self.name)

    def artifact(self, path: Path) -> None:
        """Hand a file (a figure, a video, a report) to the tracker."""
        self._tracker.artifact(path)

    def networks(self, bundle: Path, networks: Mapping[str, Path], register: bool) -> None:
        """Hand the networks of a bundle, `base` and `residual`, each an ONNX file, to the tracker; registered or as files."""
        if register:
            self._tracker.networks(bundle, networks)
        else:
            for path in networks.values():
                self._tracker.artifact(path)

    def finish(self, metrics: Mapping[str, Any], headline: Mapping[str, float] | None = None) -> None:
        """Put the results in place and write `data/metrics/<name>.json`; the last thing a stage does.

        Args:
            metrics: Numbers, texts, lists and mappings; dataclasses and NumPy scalars are converted, NaN becomes null.
            headline: The few of them by which a person compares two runs, for `dvc metrics` (`data/live/<name>/metrics.json`);
                rounded to four digits after the point. Stages share names, which are the columns there.
        """
        assert not self.finished, f"stage {self.name} finished twice"
        own = {"git_rev": self.git_rev, "profile": self.profile, "seed": self.seed}
        in_parts = "parts" in self.__dict__
        wall_s = round(time.monotonic() - self._start_s + (self.parts.before_s if in_parts else 0.0), 3)
        target = self._target
        self.refuse_strangers()
        metrics_file = self.place / "data" / "metrics" / f"{self.name}.json"
        self._history.write_live()
        if self.part is not None:
            metrics_file = self.out / "metrics.json"
            if len(self._history):
                self._history.write_csv(self.out / "training.csv")
        elif headline is not None:
            write_json(self.place / "data" / "live" / self.name / "metrics.json", {k: _short(v) for k, v in headline.items()})
        written = write_json(metrics_file, {"wall_s": wall_s, **metrics, **own})
        if self.part is None and any(self.out.glob("*.safetensors")):
            self._tracker.checkpoint(self.out, ownership.digest(self.out), written.get("kept_step"))
        self._tracker.summary(written)
        self._tracker.artifact(metrics_file)
        ownership.note_written(self.place, self._full_name, [target, self.out])  # both: a kill may leave either
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.out.rename(target)
        ownership.note_written(self.place, self._full_name, [target])
        shutil.rmtree(self._scratch_root)
        if in_parts:
            self.parts.forget()
        self.finished = True
        logger.info("%s: done in %.1f s", self._full_name, wall_s)

    def finish_part(self, metrics: Mapping[str, Any]) -> None:
        """End a run that made one of `parts` for a later run of the stage, and hand these numbers to the tracker."""
        self._tracker.summary(plain(metrics))
        shutil.rmtree(self._scratch_root, ignore_errors=True)
        self.finished = True
        logger.info("%s: done in %.1f s", self._full_name, time.monotonic() - self._start_s)

    def refuse_strangers(self) -> None:
        """Refuse to go on while files lie in the stage's folder that would be lost with it.

        Raises:
            StageError: Names them, and how to keep them.
        """
        if (told := ownership.in_danger(self.place, self._full_name, self._target)) is not None:
            raise StageError(told)

    @property
    def _target(self) -> Path:
        return self.place / "data" / self.name / (self.part or "")

    @property
    def _live(self) -> Path | None:
        return self.place / "data" / "live" / self.name / "plots" / "metrics" if self.part is None else None

    @property
    def _scratch_root(self) -> Path:
        return self.place / "data" / ".scratch" / self._full_name

    @property
    def _state(self) -> str:
        """A hash of everything that the result follows from."""
        return content_hash(repr(sorted(self._identity.items())) + source_digest(self.root, self.name))

    def _follow(self, key: str, path: Path) -> None:
        """Note that the result follows from a folder."""
        found = ownership.digest(path)
        self._identify(key, found)
        self._tracker.dataset(path.name, path.relative_to(self.root) if path.is_relative_to(self.root) else path, found)

    def _identify(self, key: str, value: Any) -> None:
        asked = [name for name in ("scratch", "parts") if name in self.__dict__]
        assert not asked or self._identity.get(key) == value, f"read {key} before asking for run.{asked[0]}"
        self._identity[key] = value


@contextmanager
def open_stage(name: str, root: Path | None = None, part: str | None = None) -> Iterator[StageRun]:
    """Open a run of the stage `name`: read params.yaml, set up logging, one thread per process, tracking and the clock.

    Args:
        name: Name of the stage.
        root: Root of the repository; the working directory by default.
        part: Which of the stage's runs, where it has several; or which of its `parts` to make.

    Raises:
        ParamsError: params.yaml is not usable.
        StageError: The folder is not a git repository, somebody's files lie where the results go, or the stage ended without
            `finish`.
    """
    root = (root or Path.cwd()).resolve()
    console = Console(stderr=True)
    hook = sys.excepthook
    sys.excepthook = _message_only
    with console_logging(console), threadpoolctl.threadpool_limits(1):
        _one_thread()
        trial = running_trial()
        params = params_file.load((root if trial is None else trial.folder) / "params.yaml")
        git_rev = git_revision(root)
        params_hash = content_hash(repr(dataclasses.replace(params, path=Path(), tracking=())))
        state = params.profile, params.seed, params_hash, root, params.task, params.dataset, changes(root, params)
        tracker = open_tracker(Provenance(_full_name(name, part), git_rev, *state, trial), params.tracking)
        logger.info("%s: profile %s, seed %d, revision %s", _full_name(name, part), params.profile, params.seed, git_rev)
        try:
            run = StageRun(name, root, params, git_rev, tracker, Reporter(console), part, trial)
            run.refuse_strangers()
            yield run
            if not run.finished:
                raise StageError(f"stage {name} ended without run.finish(metrics): it wrote no results")
        except BaseException as error:
            tracker.close("KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED")
            raise
        tracker.close("FINISHED")
    sys.excepthook = hook


def command(stage: Callable[..., None], description: str | None) -> None:
    """Run a stage as a program: `--help` says what it does and runs nothing, and any other word is refused.

    Args:
        stage: Runs it; one that is made in parts takes the name of one, or None.
        description: What it does: the docstring of its module.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{Path(sys.argv[0]).stem}",
        description=description,
        epilog="Its numbers are in params.yaml.",
    )
    if inspect.signature(stage).parameters:
        parser.add_argument("--part", help="make this part alone, for a later run of the stage")
    stage(*vars(parser.parse_args()).values())


@dataclasses.dataclass(frozen=True)
class _Rate:
    control_hz: int


def _full_name(name: str, part: str | None) -> str:
    return name if part is None else f"{name}.{part}"


def _short(value: float) -> float:
    """Return a number of a headline: few enough digits that a row of all stages' fits a terminal."""
    return value if isinstance(value, int) else float(f"{value:.2g}") if abs(value) < 0.001 else round(value, 4)


def _one_thread() -> None:
    """Keep this process and its children to one thread: the same bits on every machine, no fight over shared cores."""
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = "1"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _message_only(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show our own errors, and Ctrl-C, as a message: it says what to do; a traceback would hide it."""
    if isinstance(error, SoarmError):
        sys.stderr.write(f"{kind.__name__}: {error}\n")
    elif isinstance(error, KeyboardInterrupt):
        sys.stderr.write("stopped; run again, the stage goes on from its last checkpoint\n")
    else:
        sys.__excepthook__(kind, error, trace)
