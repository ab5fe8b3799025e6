"""Sections of params.yaml as frozen dataclasses, strictly: no default hides in code, no unknown key passes.

A parameter has one value in `base` and, where the task or a profile wants another, one in the section of that task under
`tasks` or of that profile. The task's mapping is laid over the base's, key by key, and may add keys; the profile's is laid
over both, and may add keys to an empty mapping only, such as that of cameras, whose keys are names. What a field may be
stands in its declaration (`soarm.quantities`); what holds between the fields of a dataclass, in its `__post_init__`.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from soarm.errors import ParamsError
from soarm.quantities import FILLED, FINITE, Allowed, Seed

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Header:
    """What a params file says beside its sections, each a key at the top.

    Attributes:
        profile: Name of the profile.
        task: Name of the task, one of `soarm.tasks`.
        seed: Seed of the run; every random number of the chain follows from it.
        dataset: Folder of the demonstrations that training reads, relative to the root of the repository or absolute.
        dataset_units: Unit of its arm joints, where the dataset does not say it; None where nobody said it.
        tracking: Names of the experiment trackers, of `soarm.tracking.choice.TRACKERS`; no result follows from it.
    """

    profile: str
    task: str
    seed: Seed
    dataset: str
    dataset_units: Literal["degrees"] | None
    tracking: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Params(Header):
    """A params file with its task and its profile applied.

    Attributes:
        sections: Section name -> merged mapping.
        of_task: The same without the profile.
        path: Where it was read from, for messages.
    """

    sections: Mapping[str, Mapping[str, Any]]
    of_task: Mapping[str, Mapping[str, Any]]
    path: Path

    def without_profile(self) -> Params:
        """Return the same file with its task applied and no profile."""
        return dataclasses.replace(self, sections=self.of_task)

    def section(self, name: str, cls: type[T]) -> T:
        """Return section `name` as an instance of the dataclass `cls`; of `cls.for_task(task)`, where it differs by task.

        Raises:
            ParamsError: Lists every key that is unknown, missing, ill-typed or out of its range at once.
        """
        if name not in self.sections:
            raise ParamsError(f"{self.path}: no section {name!r} under base; there are {sorted(self.sections)}")
        if (for_task := getattr(cls, "for_task", None)) is not None:
            cls = for_task(self.task)
        return build(cls, self.sections[name], where=f"{self.path}: {name}")


def load(path: Path, task: str | None = None) -> Params:
    """Read a params file.

    Args:
        path: The file.
        task: Name of the task; None takes the file's own.

    Raises:
        ParamsError: The file is missing, not YAML, names a task or a profile it does not hold, a task has a section that the
            base lacks, or a profile sets a key that neither base nor any task have.
    """
    data = _read(path)
    keys = [field.name for field in dataclasses.fields(Header)]
    if not isinstance(data, dict) or not {*keys, *_LAYERS} <= set(data):
        found = sorted(data, key=str) if isinstance(data, dict) else _shown(data)
        wanted = ", ".join([*keys, *_LAYERS])
        raise ParamsError(f"{path} must hold the keys {wanted}, and one section per profile; found {found}")
    header = build(Header, {key: data[key] for key in keys} | ({} if task is None else {"task": task}), where=f"{path}:")
    profiles = [key for key in data if key not in {*keys, *_LAYERS}]
    if header.profile not in profiles:
        raise ParamsError(f"{path}: profile is {header.profile!r}; the file holds the profiles {profiles}")
    faults: list[str] = []
    base, tasks, own = (_mapping(name, data[name] or {}, faults) for name in (*_LAYERS, header.profile))
    if header.task not in tasks:
        faults.append(f"task is {header.task!r}; `tasks` holds {sorted(tasks, key=str)}")
    of_task = _mapping(f"tasks.{header.task}", tasks.get(header.task) or {}, faults)
    faults += [
        f"tasks.{header.task} has the section {_shown(name)}; base has {sorted(base, key=str)}"
        for name in of_task
        if name not in base
    ]
    ours = _overlay(base, of_task, f"tasks.{header.task}", faults, adds=True)
    others = [section for name, section in tasks.items() if name != header.task]
    merged = _overlay(ours, _for_task(own, ours, others), header.profile, faults, adds=False)
    if faults:
        raise ParamsError(f"{path}:\n  " + "\n  ".join(faults))
    return Params(**vars(header), sections=merged, of_task=ours, path=path)


_LAYERS = ("base", "tasks")
_MISFIT = "parameters do not fit:\n  "


def here_or_packaged() -> Path:
    """Return the params file of this folder, or else the one that came with the package, for use outside a repository."""
    here = Path("params.yaml")
    return here if here.exists() else packaged()


def packaged() -> Path:
    """Return the params file that came with the package."""
    return Path(str(resources.files("soarm") / "params.yaml"))


def build(cls: type[T], data: Any, where: str) -> T:
    """Build the dataclass `cls` from a mapping.

    Raises:
        ParamsError: Lists every fault.
    """
    return typing.cast(T, _sound(lambda faults: _convert(cls, data, where, faults)))


def changed(section: T, changes: Mapping[str, Any], where: str) -> T:
    """Return `section`, a dataclass, with some of its values changed; nested mappings change nested dataclasses.

    Raises:
        ParamsError: Lists every fault.
    """
    return typing.cast(T, _sound(lambda faults: _change(section, changes, where, faults)))


def misfits(section: Any, where: str) -> list[str]:
    """Return what does not fit its declaration in a dataclass that was built in Python; nested ones are left to themselves."""
    faults: list[str] = []
    for name, kind in _hints(section.__class__).items():
        value = getattr(section, name)
        if not dataclasses.is_dataclass(value):
            _convert(kind, list(value) if isinstance(value, tuple) else value, f"{where}.{name}", faults)
    return faults


def together(errors: Sequence[ParamsError]) -> ParamsError:
    """Return one error that lists the faults of several, each once."""
    return ParamsError(_MISFIT + "\n  ".join(dict.fromkeys(str(error).removeprefix(_MISFIT) for error in errors)))


def _sound(make: Callable[[list[str]], Any]) -> Any:
    faults: list[str] = []
    value = make(faults)
    if faults:
        raise ParamsError(_MISFIT + "\n  ".join(faults))
    return value


def _read(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist; run from the root of the repository") from None
    except OSError as error:
        raise ParamsError(f"{path} cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a number of 5000 digits is a ValueError
        raise ParamsError(f"{path} is not valid YAML: {error}") from None


def _mapping(name: str, value: Any, faults: list[str]) -> dict[Any, Any]:
    """Return a mapping as it is; note a fault and return an empty one where it is none."""
    if isinstance(value, dict):
        return value
    faults.append(f"{name} is {_shown(value)}; it must be a mapping of sections")
    return {}


def _for_task(profile: Any, ours: Any, others: Sequence[Any]) -> Any:
    """Return a profile without what it sets for other tasks alone: keys that this task lacks and another has."""
    if not isinstance(profile, dict) or not isinstance(ours, dict):
        return profile
    kept = {}
    for key, value in profile.items():
        theirs = [other[key] for other in others if isinstance(other, dict) and key in other]
        if key in ours or not theirs:
            kept[key] = _for_task(value, ours.get(key), theirs)
    return kept


def _overlay(base: Any, over: Any, where: str, faults: list[str], *, adds: bool, depth: int = 0) -> Any:
    """Return `over` laid over `base`, key by key; note a fault where it adds a key and may not, or replaces a mapping.

    Inside a section, which is at `depth` 1, null may replace a mapping: whether it may is for the section's dataclass to say.
    """
    if not isinstance(base, dict) or (over is None and depth > 1):
        return over
    if not isinstance(over, dict):
        who = "the task" if adds else "the profile"
        faults.append(f"{where} is {_shown(over)}; it must be a mapping, {{}} where {who} has nothing of its own")
        return base
    unknown = [] if adds or not base else [key for key in over if key not in base]
    if unknown:
        faults.append(f"{where} sets {unknown}, which base does not have; legal keys here are {sorted(base, key=str)}")
    laid = {
        key: _overlay(base[key], value, f"{where}.{key}", faults, adds=adds, depth=depth + 1) if key in base else value
        for key, value in over.items()
    }
    return base | laid


def _change(section: Any, changes: Any, where: str, faults: list[str]) -> Any:
    hints = _hints(section.__class__)
    if not isinstance(changes, Mapping):
        faults.append(f"{where} is {_shown(changes)}; it must be a mapping of what to change, with keys of {list(hints)}")
        return None
    before, values = len(faults), {}
    _note_unknown(changes, hints, where, faults)
    for name in [name for name in hints if name in changes]:
        old, new, at = getattr(section, name), changes[name], f"{where}.{name}"
        nested = dataclasses.is_dataclass(old) and isinstance(new, Mapping)
        values[name] = _change(old, new, at, faults) if nested else _convert(hints[name], new, at, faults)
    return _made(lambda: dataclasses.replace(section, **values), where, faults, before)


def _convert(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    """Return `value` as `kind`, or note a fault and return None."""
    plain, allowed = _declared(kind)
    before = len(faults)
    if typing.get_origin(plain) in (typing.Union, types.UnionType):  # of a type and None
        (inner,) = [arg for arg in typing.get_args(plain) if arg is not type(None)]
        made = None if value is None else _convert(inner, value, where, faults)
        faults[before:] = [f"{fault}; or null" if fault.startswith(f"{where} is") else fault for fault in faults[before:]]
        return made
    made = _of_kind(kind, plain, value, where, faults)
    if len(faults) == before:
        missed = [one.text for one in allowed or _BY_DEFAULT.get(plain, ()) if not one.holds(made)]
        faults += [f"{where} is {_shown(value)}; it must be {', and '.join(missed)}"] if missed else []
    if len(faults) > before:
        return None
    return float(made) if plain is float else made  # only now: a whole number may be too large for a float


def _of_kind(declared: Any, kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    """Return `value` as `kind`, what else is declared of it aside; a whole number for a float stays whole."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_dataclass(kind, value, where, faults)
    if origin is typing.Literal and value not in args:
        faults.append(f"{where} is {_shown(value)}; allowed are {list(args)}")
    elif origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(_convert(k, v, f"{where}[{i}]", faults) for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
        faults.append(f"{where} has {len(value)} entries; it takes {len(kinds)}")
    elif origin in _MAPPINGS and isinstance(value, Mapping):
        faults += [f"{where} has the key {_shown(key)}; it must be text" for key in value if not isinstance(key, str)]
        return {key: _convert(args[1], inner, f"{where}.{key}", faults) for key, inner in value.items()}
    elif not (origin is typing.Literal or kind is Any or _is_a(value, kind)):
        hint = " (YAML reads 1e-3 as text: write 1.0e-3)" if kind is float and isinstance(value, str) else ""
        faults.append(f"{where} is {_shown(value)} of type {type(value).__name__}; it must be {_words(declared)}{hint}")
    return value


def _convert_dataclass(cls: type, data: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(data, Mapping):
        faults.append(f"{where} is {_shown(data)}; it must be a mapping")
        return None
    hints, before = _hints(cls), len(faults)
    _note_unknown(data, hints, where, faults)
    missing = [name for name in hints if name not in data]
    if missing:
        faults.append(f"{where} lacks the keys {missing}, which it must hold")
    at = f"{where} " if where.endswith(":") else f"{where}."
    values = {name: _convert(kind, data[name], f"{at}{name}", faults) for name, kind in hints.items() if name in data}
    return _made(lambda: cls(**values), where, faults, before)


def _made(make: Callable[[], Any], where: str, faults: list[str], before: int) -> Any:
    """Return what `make` makes of values without faults, or note what the dataclass finds wrong between them."""
    if len(faults) > before:
        return None
    try:
        return make()
    except ValueError as error:  # `__post_init__` holds fields against each other
        faults.append(f"{where}: {error}")
        return None


def _note_unknown(data: Mapping[Any, Any], hints: Mapping[str, Any], where: str, faults: list[str]) -> None:
    unknown = [key for key in data if key not in hints]
    if unknown:
        faults.append(f"{where} has unknown keys {unknown}; legal keys are {list(hints)}")


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
    """Return field name -> declared type, with what is allowed of it."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _declared(kind: Any) -> tuple[Any, tuple[Allowed, ...]]:
    """Return a type without its metadata, and what is allowed of it."""
    if typing.get_origin(kind) is not Annotated:
        return kind, ()
    return kind.__origin__, tuple(one for one in kind.__metadata__ if isinstance(one, Allowed))


_MAPPINGS = (dict, Mapping)
_BY_DEFAULT: dict[Any, tuple[Allowed, ...]] = {int: (FINITE,), float: (FINITE,), str: (FILLED,)}


def _is_a(value: Any, kind: Any) -> bool:
    """Whether a value is of a plain type; a whole number is a float, a truth value is no number."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(kind, type) and isinstance(value, (int, float) if kind is float else kind)


def _words(kind: Any) -> str:
    """Return what is allowed, to follow "it must be"."""
    kind, allowed = _declared(kind)
    args = typing.get_args(kind)
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    if typing.get_origin(kind) in _MAPPINGS:
        name = "a mapping of names"
    if typing.get_origin(kind) is tuple:
        name = "a list" if args[-1] is Ellipsis else f"a list of {len(args)}"
        name += f", each {_words(args[0])}"
    return ", ".join([name, *(one.text for one in allowed)])


def _shown(value: Any) -> str:
    """Return a value for a message, in a few words."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # Python shows no whole number of more than 4300 digits
        return f"a {type(value).__name__} too long to show"
    return text if len(text) <= _SHOWN_CHARS else f"{text[:40]}... ({len(text)} characters)"


_SHOWN_CHARS = 120
