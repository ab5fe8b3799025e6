"""A page that tells what a dataset holds and what it can be used for here; it judges only what is on the disk, undecoded."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from soarm import arm
from soarm.dataset import cameras, checks, layout, units, video_checks
from soarm.dataset.contents import Contents
from soarm.spec import ACTION, ENVIRONMENT_STATE, STATE
from soarm.tasks.registry import TASKS

_SHOWN_TASKS = 5
_WIDTH = 30
_LARGE_PX = 320
"""Width above which smaller pictures are proposed: training decodes and looks at every one of them many times."""


Entry = tuple[str, str]
"""What is told, and what there is to say; without a name it goes on with the entry before it."""


def page(path: Path) -> list[str]:
    """Return the page, line by line.

    Raises:
        DatasetError: There is no dataset that could be looked at.
    """
    found = _examined(path)
    return [f"{path}: {summary(found)}", *(f"  {name:<{_WIDTH}} {text}" for name, text in entries(path, found))]


def summary(found: Contents) -> str:
    """Return format, episodes, frames and rate in one line."""
    info, unfinished = found.info, found.unfinished
    lengths = [*(found.episodes["length"].tolist() if found.episodes else ()), *(len(episode) for episode in unfinished)]
    fps, frames = info.get("fps"), int(sum(lengths))
    seconds = f" ({frames / fps:.1f} s)" if isinstance(fps, int) and fps > 0 else ""
    size = f"{counted(len(lengths), 'episode')}, {counted(frames, 'frame')} at {fps} fps{seconds}"
    return f"LeRobot {info.get('codebase_version')} dataset, {size}"


def counted(n: int, one: str, many: str = "") -> str:
    """Return a number with its noun, in the singular where it is 1: "1 episode", "2 episodes"."""
    return f"{n} {one if n == 1 else many or one + 's'}"


def entries(path: Path | str, found: Contents) -> list[Entry]:
    """Return what the dataset holds and what it can be used for.

    Args:
        path: The folder as the reader types it, for the commands that are proposed.
        found: What `checks.examine` found there.
    """
    info, unfinished = found.info, found.unfinished
    lines = [
        ("robot", str(info.get("robot_type"))),
        ("specification of soarm", layout.SPEC_PATH if found.spec is not None else "none: recorded or written by LeRobot"),
    ]
    if unfinished:
        going_on = f"`soarm control --dataset {path}` goes on with them, q there finishes"
        lines.append(("not finalized", f"{counted(len(unfinished), 'episode')}; {going_on}"))
    lines += [(key, f"{f.shape[0]} [{_grouped(f.units)}]  {' '.join(f.names)}") for key, f in found.vectors.items()]
    lines += [(key, _camera(found, key)) for key, f in found.features.items() if f.kind == "image"]
    lines += [(key, f"{dtype}, copied by edits and not loaded") for key, dtype in found.not_loaded.items()]
    tasks = list(dict.fromkeys([*(found.tasks or ()), *(text for episode in unfinished for text in episode.tasks)]))
    more = f" and {len(tasks) - _SHOWN_TASKS} more" if len(tasks) > _SHOWN_TASKS else ""
    lines.append(("tasks", "; ".join(tasks[:_SHOWN_TASKS]) + more))
    if isinstance(info.get("splits"), dict) and info["splits"]:
        lines.append(("splits", ", ".join(f"{name} {text}" for name, text in info["splits"].items())))
    return lines + _units_entries(found, path) + [("note", note) for note in found.notes] + _use_entries(found, path)


def facts(path: Path) -> dict[str, Any]:
    """Return what the page tells, for a program to read: counts, features with their units, tasks, splits and faults.

    Raises:
        DatasetError: There is no dataset that could be looked at.
    """
    found = _examined(path)
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


def _examined(path: Path) -> Contents:
    found = checks.examine(path)
    found.faults += video_checks.faults(found, decode=False)
    return found


def _units_entries(found: Contents, path: Path | str) -> list[Entry]:
    columns = {key: found.columns[key] for key in found.features if key in found.columns}
    normalised = units.looks_normalised(columns, found.features)
    if units.unknown_joints(found.features):
        ends = f"they end at -100 or 100 in {', '.join(normalised)}: they look like -100..100"
        return [
            ("units of the joints", f"unknown: {units.DEFAULTS_OF_LEROBOT}"),
            *([("", ends)] if normalised else []),
            ("  if they are degrees", f"soarm dataset convert {path} NEW_FOLDER --units degrees"),
            ("", f"or, to train on it: soarm train --dataset {path} --units degrees"),
            ("  if they are -100..100", f"soarm dataset convert {path} NEW_FOLDER --calibration FILE.json"),
        ]
    ends = f"said to be degrees, but they end at -100 or 100 in {', '.join(normalised)}: they look like -100..100"
    return [("units of the joints", ends)] if normalised else []


def _use_entries(found: Contents, path: Path | str) -> list[Entry]:
    if found.faults:
        return [("usable", f"no: {counted(len(found.faults), 'fault')}; `soarm dataset verify {path}` lists what is wrong")]
    features = found.features
    known = not units.unknown_joints(features)
    once = "" if known else ", once the units are said"
    strange = [key for key in (STATE, ACTION) if key not in features or features[key].names != arm.FEATURE_NAMES]
    others = layout.not_recorded(found.info)
    objects = features.get(ENVIRONMENT_STATE)
    missing = [f"{' and '.join(strange)} must have this arm's joints in its order"] if strange else []
    if objects is None:
        missing += [] if any(f.kind == "image" for f in features.values()) else [f"neither {ENVIRONMENT_STATE} nor a camera"]
    elif objects not in [task.objects for task in TASKS.values()]:
        of_tasks = "; or ".join(f"{', '.join(task.objects.names)} ({name})" for name, task in TASKS.items())
        missing.append(f"{ENVIRONMENT_STATE} must have the elements {of_tasks}")
    can = [*(["verify"] if known else ["verify", "convert"]), "set_splits", "recompute_statistics", "delete_episodes", "merge"]
    lines = [("here", ", ".join(can))]
    if others:
        lines.append(("with LeRobot's tools", f"recording on: soarm does not record {', '.join(others)}"))
    lines.append(("replay", f"cannot: {missing[0]}" if strange else f"can be replayed{once}"))
    lines.append(("training", f"cannot train yet: {'; '.join(missing)}" if missing else f"can be trained on{once}"))
    seen = [features[key] for key in cameras.keys(found)]
    if seen and any(feature.shape[1] > _LARGE_PX for feature in seen):
        lines.append(("  with smaller pictures", f"soarm dataset shrink {path} NEW_FOLDER --size 96x72"))
    if seen:
        lines.append(("pictures", f"there, and none was decoded: `soarm dataset verify {path}` decodes all"))
    return lines


def _grouped(values: Iterable[str]) -> str:
    """Return equal neighbours as one: "deg x 5, percent"."""
    groups = [(value, len(list(group))) for value, group in itertools.groupby(values)]
    return ", ".join(value if count == 1 else f"{value} x {count}" for value, count in groups)


def _camera(found: Contents, key: str) -> str:
    described, (height, width, _) = found.info["features"][key], found.features[key].shape
    codec = (described.get("info") or {}).get("video.codec", "")
    return f"{described['dtype']} {width} x {height}{f', {codec}' if codec else ''}"
