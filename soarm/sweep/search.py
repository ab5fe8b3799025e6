"""What is searched: a parameter of the stage, and a range or a list of values.

    learner.actor_lr=1e-4..1e-3 log      numbers between two, their logarithm drawn evenly
    n_critics=2..8                       whole numbers, where the parameter is one
    hidden=[64,64] | [128,128]           any of these
    env_steps=100000                     the same in all trials, in place of what params.yaml says

Every end and every value is tried on the section before anything starts: a parameter's declaration says what it may be.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from soarm import params as params_file
from soarm.errors import ParamsError
from soarm.smallfile import shown

if TYPE_CHECKING:
    from optuna.trial import Trial

_HOW = "write NAME=LOW..HIGH, NAME=LOW..HIGH log, or NAME=A | B | C"
_DIGITS = 3
"""Significant digits of numbers that are drawn: nobody can tell more apart, and a command can be typed."""


@dataclass(frozen=True)
class Search:
    """A parameter and what it may be.

    Attributes:
        name: Of the parameter, dotted from its section on.
        now: What params.yaml says.
        ends: Least and greatest number; None where values are listed.
        log: Whether the logarithm is drawn evenly.
        choices: Text -> value, where values are listed.
    """

    name: str
    now: Any
    ends: tuple[float, float] | None
    log: bool
    choices: Mapping[str, Any]

    @property
    def differs(self) -> bool:
        """Whether trials may differ in it."""
        return self.ends is not None or len(self.choices) > 1

    def draw(self, trial: Trial) -> Any:
        """Return a value for a trial of Optuna, which notes it; the same one for the same trial."""
        if self.ends is None:
            return self.choices[trial.suggest_categorical(self.name, list(self.choices))]
        low, high = self.ends
        if isinstance(low, int) and isinstance(high, int):
            return trial.suggest_int(self.name, low, high, log=self.log)
        drawn = trial.suggest_float(self.name, low, high, log=self.log)
        return self.now if drawn == self.now else min(max(_short(drawn), low), high)

    def as_it_stands(self) -> Any:
        """Return what Optuna would have drawn for the value of params.yaml; None where it is not among those searched."""
        if len(self.choices) == 1:
            return next(iter(self.choices))
        if self.ends is None:
            return next((text for text, value in self.choices.items() if value == self.now), None)
        low, high = self.ends
        return self.now if self.now is not None and low <= self.now <= high else None


def parse(texts: Sequence[str], section: Any, stage: str, judges: Sequence[str] = ()) -> tuple[Search, ...]:
    """Return what is searched.

    Args:
        texts: One per parameter, as above.
        section: The stage's section, as its dataclass.
        stage: Its name, for messages.
        judges: Parameters that trials must have in common: these, and what lies below them.

    Raises:
        ParamsError: Lists every text that cannot be read, that names no parameter, or a value that it must not have.
    """
    found, faults = [], []
    for text in texts:
        try:
            found.append(_read(text, section, stage))
            _require_common(found[-1], judges)
        except ParamsError as error:
            faults += _of(f"--search {text!r}: ", error)
    common = {one.name: next(iter(one.choices.values())) for one in found if not one.differs}
    together = _misfits(common, section, stage, "--search of one value each: ")
    faults += together
    for one in found if not together else ():
        for value in one.ends or one.choices.values():
            faults += _misfits({**common, one.name: value}, section, stage, f"--search {one.name}: ")
    names = [one.name for one in found]
    faults += [f"--search {name} is given twice" for name in dict.fromkeys(names) if names.count(name) > 1]
    if not faults and not any(one.differs for one in found):
        faults.append("--search names nothing that differs between trials: give a range or several values")
    if faults:
        raise ParamsError("\n  ".join(["what is searched does not fit:", *faults]))
    return tuple(found)


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return dotted names as nested mappings."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        *above, last = name.split(".")
        inner = found
        for part in above:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def _misfits(values: Mapping[str, Any], section: Any, stage: str, prefix: str) -> list[str]:
    """Return what is wrong with a section in which some values are changed."""
    try:
        params_file.changed(section, nested(values), stage)
    except ParamsError as error:
        return _of(prefix, error)
    return []


def _of(prefix: str, error: ParamsError) -> list[str]:
    return [prefix + line.strip() for line in str(error).splitlines() if "do not fit:" not in line]


def _read(text: str, section: Any, stage: str) -> Search:
    name, sign, said = (part.strip() for part in text.partition("="))
    if not (name and sign and said):
        raise ParamsError(f"it is no search; {_HOW}")
    kind, now = _parameter(section, name, stage)
    ends, log = _ends(said, kind, name)
    choices = {} if ends else {part.strip(): _value(part) for part in said.split("|")}
    if "" in choices:
        raise ParamsError(f"a value is missing; {_HOW}")
    if ends and any(map(math.isnan, ends)):
        raise ParamsError(f"{said} has an end that is no number")
    if ends and not ends[0] < ends[1]:
        raise ParamsError(f"{shown(ends[0])} is not below {shown(ends[1])}; write the lesser number first")
    if ends and log and not ends[0] > 0:
        raise ParamsError(f"it begins at {ends[0]}, which has no logarithm; begin above 0, or leave out `log`")
    return Search(name, now, ends, log, choices)


def _parameter(section: Any, name: str, stage: str) -> tuple[Any, Any]:
    """Return the type of a parameter and its value; raises ParamsError where there is none."""
    kind: Any = section.__class__
    value = section
    for part in name.split("."):
        if not dataclasses.is_dataclass(value):
            raise ParamsError(f"{stage}.{name} is no parameter: nothing lies below {part!r}")
        hints = typing.get_type_hints(value.__class__)
        if part not in hints:
            raise ParamsError(f"{stage}.{name} is no parameter: there is no {part!r} among {list(hints)}")
        kind, value = hints[part], getattr(value, part)
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        kind = next(one for one in typing.get_args(kind) if one is not type(None))
    return kind, list(value) if isinstance(value, tuple) else value


def _ends(said: str, kind: Any, name: str) -> tuple[tuple[float, float] | None, bool]:
    """Return the ends of a range and whether it is logarithmic; None where values are listed."""
    low, dots, rest = said.partition("..")
    if not dots:
        return None, False
    words = rest.split()
    if len(words) > 2 or not words or (len(words) == 2 and words[1] != "log"):
        raise ParamsError(f"it is no range; {_HOW}")
    if kind not in (int, float):
        raise ParamsError(f"{name} is no number, so there is nothing between two of its values; write NAME=A | B | C")
    try:
        return (kind(low), kind(words[0])), len(words) == 2
    except ValueError:
        what = "whole numbers" if kind is int else "numbers"
        raise ParamsError(f"a range lies between two {what}; {_HOW}") from None


def _value(text: str) -> Any:
    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ParamsError(f"{text.strip()} cannot be read: brackets and quotes have to be closed") from None
    if isinstance(found, str):
        try:
            return float(found)  # YAML reads 1e-3 as text
        except ValueError:
            pass
    return found


def _require_common(search: Search, judges: Iterable[str]) -> None:
    if search.differs and any(search.name == name or search.name.startswith(f"{name}.") for name in judges):
        raise ParamsError(f"trials are compared by {search.name}, so it cannot differ between them; give it one value")


def _short(number: float) -> float:
    short = float(f"{number:.{_DIGITS}g}")
    # DVC writes 1e-05 for such a number, which YAML reads as text; 1.01e-05 is read as a number.
    return short if "e" not in repr(short) or "." in repr(short) else float(f"{short:e}".replace(".000000", ".010000"))
