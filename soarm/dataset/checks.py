"""Checks of a dataset against itself: every fault is listed, then one error is raised.

LeRobot's loader checks little (section by section: totals against rows, contiguous indices, timestamps against fps,
statistics are all taken on trust), so a damaged dataset trains a wrong policy there; here it does not open.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.dataset import contents as contents_
from soarm.dataset import layout, statistics
from soarm.dataset.contents import Contents
from soarm.dataset.episode import not_finite
from soarm.errors import DatasetError
from soarm.spec import ACTION

TIMESTAMP_TOLERANCE_S = 1e-4
"""LeRobot's `tolerance_s`."""

STATISTICS_TOLERANCE = 1e-3
"""How far min, max and mean in stats.json may be from the rows, relative to the largest value of the feature."""


_REQUIRED = ("min", "max", "mean", "std", "count")


def examine(path: Path, *, with_statistics: bool = True) -> Contents:
    """Read the dataset at `path` and verify it against itself.

    Args:
        path: The dataset's folder.
        with_statistics: Whether meta/stats.json is checked too.

    Returns:
        What was read; `faults` lists everything that is wrong, with file, value, what is expected and what to do.

    Raises:
        DatasetError: There is no dataset that could be examined.
    """
    found = contents_.read(path)
    found.faults += _info_faults(found)
    if found.is_finalized:
        found.faults += _episode_faults(found)
        found.faults += _row_faults(found)
        if with_statistics:
            found.faults += _statistics_faults(found)
        else:
            found.faults = [fault for fault in found.faults if not fault.startswith(layout.STATS_PATH)]
    return found


def check(path: Path, *, with_statistics: bool = True) -> Contents:
    """Return what `examine` finds in a sound dataset.

    Raises:
        DatasetError: Lists every fault.
    """
    found = examine(path, with_statistics=with_statistics)
    if found.faults:
        listing = "\n  ".join(found.faults)
        count = "1 fault" if len(found.faults) == 1 else f"{len(found.faults)} faults"
        raise DatasetError(
            f"{path} is not a sound dataset ({count}):\n  {listing}\n"
            "Restore the named files from a copy, or record the dataset again."
        )
    return found


def parse_splits(splits: Any, n_episodes: int) -> dict[str, range]:
    """Return the splits of an info.json: name -> episodes.

    Raises:
        ValueError: They are no "first:end" texts, leave 0..n_episodes, or overlap.
    """
    if not isinstance(splits, Mapping):
        raise ValueError(f"splits is {splits!r}; it must map names to 'first:end'")
    parsed: dict[str, range] = {}
    for name, text in splits.items():
        first, colon, end = str(text).partition(":")
        if not (colon and first.isdecimal() and end.isdecimal() and int(first) <= int(end) <= n_episodes):
            raise ValueError(f"split {name} is {text!r}; it must be 'first:end' within 0:{n_episodes}")
        parsed[str(name)] = range(int(first), int(end))
    taken: dict[int, str] = {}
    for name, episodes in parsed.items():
        for episode in episodes:
            if episode in taken:
                raise ValueError(f"episode {episode} is in the splits {taken[episode]} and {name}; each may be in one only")
            taken[episode] = name
    return parsed


def _info_faults(found: Contents) -> list[str]:
    info, faults = found.info, []
    version = info.get("codebase_version")
    if version != layout.CODEBASE_VERSION:
        known = layout.CODEBASE_VERSION
        faults.append(f"codebase_version is {version!r}; this reader knows {known!r}: a newer soarm may know it")
    if type(info.get("fps")) is not int or info["fps"] <= 0:
        faults.append(
            f"fps is {info.get('fps')!r}; it must be a whole number above 0: control steps come at whole rates here, so "
            "record at 30, not at 29.97"
        )
    if ACTION not in found.features:
        faults.append(f"features lack {ACTION}; there are {list(found.features)}")
    if "robot_type" not in info:
        faults.append("robot_type is missing; LeRobot refuses that (null is allowed)")
    for key in ("total_episodes", "total_frames", "total_tasks", "chunks_size"):
        if type(info.get(key)) is not int or info[key] < 0:
            faults.append(f"{key} is {info.get(key)!r}; it must be a whole number")
    if found.spec is not None:
        faults += _spec_faults(found)
    if found.is_finalized and type(info.get("total_episodes")) is int:
        try:
            parse_splits(info.get("splits"), info["total_episodes"])
        except ValueError as error:
            faults.append(str(error))
    return [f"{layout.INFO_PATH}: {fault}" for fault in faults]


