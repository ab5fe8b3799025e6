"""The files of a LeRobot v3.0 dataset and the content of its `info.json`. Knows names and numbers, reads and writes nothing.

::

    ROOT/meta/info.json                           what the dataset is
    ROOT/meta/soarm.json                          our PolicySpec, with the units; LeRobot neither reads nor changes it
    ROOT/meta/stats.json                          statistics of every feature over all frames
    ROOT/meta/tasks.parquet                       task text -> task_index
    ROOT/meta/episodes/chunk-000/file-000.parquet one row per episode
    ROOT/data/chunk-000/file-000.parquet          one row per frame, one row group per episode
    ROOT/videos/CAMERA/chunk-000/file-000.mp4     the episodes of a camera, one after the other
    ROOT/recording/                               only while recording: see `soarm.dataset.journal`
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from soarm.spec import Feature, Kind, PolicySpec, nameless

CODEBASE_VERSION: Final = "v3.0"
ROBOT_TYPE: Final = "so100_follower"
"""LeRobot's name of the arm."""
ARM_TYPES: Final = frozenset({ROBOT_TYPE, "so101_follower", "so_follower"})
"""LeRobot's names of one arm: SO-100 and SO-101 have the same joints, and since 0.4.3 they share a driver and a name."""

DATA_PATH: Final = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
EPISODES_PATH: Final = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
INFO_PATH: Final = "meta/info.json"
VIDEO_PATH: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
SPEC_PATH: Final = "meta/soarm.json"
STATS_PATH: Final = "meta/stats.json"
TASKS_PATH: Final = "meta/tasks.parquet"
RECORDING: Final = "recording"

CHUNKS_SIZE: Final = 1000
"""Files in one chunk folder."""
DATA_FILE_MB: Final = 100
"""A data file is closed before it would grow past this size [MB of 1e6 uncompressed bytes here]."""
VIDEO_FILE_MB: Final = 200
"""A video is closed before it would grow past this size [MB]."""

DEFAULTS: Final[Mapping[str, str]] = {
    "timestamp": "float32",
    "frame_index": "int64",
    "episode_index": "int64",
    "index": "int64",
    "task_index": "int64",
}
"""Scalar columns that every LeRobot dataset has, with their dtype; `timestamp` is frame_index / fps [s]."""

WRITTEN_DTYPE: Final = "float32"
_VECTOR_DTYPES: Final = ("float16", WRITTEN_DTYPE, "float64")
VIDEO: Final = "video"
_IMAGE_DTYPES: Final = ("image", VIDEO)

OLD_KEY: Final = "soarm"
"""Top-level key of info.json that held the PolicySpec before `SPEC_PATH`; LeRobot's tools drop it."""


def same_robot(left: str | None, right: str | None) -> bool:
    """Return whether two robot types name robots with the same joints."""
    return left == right or {left, right} <= ARM_TYPES


def kind_of(described: Mapping[str, Any]) -> Kind | None:
    """Return what kind of feature info.json describes; None for text, flags and others that no policy observes."""
    dtype, shape = described["dtype"], tuple(described["shape"])
    if dtype in _IMAGE_DTYPES:
        return "image" if len(shape) == 3 and 3 in (shape[0], shape[2]) else None
    return "vector" if dtype in _VECTOR_DTYPES and len(shape) == 1 else None


def image_of(described: Mapping[str, Any]) -> Feature:
    """Return the feature of a camera that info.json describes, whose channels may come first there."""
    shape, names = tuple(described["shape"]), described.get("names")
    first = shape[2] != 3 or (isinstance(names, list) and bool(names) and str(names[0]).startswith("channel"))
    return Feature.image(*(shape[1:] if first else shape[:2]))


def feature_faults(key: str, feature: Feature) -> list[str]:
    """Return why a feature cannot be described."""
    if feature.kind == "image":
        return []
    if len(feature.shape) != 1 or feature.shape[0] < 1:
        return [f"feature {key} has shape {feature.shape}; it must be a vector"]
    n_names, n_units, size = len(feature.names), len(feature.units), feature.shape[0]
    if n_names == n_units == size:
        return []
    return [f"feature {key} has {n_names} names and {n_units} units; it needs {size} of each"]


def not_recorded(info: Mapping[str, Any]) -> dict[str, str]:
    """Return the features of an info.json that edits copy as they are, and that soarm does not record: key -> dtype."""
    written = {("vector", WRITTEN_DTYPE), ("image", VIDEO)}
    return {
        key: described["dtype"]
        for key, described in info["features"].items()
        if key not in DEFAULTS and (kind_of(described), described["dtype"]) not in written
    }


def describe(features: Mapping[str, Feature]) -> dict[str, dict[str, Any]]:
    """Return features, cameras as videos, and the default columns as info.json describes them."""
    described: dict[str, dict[str, Any]] = {}
    for key, feature in features.items():
        dtype = VIDEO if feature.kind == "image" else feature.dtype
        described[key] = {"dtype": dtype, "shape": list(feature.shape), "names": list(feature.names)}
    return described | {key: {"dtype": dtype, "shape": [1], "names": None} for key, dtype in DEFAULTS.items()}


def new_info(spec: PolicySpec, robot_type: str) -> dict[str, Any]:
    """Return the info.json of a dataset without episodes."""
    return {
        "codebase_version": CODEBASE_VERSION,
        "robot_type": robot_type,
        "total_episodes": 0,
        "total_frames": 0,
        "total_tasks": 0,
        "chunks_size": CHUNKS_SIZE,
        "data_files_size_in_mb": DATA_FILE_MB,
        "video_files_size_in_mb": VIDEO_FILE_MB,
        "fps": spec.control_hz,
        "splits": {},
        "data_path": DATA_PATH,
        "video_path": None,
        "features": describe(spec.features),
    }


def names_of(key: str, described: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of a vector's elements as info.json says them.

    They may be a list, a mapping that holds one list (older versions) or absent; then they are numbered.
    """
    (length,), names = tuple(described["shape"]), described.get("names")
    if isinstance(names, Mapping) and len(names) == 1:
        (names,) = names.values()
    if not isinstance(names, list) or len(names) != length:
        return nameless(key, length)
    return tuple(map(str, names))


def nth_file(template: str, root: Path, number: int, chunks_size: int) -> Path:
    """Return the path of the file with running `number` (from 0) under `root`."""
    return root / template.format(chunk_index=number // chunks_size, file_index=number % chunks_size)
