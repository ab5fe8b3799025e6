"""Reading everything a dataset folder holds into numpy, noting faults instead of stopping at the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from soarm.dataset import formats, journal, layout, storage, tables, units
from soarm.dataset.episode import StoredEpisode, faults_of
from soarm.errors import DatasetError, SmallFileError
from soarm.smallfile import DATASET_BYTES, load_json, read_json
from soarm.spec import UNKNOWN_UNIT, Feature, PolicySpec

Columns = dict[str, NDArray[Any]]

_EPISODE_COLUMNS = ("episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index", "dataset_to_index")


@dataclasses.dataclass
class Contents:
    """What was found. A part that could not be read is None or absent, and `faults` says so.

    Attributes:
        root: The folder that was read.
        info: info.json, or the recording's copy of it.
        features: The features that policies can observe: vectors of floats, and cameras, whose frames are not read.
        not_loaded: Key -> dtype of the others (text, flags, depth).
        spec: What soarm says about it, in meta/soarm.json; LeRobot's datasets have none.
        tasks: meta/tasks.parquet.
        episodes: Columns of meta/episodes, each (E,).
        statistics: meta/stats.json.
        columns: Rows of the data files: features (N, D) float32, defaults (N,).
        rows_in_file: Data file, relative -> number of rows, in order.
        unfinished: Episodes of a recording that was not finalized.
        faults: What is wrong, one line each.
        notes: What a reader should know and is not wrong, one line each.
    """

    root: Path
    info: dict[str, Any]
    features: dict[str, Feature] = dataclasses.field(default_factory=dict)
    not_loaded: dict[str, str] = dataclasses.field(default_factory=dict)
    spec: PolicySpec | None = None
    tasks: list[str] | None = None
    episodes: Columns | None = None
    statistics: dict[str, Any] | None = None
    columns: Columns = dataclasses.field(default_factory=dict)
    rows_in_file: dict[str, int] = dataclasses.field(default_factory=dict)
    unfinished: list[StoredEpisode] = dataclasses.field(default_factory=list)
    faults: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)

    @property
    def vectors(self) -> dict[str, Feature]:
        """The features that are vectors."""
        return {key: feature for key, feature in self.features.items() if feature.kind == "vector"}

    @property
    def is_finalized(self) -> bool:
        """Whether there are final files (a recording may go on beside them)."""
        return (self.root / layout.INFO_PATH).exists()

    @property
    def is_recording(self) -> bool:
        """Whether a recording was started here and not finalized."""
        return journal.exists(self.root)


def read(path: Path) -> Contents:
    """Read the dataset at `path`.

    Raises:
        DatasetError: There is no dataset, or its info.json is so wrong that nothing else can be read.
    """
    root = storage.location(path)
    if root.is_file():
        raise DatasetError(f"{path} is a file, and a dataset is a folder. Give the folder that holds meta/.")
    if not root.is_dir():
        raise DatasetError(
            f"{path} does not exist. Record a dataset there first (soarm control) or give the folder that holds meta/."
        )
    has_info, has_journal = (root / layout.INFO_PATH).exists(), journal.exists(root)
    if not has_info and not has_journal:
        raise DatasetError(
            f"{path} is no LeRobot v3.0 dataset: {layout.INFO_PATH} is missing and there is no unfinished recording. "
            f"It holds {sorted(entry.name for entry in root.iterdir())}; give the folder that holds meta/, or record it again."
        )
    header = journal.header(root) if has_journal else None
    if has_info or header is None:
        remedy = "Restore it from a copy, or record again."
        info = read_json(root / layout.INFO_PATH, DatasetError, remedy, most_bytes=DATASET_BYTES)
    else:
        info = header.info
    formats.require_current(root, info)
    if isinstance(info.get("fps"), float) and info["fps"].is_integer():
        info["fps"] = int(info["fps"])  # some tools write 30.0
    contents = Contents(root, info)
    contents.spec = header.spec if header is not None and not has_info else _read_spec(contents)
    _read_features(contents)
    if has_info:
        _read_meta(contents)
        formats.require_finalized(root, info, 0 if contents.episodes is None else len(contents.episodes["length"]))
        _read_rows(contents)
    if has_journal:
        _read_journal(contents)
    return contents


def _read_features(contents: Contents) -> None:
    described, faults = contents.info.get("features"), contents.faults
    if not isinstance(described, Mapping):
        raise DatasetError(
            f"{contents.root}: {layout.INFO_PATH} has features {described!r}; it must be a mapping. "
            "Restore the file from a copy, or record again."
        )
    for key, feature in described.items():
        try:
            dtype, shape, kind = feature["dtype"], tuple(feature["shape"]), layout.kind_of(feature)
            if key in layout.DEFAULTS:
                if (dtype, shape) != (layout.DEFAULTS[key], (1,)):
                    expected = f"{layout.DEFAULTS[key]} (1,)"
                    faults.append(f"{layout.INFO_PATH}: feature {key} is {dtype} {shape}; it must be {expected}")
            elif kind == "vector":
                contents.features[key] = _feature_of(key, feature, contents.spec)
            elif kind == "image":
                contents.features[key] = layout.image_of(feature)
            else:
                contents.not_loaded[key] = str(dtype)
        except (KeyError, TypeError, IndexError) as error:
            faults.append(f"{layout.INFO_PATH}: feature {key} is {feature!r}; it needs dtype, shape and names ({error!r})")
    if contents.spec is not None:
        gone = [key for key in contents.spec.features if key not in described]
        new = [key for key in contents.vectors if key not in contents.spec.features]
        if gone or new:
            contents.notes.append(
                f"{layout.SPEC_PATH} and {layout.INFO_PATH} name other features, as after an edit with LeRobot's tools: "
                f"{gone} are gone, the units of {new} follow from their names or are unknown"
            )
    missing = [key for key in layout.DEFAULTS if key not in described]
    if missing:
        faults.append(f"{layout.INFO_PATH}: the default features {missing} are missing")


def _read_spec(contents: Contents) -> PolicySpec | None:
    """Return what soarm says about the dataset, from its own file or, before there was one, from a key of info.json."""
    path = contents.root / layout.SPEC_PATH
    if not path.exists() and layout.OLD_KEY not in contents.info:
        return None
    try:
        data = load_json(path, most_bytes=DATASET_BYTES) if path.exists() else contents.info[layout.OLD_KEY]
        spec = PolicySpec.from_dict(data)
        wrong = [fault for key, feature in spec.features.items() for fault in layout.feature_faults(key, feature)]
        if wrong:
            raise ValueError("; ".join(wrong))
    except ValueError as error:  # SmallFileError and SpecMismatchError are such
        contents.faults.append(
            f"{layout.SPEC_PATH}: {error}. It holds the units and nothing else: restore it from a copy, or remove it and say "
            "the units again (soarm dataset convert)"
        )
        return None
    return spec


def _feature_of(key: str, described: Mapping[str, Any], spec: PolicySpec | None) -> Feature:
    """Return a feature with the units that soarm noted or that follow from its names."""
    names = layout.names_of(key, described)
    feature = Feature(tuple(described["shape"]), names, units.of_names(names))
    noted = spec.features.get(key) if spec is not None else None
    if noted is None or (noted.shape, noted.names) != (feature.shape, feature.names):
        return feature
    known = (b if a == UNKNOWN_UNIT else a for a, b in zip(noted.units, feature.units, strict=True))
    return Feature(feature.shape, names, tuple(known))


def _read_meta(contents: Contents) -> None:
    root, faults = contents.root, contents.faults
    try:
        contents.statistics = load_json(root / layout.STATS_PATH, most_bytes=DATASET_BYTES)
    except SmallFileError as error:
        faults.append(f"{layout.STATS_PATH} {error}; edit.recompute_statistics writes it again")
    try:
        contents.tasks = tables.task_texts(tables.read(root / layout.TASKS_PATH))
    except OSError as error:
        faults.append(f"{layout.TASKS_PATH} is missing or unreadable ({error.strerror})")
    except ValueError as error:
        faults.append(f"{layout.TASKS_PATH}: {error}")
    files = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
    parts = []
    if not files:
        faults.append(f"{layout.EPISODES_PATH.format(chunk_index=0, file_index=0)} is missing")
    for file in files:
        try:
            table = tables.read(file, _EPISODE_COLUMNS)
            parts.append({key: tables.to_numpy(table[key], 1)[:, 0].astype(np.int64) for key in _EPISODE_COLUMNS})
        except (OSError, ValueError) as error:
            faults.append(f"{file.relative_to(root)}: {error}")
    if parts and len(parts) == len(files):
        contents.episodes = {key: np.concatenate([part[key] for part in parts]) for key in _EPISODE_COLUMNS}


def _read_rows(contents: Contents) -> None:
    root, faults = contents.root, contents.faults
    files = sorted((root / "data").glob("*/*.parquet"))
    widths = {key: feature.shape[0] for key, feature in contents.vectors.items()} | dict.fromkeys(layout.DEFAULTS, 1)
    parts: list[Columns] = []
    for file in files:
        name = str(file.relative_to(root))
        try:
            table = tables.read(file, list(widths))
        except (OSError, ValueError) as error:
            faults.append(f"{name}: {error}")
            continue
        contents.rows_in_file[name] = table.num_rows
        parts.append(_numbers(table, widths, name, faults))
    if not files:
        faults.append("data/ holds no parquet file")
    if len(parts) == len(files):  # with a file missing, everything after it would look wrong
        for key in widths:
            if parts and all(key in part for part in parts):
                contents.columns[key] = np.concatenate([part[key] for part in parts])


def _numbers(table: pa.Table, widths: Mapping[str, int], name: str, faults: list[str]) -> Columns:
    columns: Columns = {}
    for key, width in widths.items():
        try:
            values = tables.to_numpy(table[key], width)
        except ValueError as error:
            faults.append(f"{name}: column {key}: {error}")
            continue
        columns[key] = values[:, 0] if key in layout.DEFAULTS else values.astype(np.float32)
    return columns


def _read_journal(contents: Contents) -> None:
    total = contents.info.get("total_episodes")
    first = total if contents.is_finalized and isinstance(total, int) else 0
    for expected, (number, file) in enumerate(journal.episode_files(contents.root).items(), start=first):
        name = str(file.relative_to(contents.root))
        if number != expected:
            contents.faults.append(f"{name}: episode {expected} of the unfinished recording is missing before it; restore it")
            return
        try:
            episode = journal.read_episode(contents.root, number, contents.features)
        except (OSError, ValueError) as error:
            contents.faults.append(
                f"{name}: {error}; `soarm control --dataset {contents.root}` puts it aside if it is the last one"
            )
            continue
        contents.faults += [f"{name}: {fault}" for fault in faults_of(episode.values, contents.vectors)]
        contents.unfinished.append(episode)