def _spec_faults(found: Contents) -> list[str]:
    assert found.spec is not None
    faults = []
    if found.spec.control_hz != found.info.get("fps"):
        faults.append(f"fps is {found.info.get('fps')!r}, but soarm.control_hz is {found.spec.control_hz}")
    for key, right in found.features.items():
        left = found.spec.features.get(key)
        if left is not None and (left.shape, left.names) != (right.shape, right.names):
            faults.append(
                f"feature {key} is {right.shape} {right.names}, but {left.shape} {left.names} in soarm's specification"
            )
    if faults:
        faults[-1] += f"; where info.json is right, remove {layout.SPEC_PATH}: it holds the units and nothing else"
    return faults


def _episode_faults(found: Contents) -> list[str]:
    """Compare the table of episodes with info.json and with the data files."""
    if found.episodes is None:
        return []
    table, faults = found.episodes, []
    n_episodes, lengths = len(table["length"]), table["length"]
    starts = np.concatenate([[0], np.cumsum(lengths)])
    if n_episodes != found.info.get("total_episodes"):
        faults.append(f"it has {n_episodes} rows, info.json says total_episodes {found.info.get('total_episodes')!r}")
    faults += _mismatch("episode_index", table["episode_index"], np.arange(n_episodes), "row")
    faults += _mismatch("dataset_from_index", table["dataset_from_index"], starts[:-1], "episode")
    faults += _mismatch("dataset_to_index", table["dataset_to_index"], starts[1:], "episode")
    if np.any(lengths <= 0):
        faults.append(f"episode {int(np.argmax(lengths <= 0))} has length {int(lengths.min())}; it must be above 0")
    expected: dict[str, int] = {}
    template = str(found.info.get("data_path", layout.DATA_PATH))
    for chunk, file, length in zip(table["data/chunk_index"], table["data/file_index"], lengths, strict=True):
        try:
            name = template.format(chunk_index=chunk, file_index=file)
        except (KeyError, IndexError, ValueError):
            faults.append(f"info.json says data_path {template!r}; it must be like {layout.DATA_PATH!r}")
            break
        expected[name] = expected.get(name, 0) + int(length)
    for name, n_rows in expected.items():
        if not (found.root / name).exists():
            faults.append(f"{name} is missing; it should hold {n_rows} rows")
        elif name in found.rows_in_file and found.rows_in_file[name] != n_rows:
            faults.append(f"{name} has {found.rows_in_file[name]} rows; its episodes have {n_rows}")
    faults += [f"{name} belongs to no episode" for name in found.rows_in_file if name not in expected]
    return [f"meta/episodes: {fault}" for fault in faults]


def _row_faults(found: Contents) -> list[str]:
    """Compare the frames with info.json and the table of episodes."""
    columns, faults = found.columns, []
    for key, feature in found.features.items():
        if key in columns and not np.isfinite(columns[key]).all():
            faults.append(not_finite(key, columns[key], feature))
    if not set(layout.DEFAULTS) <= set(columns) or found.episodes is None:
        return [f"data: {fault}" for fault in faults]
    n_frames, lengths = len(columns["index"]), np.maximum(found.episodes["length"], 0)
    if n_frames != found.info.get("total_frames"):
        faults.append(f"there are {n_frames} rows, info.json says total_frames {found.info.get('total_frames')!r}")
    faults += _mismatch("index", columns["index"], np.arange(n_frames), "frame")
    if lengths.sum() != n_frames:
        faults.append(f"there are {n_frames} rows, the episodes of meta/episodes have {int(lengths.sum())}")
    else:
        starts = np.cumsum(lengths) - lengths
        in_episode = np.arange(n_frames) - np.repeat(starts, lengths)
        faults += _mismatch("episode_index", columns["episode_index"], np.repeat(np.arange(len(lengths)), lengths), "frame")
        faults += _mismatch("frame_index", columns["frame_index"], in_episode, "frame")
        if type(found.info.get("fps")) is int and found.info["fps"] > 0:
            faults += _timestamp_faults(columns["timestamp"], in_episode, found.info["fps"])
    if found.tasks is not None:
        faults += _task_faults(columns["task_index"], found.tasks, found.info.get("total_tasks"))
    return [f"data: {fault}" for fault in faults]


