"""A page that tells what a dataset holds and what it can be used for here; it judges only what is on the disk."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from soarm import arm
from soarm.dataset import checks, layout, units
from soarm.dataset.contents import Contents
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.tasks.registry import TASKS

_SHOWN_TASKS = 5
_WIDTH = 30


def page(path: Path) -> list[str]:
    """Return the page, line by line.

    Raises:
        DatasetError: There is no dataset that could be looked at.
    """
    found = checks.examine(path)
    info, unfinished = found.info, found.unfinished
    lengths = [*(found.episodes["length"].tolist() if found.episodes else ()), *(len(episode) for episode in unfinished)]
    fps, frames = info.get("fps"), int(sum(lengths))
    seconds = f" ({frames / fps:.1f} s)" if isinstance(fps, int) and fps > 0 else ""
    size = f"{len(lengths)} episodes, {frames} frames at {fps} fps{seconds}"
    lines = [
        f"{path}: LeRobot {info.get('codebase_version')} dataset, {size}",
        _line("robot", str(info.get("robot_type"))),
        _line(
            "specification of soarm", layout.SPEC_PATH if found.spec is not None else "none: recorded or written by LeRobot"
        ),
    ]
    if unfinished:
        lines.append(_line("not finalized", f"{len(unfinished)} episodes; Recorder.resume goes on with them"))
    lines += [_line(key, f"{f.shape[0]} [{_grouped(f.units)}]  {' '.join(f.names)}") for key, f in found.features.items()]
    lines += [_line(key, _camera(found, key, dtype)) for key, dtype in found.not_loaded.items()]
    tasks = list(dict.fromkeys([*(found.tasks or ()), *(text for episode in unfinished for text in episode.tasks)]))
    more = f" and {len(tasks) - _SHOWN_TASKS} more" if len(tasks) > _SHOWN_TASKS else ""
    lines.append(_line("tasks", "; ".join(tasks[:_SHOWN_TASKS]) + more))
    if isinstance(info.get("splits"), dict) and info["splits"]:
        lines.append(_line("splits", ", ".join(f"{name} {text}" for name, text in info["splits"].items())))
    return lines + _units_lines(found, path) + [_line("note", note) for note in found.notes] + _use_lines(found, path)


def facts(path: Path) -> dict[str, Any]:
    """Return what the page tells, for a program to read: counts, features with their units, tasks, splits and faults.

    Raises:
        DatasetError: There is no dataset that could be looked at.
    """
    found = checks.examine(path)
    lengths = [*(found.episodes["length"].tolist() if found.episodes else ()), *(len(episode) for episode in found.unfinished)]
    return {
        "version": found.info.get("codebase_version"),
        "robot_type": found.info.get("robot_type"),
        "fps": found.info.get("fps"),
        "episodes": len(lengths),
        "frames": int(sum(lengths)),
        "features": {key: {"names": feature.names, "units": feature.units} for key, feature in found.features.items()},
        "not_loaded": found.not_loaded,
        "tasks": found.tasks or [],
        "splits": found.info.get("splits") or {},
        "unfinished_episodes": len(found.unfinished),
        "unknown_units": units.unknown_joints(found.features),
        "faults": found.faults,
        "notes": found.notes,
    }


def _units_lines(found: Contents, path: Path) -> list[str]:
    columns = {key: found.columns[key] for key in found.features if key in found.columns}
    normalised = units.looks_normalised(columns, found.features)
    if units.unknown_joints(found.features):
        ends = f"they end at -100 or 100 in {', '.join(normalised)}: they look like -100..100"
        return [
            _line("units of the joints", f"unknown: {units.DEFAULTS_OF_LEROBOT}"),
            *([_line("", ends)] if normalised else []),
            _line("  if they are degrees", f"soarm dataset convert {path} NEW_FOLDER --units degrees"),
            _line("  if they are -100..100", f"soarm dataset convert {path} NEW_FOLDER --calibration FILE.json"),
        ]
    ends = f"said to be degrees, but they end at -100 or 100 in {', '.join(normalised)}: they look like -100..100"
    return [_line("units of the joints", ends)] if normalised else []


def _use_lines(found: Contents, path: Path) -> list[str]:
    if found.faults:
        return [_line("usable", f"no: {len(found.faults)} faults, which `soarm dataset verify {path}` lists")]
    features = found.features
    known = not units.unknown_joints(features)
    once = "" if known else ", once the units are said"
    strange = [key for key in (STATE, ACTION) if key not in features or features[key].names != arm.FEATURE_NAMES]
    others = layout.not_written(found.info)
    objects = features.get(ENVIRONMENT_STATE)
    missing = [f"{' and '.join(strange)} must have this arm's joints in its order"] if strange else []
    if objects is None:
        missing.append(f"no {ENVIRONMENT_STATE}; training from cameras comes later")
    elif objects not in [task.objects for task in TASKS.values()]:
        of_tasks = "; or ".join(f"{', '.join(task.objects.names)} ({name})" for name, task in TASKS.items())
        missing.append(f"{ENVIRONMENT_STATE} must have the elements {of_tasks}")
    can = [*(["verify"] if known else ["verify", "convert"]), "set_splits", "recompute_statistics"]
    lines = [_line("here", ", ".join(can if others else [*can, "delete_episodes", "merge"]))]
    if others:
        lines.append(_line("with LeRobot's tools", f"delete, merge: soarm cannot write {', '.join(others)} back"))
    lines.append(_line("replay", f"cannot: {missing[0]}" if strange else f"can be replayed{once}"))
    return [*lines, _line("training", f"cannot train yet: {'; '.join(missing)}" if missing else f"can be trained on{once}")]


def _line(name: str, text: str) -> str:
    return f"  {name:<{_WIDTH}} {text}"


def _grouped(values: Iterable[str]) -> str:
    """Return equal neighbours as one: "deg x 5, percent"."""
    groups = [(value, len(list(group))) for value, group in itertools.groupby(values)]
    return ", ".join(value if count == 1 else f"{value} x {count}" for value, count in groups)


def _camera(found: Contents, key: str, dtype: str) -> str:
    shape = " x ".join(map(str, found.info["features"][key]["shape"]))
    return f"{dtype} {shape}, not loaded"
