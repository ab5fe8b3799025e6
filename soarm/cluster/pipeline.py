"""What DVC is asked and told: which runs of the study are not up to date, and that their results are there now."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from soarm import params as params_file
from soarm.cluster.task import Task
from soarm.errors import StageError
from soarm.smallfile import parse_json
from soarm.study.variants import StudyParams

FILE = "study/dvc.yaml"


class Run(NamedTuple):
    """A run of the study.

    Attributes:
        group: Its stage in study/dvc.yaml.
        variant: Its variant.
        seed: Its training seed.
        target: What DVC calls it.
    """

    group: str
    variant: str
    seed: str
    target: str

    @classmethod
    def of(cls, target: str) -> Run:
        """Return the run of a target: study/dvc.yaml:full@0, study/dvc.yaml:ablation@no_penalty-0."""
        group, _, item = target.rpartition(":")[2].partition("@")
        variant, _, seed = item.rpartition("-")
        return cls(group, variant or group, seed, target)

    @property
    def names(self) -> set[str]:
        """What a person may call it, alone or with others."""
        return {self.group, self.variant, f"{self.variant}-{self.seed}"}

    @property
    def folder(self) -> Path:
        """What it writes."""
        return Path("data", "study", f"{self.variant}-{self.seed}")

    @property
    def task(self) -> Task:
        """The run as a task."""
        part = f"study.{self.variant}-{self.seed}"
        return Task(
            name=f"{self.variant}-{self.seed}",
            words=("-m", "stages.study", self.variant, self.seed),
            scratch=Path("data", ".scratch", part),
            results=(Path("data", ".written", part), self.folder),  # files are known as the stage's before they arrive
        )


def require_known(root: Path, wanted: Sequence[str]) -> None:
    """Refuse names that are neither a group nor a variant, nor a run of one.

    Raises:
        StageError: Names them, and those there are.
    """
    stages = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))["stages"]
    groups = {name: stage["matrix"].get("variant", [name]) for name, stage in stages.items() if "matrix" in stage}
    variants = list(itertools.chain.from_iterable(groups.values()))
    runs = params_file.load(root / "params.yaml").section("study", StudyParams).runs()
    known = {*groups, *variants, *(f"{variant}-{seed}" for variant, seed in runs)}
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise StageError(
            f"the study has no {', '.join(unknown)}; its groups are {', '.join(groups)}, its variants {', '.join(variants)}, "
            "and no_penalty-0 is one run; which seeds there are, params.yaml says"
        )


def pending(root: Path, wanted: Sequence[str]) -> list[Run]:
    """Return the runs that are not up to date, in the order of study/dvc.yaml; what DVC's cache has is put back before.

    Args:
        root: Of the repository.
        wanted: Groups, variants and runs, as `Run.names`; none for all.
    """
    found = _status(root, [FILE], wanted)
    lost = [run.target for run, changes in found.items() if _is_only_missing(changes)]
    if lost:
        _dvc(root, "checkout", "--allow-missing", *lost)
        found = {run: changes for run, changes in found.items() if run.target not in lost} | _status(root, lost, wanted)
    return list(found)


def inputs(declared: Mapping[str, Any], stage: str) -> list[str]:
    """Return the names of the stages whose results a stage of the chain reads.

    Args:
        declared: `stages` of dvc.yaml.
        stage: Its name.
    """
    deps = [dep.replace("${dataset}", "data/record") for dep in declared[stage]["deps"]]
    return sorted(name for name in declared if f"data/{name}" in deps)


def is_pending(root: Path, stage: str) -> bool:
    """Whether a stage of the chain is not up to date; one whose results lie in DVC's cache is."""
    changes = parse_json(_dvc(root, "status", "--json", stage)).get(stage, [])
    return bool(changes) and not _is_only_missing(changes)


def enter(root: Path, targets: Sequence[str]) -> None:
    """Have DVC keep the results of runs, and note what they follow from."""
    _python(root, "-m", "soarm.cluster.entering", FILE, *(target.rpartition(":")[2] for target in targets))


def _status(root: Path, targets: Sequence[str], wanted: Sequence[str]) -> dict[Run, Any]:
    said = parse_json(_dvc(root, "status", "--json", *targets))
    runs = {Run.of(target): changes for target, changes in said.items() if "@" in target}
    return {run: changes for run, changes in runs.items() if not wanted or run.names & set(wanted)}


def _is_only_missing(changes: Any) -> bool:
    """Whether a stage is as it was entered, but for results that are not there."""
    kinds = [change for change in changes if isinstance(change, Mapping)]
    states = [state for change in kinds for state in change.get("changed outs", {"": ""}).values()]
    return len(kinds) == len(changes) and set(states) == {"deleted"}


def _dvc(root: Path, *words: str) -> str:
    return _python(root, "-m", "dvc", "--wait-for-lock", *words)


def _python(root: Path, *words: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    done = subprocess.run(
        [sys.executable, *words],
        cwd=root,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        process_group=0,  # Ctrl-C in the terminal does not break off what is entered
    )
    if done.returncode:
        raise StageError(f"`python {' '.join(words)}` failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