def _timestamp_faults(timestamps: NDArray[Any], in_episode: NDArray[Any], fps: int) -> list[str]:
    expected = in_episode / fps
    wrong = np.abs(timestamps - expected) > TIMESTAMP_TOLERANCE_S + 1e-6 * expected  # float32 has 7 digits
    if not wrong.any():
        return []
    first = int(np.argmax(wrong))
    return [
        f"timestamp of frame {first} is {timestamps[first]:.6g} s; at {fps} fps it must be {expected[first]:.6g} s "
        f"({int(wrong.sum())} such frames: is fps in info.json right?)"
    ]


def _task_faults(task_index: NDArray[Any], tasks: list[str], total: Any) -> list[str]:
    twice = [text for text, times in collections.Counter(tasks).items() if times > 1]
    faults = [f"{layout.TASKS_PATH} has more than one row for {text!r}" for text in twice]
    if len(tasks) != total:
        faults.append(f"{layout.TASKS_PATH} has {len(tasks)} tasks, info.json says total_tasks {total!r}")
    if len(task_index) and not 0 <= task_index.min() <= task_index.max() < len(tasks):
        found = f"{task_index.min()}..{task_index.max()}"
        faults.append(f"task_index is in {found}; {layout.TASKS_PATH} has {len(tasks)} tasks")
    return faults


def _statistics_faults(found: Contents) -> list[str]:
    """Compare stats.json with the rows: all there, of the right length, describing these rows."""
    if found.statistics is None:
        return []
    faults = []
    for key, values in found.columns.items():
        stats = found.statistics.get(key)
        if not isinstance(stats, Mapping):
            faults.append(f"{key} is missing")
            continue
        width = values.shape[1] if values.ndim == 2 else 1
        try:
            arrays = {name: np.asarray(stats[name], dtype=np.float64).reshape(-1) for name in _REQUIRED}
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"{key} lacks {error}; expected are {list(statistics.NAMES)}")
            continue
        lengths = {name: 1 if name == "count" else width for name in _REQUIRED}
        wrong = [name for name in _REQUIRED if len(arrays[name]) != lengths[name] or not np.isfinite(arrays[name]).all()]
        if wrong:
            faults.append(f"{key}: {wrong} are not {width} finite numbers")
        elif arrays["count"][0] != len(values):
            faults.append(f"{key}: count is {arrays['count'][0]:g}, there are {len(values)} frames")
        elif key in found.features and len(values) and np.isfinite(values).all():  # LeRobot's tools leave stale ones for index
            true = {"min": values.min(axis=0), "max": values.max(axis=0), "mean": values.mean(axis=0, dtype=np.float64)}
            scale = max(1.0, float(np.abs(values).max()))
            faults += [
                f"{key}: {name} is {arrays[name].tolist()}, the rows have {np.atleast_1d(value).tolist()}"
                for name, value in true.items()
                if np.abs(arrays[name] - value).max() > STATISTICS_TOLERANCE * scale
            ]
    return [f"{layout.STATS_PATH}: {fault}; edit.recompute_statistics corrects it" for fault in faults]


def _mismatch(name: str, found: NDArray[Any], expected: NDArray[Any], unit: str) -> list[str]:
    wrong = found != expected
    if not wrong.any():
        return []
    first = int(np.argmax(wrong))
    return [f"{name} of {unit} {first} is {found[first]}; it must be {expected[first]} ({int(wrong.sum())} such)"]
