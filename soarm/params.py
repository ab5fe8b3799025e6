"""Sections of params.yaml as frozen dataclasses, strictly: no default hides in code, no unknown key passes.

A parameter has one value in `base` and, where a profile wants another, one in the section of that profile; the profile's
mapping is laid over the base's, key by key.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml

from soarm.errors import ParamsError

T = TypeVar("T")
_TOP = ("profile", "seed", "dataset", "dataset_units", "base")
"""Keys at the top of the file; every other one there is a profile."""


@dataclasses.dataclass(frozen=True)
class Params:
    """A params file with its profile applied.

    Attributes:
        profile: Name of the profile.
        seed: Seed of the run; every random number of the chain follows from it.
        dataset: Folder of the demonstrations that training reads, relative to the root of the repository or absolute.
        dataset_units: Unit of its arm joints, where the dataset does not say it; None where nobody said it.
        sections: Section name -> merged mapping.
        path: Where it was read from, for messages.
    """

    profile: str
    seed: int
    dataset: str
    dataset_units: Literal["degrees"] | None
    sections: Mapping[str, Mapping[str, Any]]
    path: Path

    def section(self, name: str, cls: type[T]) -> T:
        """Return section `name` as an instance of the dataclass `cls`.

        Raises:
            ParamsError: Lists every unknown, missing or ill-typed key at once.
        """
        if name not in self.sections:
            raise ParamsError(f"{self.path}: no section {name!r} under base; there are {sorted(self.sections)}")
        return build(cls, self.sections[name], where=f"{self.path}: {name}")


def load(path: Path) -> Params:
    """Read a params file.

    Raises:
        ParamsError: The file is missing, not YAML, names a profile it does not hold, or a profile sets a key the base lacks.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path} does not exist; run from the root of the repository") from None
    except yaml.YAMLError as error:
        raise ParamsError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(data, dict) or not set(_TOP) <= set(data):
        found = sorted(data) if isinstance(data, dict) else data
        raise ParamsError(f"{path} must hold the keys {', '.join(_TOP)}, and one section per profile; found {found}")
    profiles = sorted(set(data) - set(_TOP))
    profile = data["profile"]
    if profile not in profiles:
        raise ParamsError(f"{path}: profile is {profile!r}; the file holds the profiles {profiles}")
    if isinstance(data["seed"], bool) or not isinstance(data["seed"], int):
        raise ParamsError(f"{path}: seed is {data['seed']!r}; it must be a whole number in 0..9")
    faults = _dataset_faults(data["dataset"], data["dataset_units"])
    merged = _overlay(data["base"], data[profile] or {}, profile, faults)
    if faults:
        raise ParamsError(f"{path}:\n  " + "\n  ".join(faults))
    return Params(profile, data["seed"], data["dataset"], data["dataset_units"], merged, path)


def build(cls: type[T], data: Any, where: str) -> T:
    """Build the dataclass `cls` from a mapping.

    Raises:
        ParamsError: Lists every fault.
    """
    faults: list[str] = []
    value = _convert(cls, data, where, faults)
    if faults:
        raise ParamsError("\n  ".join(["parameters do not fit:", *faults]))
    return typing.cast(T, value)


def changed(section: T, changes: Mapping[str, Any], where: str) -> T:
    """Return `section`, a dataclass, with some of its values changed; nested mappings change nested dataclasses.

    Raises:
        ParamsError: Lists every fault.
    """
    faults: list[str] = []
    value = _change(section, changes, where, faults)
    if faults:
        raise ParamsError("\n  ".join(["parameters do not fit:", *faults]))
    return typing.cast(T, value)


def _dataset_faults(dataset: Any, units: Any) -> list[str]:
    faults = []
    if not isinstance(dataset, str) or not dataset.strip():
        faults.append(f"dataset is {dataset!r}; it must be a folder: data/record, or one of yours (datasets/mine)")
    if units not in (None, "degrees"):
        faults.append(
            f"dataset_units is {units!r}; allowed are null (the dataset says it itself) and degrees. Convert a dataset in "
            "-100..100 first: the calibration it was recorded with says how many degrees that is"
        )
    return faults


def _overlay(base: Any, over: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(base, dict) or not isinstance(over, dict):
        return over
    unknown = sorted(set(over) - set(base))
    if unknown:
        faults.append(f"{where} sets {unknown}, which base does not have; legal keys here are {sorted(base)}")
    return {key: _overlay(value, over[key], f"{where}.{key}", faults) if key in over else value for key, value in base.items()}


def _change(section: Any, changes: Any, where: str, faults: list[str]) -> Any:
    hints = typing.get_type_hints(type(section))
    if not isinstance(changes, Mapping):
        faults.append(f"{where} is {changes!r}; it must be a mapping of what to change, with keys of {list(hints)}")
        return None
    unknown = sorted(set(changes) - set(hints))
    if unknown:
        faults.append(f"{where} has unknown keys {unknown}; legal keys are {list(hints)}")
    before, values = len(faults), {}
    for name in [name for name in hints if name in changes]:
        old, new, at = getattr(section, name), changes[name], f"{where}.{name}"
        nested = dataclasses.is_dataclass(old) and isinstance(new, Mapping)
        values[name] = _change(old, new, at, faults) if nested else _convert(hints[name], new, at, faults)
    if unknown or len(faults) > before:
        return None
    try:
        return dataclasses.replace(section, **values)
    except ValueError as error:
        faults.append(f"{where}: {error}")
        return None


def _convert(kind: Any, value: Any, where: str, faults: list[str]) -> Any:
    """Return `value` as `kind`, or note a fault and return None."""
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _convert_dataclass(kind, value, where, faults)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in args:
            return None
        (inner,) = [arg for arg in args if arg is not type(None)]
        return _convert(inner, value, where, faults)
    if origin is typing.Literal:
        if value in args:
            return value
        faults.append(f"{where} is {value!r}; allowed are {list(args)}")
        return None
    if origin is tuple and isinstance(value, list):
        kinds = [args[0]] * len(value) if args[-1] is Ellipsis else list(args)
        if len(kinds) == len(value):
            return tuple(_convert(k, v, f"{where}[{i}]", faults) for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
        faults.append(f"{where} has {len(value)} entries; it takes {len(kinds)}")
        return None
    if origin is dict and isinstance(value, dict):
        return {key: _convert(args[1], inner, f"{where}.{key}", faults) for key, inner in value.items()}
    if kind is Any:
        return value
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(kind, type) and isinstance(value, kind) and not (kind is not bool and isinstance(value, bool)):
        return value
    name = kind.__name__ if isinstance(kind, type) else str(kind)
    hint = " (YAML reads 1e-3 as text: write 1.0e-3)" if kind is float and isinstance(value, str) else ""
    faults.append(f"{where} is {value!r} of type {type(value).__name__}; it must be {name}{hint}")
    return None


def _convert_dataclass(cls: type, data: Any, where: str, faults: list[str]) -> Any:
    if not isinstance(data, Mapping):
        faults.append(f"{where} is {data!r}; it must be a mapping")
        return None
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    unknown, missing = sorted(set(data) - set(names)), [name for name in names if name not in data]
    if unknown:
        faults.append(f"{where} has unknown keys {unknown}; legal keys are {names}")
    if missing:
        faults.append(f"{where} lacks the keys {missing}")
    before = len(faults)
    values = {name: _convert(hints[name], data[name], f"{where}.{name}", faults) for name in names if name in data}
    if unknown or missing or len(faults) > before:
        return None
    try:
        return cls(**values)
    except ValueError as error:  # a dataclass may check its own ranges in __post_init__
        faults.append(f"{where}: {error}")
        return None
