"""The folder of an evaluation: what was planned, what came of every trial, and whether anybody looked before the end.

    plan.json         what is run; may be read by anybody
    assignment.json   which policy acts in each trial; nobody looks before the end
    sheet.html, sheet-1.svg ...
    trials/007.json   every attempt at trial 7, with the outcome once it was judged
    logs/007-1.log    the log of its first attempt
    conditions.json   with which arm, settings and senses its trials are run; fixed by the first session
    unblinded.json    when somebody looked before the end, if anybody did
    report.html, base.csv, residual.csv, figures/ ...

Every file is whole or not there, so that a session may be killed at any moment and goes on from what stands.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from soarm.errors import ParamsError, ProofError, SmallFileError
from soarm.params import build
from soarm.proof.attempt import DISCARDED, Attempt
from soarm.proof.plan import Plan, assignment_text, seal_of
from soarm.quantities import Count
from soarm.runtime.onnx_policy import Which
from soarm.smallfile import read_bytes, read_json, write_atomically

_REMEDY = "`soarm prove` writes such files; take the folder from a copy, or begin another one with --folder"


@dataclasses.dataclass(frozen=True)
class _Trial:
    attempts: tuple[Attempt, ...]


@dataclasses.dataclass(frozen=True)
class _Assignment:
    which: tuple[Which, ...]


@dataclasses.dataclass(frozen=True)
class Look:
    """Somebody looked at results before the end: when, and after how many trials."""

    at: str
    trials: Count


@dataclasses.dataclass(frozen=True)
class _Looks:
    looks: tuple[Look, ...]


@dataclasses.dataclass(frozen=True)
class _Conditions:
    conditions: Mapping[str, str]


class ProofFolder:
    """An evaluation on the disk; make it with `create` or `open`.

    Attributes:
        path: The folder.
        plan: What is run.
    """

    def __init__(self, path: Path, plan: Plan, assignment: Sequence[Which]) -> None:
        """Not for callers."""
        self.path, self.plan, self._assignment = path, plan, tuple(assignment)
        n = len(plan.trials)
        self._attempts = [self._read(trial) for trial in range(n)]

    @classmethod
    def create(cls, path: Path, plan: Plan, assignment: Sequence[Which]) -> ProofFolder:
        """Write a plan into a folder that is empty or not there.

        Raises:
            ProofError: The folder holds something, or cannot be written.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                raise ProofError(f"{path} holds other files and no plan; name an empty folder, or one that does not exist")
            for name in ("trials", "logs"):
                (path / name).mkdir()
        except OSError as error:
            raise ProofError(f"{path} cannot be made ({error.strerror}); choose another place with --folder") from None
        write_atomically(path / "assignment.json", assignment_text(assignment), ProofError)
        write_atomically(path / "plan.json", json.dumps(plan.to_dict(), indent=1) + "\n", ProofError)  # the last: it begins
        return cls(path, plan, assignment)

    @classmethod
    def open(cls, path: Path) -> ProofFolder:
        """Read an evaluation.

        Raises:
            ProofError: There is none, or a file of it is damaged or was changed.
        """
        plan = _built(Plan, path / "plan.json")
        hidden = path / "assignment.json"
        try:
            seal = seal_of(read_bytes(hidden))
        except SmallFileError as error:
            raise ProofError(f"{hidden} {error}; without it nobody knows which policy acted. {_REMEDY}") from None
        if seal != plan.seal:
            raise ProofError(f"{hidden} is not that of the plan: it was changed, so the results mean nothing. {_REMEDY}")
        assignment = _built(_Assignment, hidden).which
        if len(assignment) != len(plan.trials):
            raise ProofError(f"{hidden} has {len(assignment)} trials, the plan {len(plan.trials)}. {_REMEDY}")
        return cls(path, plan, assignment)

    @staticmethod
    def exists(path: Path) -> bool:
        """Whether a folder holds a plan."""
        return (path / "plan.json").exists()

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other programs from running trials of this evaluation.

        Raises:
            ProofError: One does.
        """
        with (self.path / "plan.json").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ProofError(f"{self.path} is in use: another `soarm prove` runs its trials; end it first") from None
            yield

    def conditions(self) -> Mapping[str, str]:
        """Return under which conditions trials are run, in words; none before the first session."""
        path = self.path / "conditions.json"
        return _built(_Conditions, path).conditions if os.path.lexists(path) else {}

    def require_conditions(self, wanted: Mapping[str, str]) -> None:
        """Fix the conditions in the first session, and refuse others afterwards: pairs would not be alike.

        Args:
            wanted: What -> value, in words.

        Raises:
            ProofError: They differ from those of the sessions before; names every difference.
        """
        found = self.conditions()
        if not found:
            content = json.dumps(dataclasses.asdict(_Conditions(wanted)), indent=1)
            write_atomically(self.path / "conditions.json", content + "\n", ProofError)
            return
        names = sorted(name for name in {*found, *wanted} if found.get(name) != wanted.get(name))
        if names:
            differ = "; ".join(
                f"{name} was {found.get(name, 'not given')} and is {wanted.get(name, 'not given')}" for name in names
            )
            raise ProofError(
                f"{self.path} was begun under other conditions: {differ}. Restore them, or begin another with --folder"
            )

    def which(self, trial: int) -> Which:
        """Return which policy acts in a trial: for the arm, and for the report."""
        return self._assignment[trial]

    def attempts(self, trial: int) -> tuple[Attempt, ...]:
        """Return the attempts at a trial, in their order."""
        return self._attempts[trial]

    def save(self, trial: int, attempt: Attempt, *, again: bool = False) -> None:
        """Write an attempt: a new one, or with `again` what became of the last one.

        Raises:
            ProofError: It cannot be written; what was there is as it was.
        """
        attempts = (*(self._attempts[trial][:-1] if again else self._attempts[trial]), attempt)
        content = json.dumps(dataclasses.asdict(_Trial(attempts)), indent=1, allow_nan=False)
        write_atomically(self._trial(trial), content + "\n", ProofError)
        self._attempts[trial] = attempts

    def new_log(self, trial: int) -> Path:
        """Return where the log of the next attempt goes: where none is, not even one of a run that was killed."""
        for number in range(1, 1_000_000):
            path = self.path / "logs" / f"{trial + 1:03d}-{number}.log"
            if not path.exists():
                break
        return path

    def unjudged(self) -> int | None:
        """Return a trial that was run and not judged; None where all were."""
        return next((i for i, of in enumerate(self._attempts) if of and of[-1].outcome is None), None)

    def next_trial(self) -> int | None:
        """Return the trial that is due: in the plan's order, then those that were discarded; None where all are done."""
        new = next((i for i, of in enumerate(self._attempts) if not of), None)
        if new is not None:
            return new
        discarded = [(len(of), i) for i, of in enumerate(self._attempts) if of[-1].outcome == DISCARDED]
        return min(discarded)[1] if discarded else None

    def outcome(self, trial: int) -> str | None:
        """Return what came of a trial; None where it is to be run, or done again."""
        attempts = self._attempts[trial]
        return None if not attempts or attempts[-1].outcome == DISCARDED else attempts[-1].outcome

    def pairs(self) -> dict[int, dict[Which, int]]:
        """Return the spots on which both policies are done: number -> policy -> trial, in the order of the numbers."""
        found: dict[int, dict[Which, int]] = {spot.number: {} for spot in self.plan.spots}
        for trial, number in enumerate(self.plan.trials):
            if self.outcome(trial) is not None:
                found[number][self.which(trial)] = trial
        return {number: of for number, of in found.items() if len(of) == 2}

    @property
    def n_done(self) -> int:
        """How many trials have an outcome."""
        return sum(self.outcome(trial) is not None for trial in range(len(self.plan.trials)))

    @property
    def is_done(self) -> bool:
        """Whether every trial has an outcome."""
        return self.n_done == len(self.plan.trials)

    def looks(self) -> tuple[Look, ...]:
        """Return when somebody looked before the end."""
        path = self.path / "unblinded.json"
        return _built(_Looks, path).looks if os.path.lexists(path) else ()

    def unblind(self) -> None:
        """Record that somebody looks now."""
        looks = (*self.looks(), Look(now(), self.n_done))
        content = json.dumps(dataclasses.asdict(_Looks(looks)), indent=1)
        write_atomically(self.path / "unblinded.json", content + "\n", ProofError)

    def _trial(self, trial: int) -> Path:
        return self.path / "trials" / f"{trial + 1:03d}.json"

    def _read(self, trial: int) -> tuple[Attempt, ...]:
        path = self._trial(trial)
        return _built(_Trial, path).attempts if os.path.lexists(path) else ()


def now() -> str:
    """Return the time as ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _built(cls: type[Any], path: Path) -> Any:
    """Return what a file holds as a dataclass."""
    data = read_json(path, ProofError, _REMEDY)
    try:
        return build(cls, data, str(path))
    except ParamsError as error:
        raise ProofError(f"{error}. {_REMEDY}") from None
