"""Changing a dataset that is finished: delete episodes, merge, split it into several, set splits, repair statistics.

Every change is built beside the dataset, complete, and swapped in; whatever is wrong with the request is said before anything
is touched.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from soarm.dataset import checks, layout, pictures, reader, statistics, storage, tables, writer
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import require_splits
from soarm.dataset.resuming import require_videos
from soarm.dataset.units import how_to_say
from soarm.errors import DatasetError
from soarm.spec import PolicySpec, require_same

logger = logging.getLogger(__name__)


def delete_episodes(
    path: str | os.PathLike[str], episodes: Iterable[int], destination: str | os.PathLike[str] | None = None
) -> Dataset:
    """Remove episodes; the ones behind them move up.

    Args:
        path: The dataset's folder.
        episodes: Numbers of the episodes, from 0.
        destination: A folder that is absent or empty, for a copy without them; None changes the dataset itself.

    Returns:
        The dataset without them.

    Raises:
        DatasetError: An episode does not exist, none would be left, the dataset cannot be rewritten, or the destination is
            taken; nothing was changed.
    """
    target = Path(path if destination is None else destination)
    if destination is not None:
        _require_place(target, "delete")
    dataset = _open_finished(Path(path))
    doomed = list(episodes)
    wrong = [i for i in doomed if isinstance(i, bool) or i not in range(dataset.n_episodes)]
    if wrong:
        raise DatasetError(
            f"{path} has no episodes {wrong}; it has 0..{dataset.n_episodes - 1}. Nothing was deleted; ask again without them."
        )
    kept = [i for i in range(dataset.n_episodes) if i not in set(doomed)]
    if not kept:
        raise DatasetError(
            f"{path}: deleting all {dataset.n_episodes} episodes would leave no dataset; remove the folder instead."
        )
    splits = {}
    for name, split in dataset.splits.items():
        n_before, n_inside = (sum(i < bound for i in set(doomed)) for bound in (split.start, split.stop))
        splits[name] = range(split.start - n_before, split.stop - n_inside)
    _write(dataset, target, [(dataset, i) for i in kept], splits)
    return Dataset.open(target)


def split(
    path: str | os.PathLike[str], destination: str | os.PathLike[str], parts: Mapping[str, float | range]
) -> dict[str, Dataset]:
    """Write consecutive episodes of a dataset into datasets of their own, each in the split "train"; the source stays.

    Args:
        path: The dataset's folder.
        destination: A folder that is absent or empty; each part becomes the folder of its name in it, all of them or none.
        parts: Name -> its episodes, or its share of them in 0..1; shares follow one another from episode 0 on.

    Returns:
        Name -> the new dataset.

    Raises:
        DatasetError: A part would be empty, parts overlap or leave the dataset, or the destination is taken.
    """
    target = Path(destination)
    _require_place(target, "split")
    dataset = _open_finished(Path(path))
    chosen = _ranges(parts, dataset.n_episodes)
    wrong = [name for name in chosen if not name or name in (".", "..") or "/" in name]
    empty = [name for name, episodes in chosen.items() if not len(episodes)]
    if wrong or empty or not chosen:
        raise DatasetError(
            f"{path} has {dataset.n_episodes} episodes; parts {wrong} are no names of folders, parts {empty} would be empty. "
            "Name parts as in train=0.8 or val=40:50"
        )
    require_splits(chosen, dataset.n_episodes)
    folder = storage.room_for(target)
    try:
        for name, episodes in chosen.items():
            _write(dataset, folder / name, [(dataset, i) for i in episodes], {"train": range(len(episodes))})
        storage.publish(target)
    finally:
        storage.discard(target)
    return {name: Dataset.open(target / name) for name in chosen}


def merge(sources: Sequence[str | os.PathLike[str]], destination: str | os.PathLike[str]) -> Dataset:
    """Write the episodes of several datasets into a new one; the sources stay as they are.

    Splits are kept: episodes are ordered by split, then by source, so what was held out stays held out.

    Args:
        sources: Folders of datasets of one robot, with the same features, units and fps; units may be unknown in all of them.
        destination: A folder that is absent or empty.

    Returns:
        The new dataset.

    Raises:
        DatasetError: A source is named twice or is not sound, robots differ, units are known in some sources only, or the
            destination is taken or lies in a dataset.
        SpecMismatchError: Features, units or fps differ; lists the differences.
    """
    target = Path(destination)
    _require_place(target, "merge")
    if not sources:
        raise DatasetError("merge needs at least one dataset; name their folders")
    folders = [Path(source).resolve() for source in sources]
    if twice := sorted({str(source) for source, folder in zip(sources, folders, strict=True) if folders.count(folder) > 1}):
        raise DatasetError(f"merge would write the episodes of {' and '.join(twice)} twice. Name each dataset once")
    parts = [_open_finished(Path(source)) for source in sources]
    first = parts[0]
    for part in parts:
        _require_alike(first, part)
    names = list(dict.fromkeys(name for part in parts for name in part.splits))
    chosen: list[tuple[Dataset, int]] = []
    splits = {}
    for name in names:
        start = len(chosen)
        chosen += [(part, i) for part in parts for i in part.splits.get(name, ())]
        splits[name] = range(start, len(chosen))
    chosen += [
        (part, i) for part in parts for i in range(part.n_episodes) if all(i not in split for split in part.splits.values())
    ]
    _write(first, target, chosen, splits)
    return Dataset.open(target)


def set_splits(path: str | os.PathLike[str], splits: Mapping[str, range]) -> Dataset:
    """Say anew which consecutive episodes belong to which split.

    Raises:
        DatasetError: A split leaves the dataset, or two overlap; nothing was changed.
    """
    dataset = _open_finished(Path(path))
    require_splits(splits, dataset.n_episodes)
    info = {**dataset.info, "splits": writer.encode_splits(splits)}
    storage.write_file(Path(path) / layout.INFO_PATH, writer.encode_json(info))
    return Dataset.open(path)


def recompute_statistics(path: str | os.PathLike[str]) -> Dataset:
    """Write meta/stats.json again from the rows and the pictures, and those of the cameras in meta/episodes with it.

    All pictures are decoded, which takes minutes for hours of video. Statistics of what is not loaded stay as they are, and so
    do those of a camera whose videos are missing.

    Raises:
        DatasetError: Something else than the statistics is wrong, or a picture cannot be decoded.
    """
    root = Path(path)
    storage.recover(root)
    found = checks.check(root, with_statistics=False)
    dataset = reader.from_contents(root, found)
    _require_finished(root, dataset)
    kept = {key: stats for key, stats in (found.statistics or {}).items() if key not in found.columns}
    whole = {key: statistics.summarise(values) for key, values in found.columns.items()}
    starts = dataset.episode_starts.tolist()
    for key, seen in dataset.pictures.items():
        if key in dataset.videos and not all(one.path.is_file() for one in dataset.videos[key]):
            logger.warning("%s: videos of %s are missing; its statistics are kept as they are", path, key)
            continue
        parts = [pictures.summarise(seen, first, end) for first, end in itertools.pairwise(starts)]
        whole[key] = statistics.merge(parts)
        _describe_episodes(root, key, parts)
    fresh = statistics.to_json(whole)
    storage.write_file(root / layout.STATS_PATH, writer.encode_json({**kept, **fresh}))
    return Dataset.open(path)


def _describe_episodes(root: Path, key: str, parts: Sequence[statistics.Statistics]) -> None:
    """Write the statistics of a camera in each episode into the columns of meta/episodes that hold them."""

    def changed(table: pa.Table) -> dict[str, list[object]]:
        rows = [statistics.to_json({key: parts[i]})[key] for i in table["episode_index"].to_pylist()]
        named = {f"stats/{key}/{name}": [row[name] for row in rows] for name in statistics.NAMES}
        return {name: values for name, values in named.items() if name in table.column_names}

    for path in sorted((root / "meta" / "episodes").glob("*/*.parquet")):
        storage.write_file(path, tables.replace_columns(path, changed))


def _require_place(target: Path, what: str) -> None:
    """Refuse a place for a new dataset where something is, or inside another dataset."""
    storage.require_void(target, what)
    for above in target.resolve().parents:
        if (above / layout.INFO_PATH).is_file():
            raise DatasetError(f"{target} lies inside the dataset {above}; {what} writes a new one. Choose a folder beside it")


def _ranges(parts: Mapping[str, float | range], n_episodes: int) -> dict[str, range]:
    """Return the episodes of each part; where shares end is rounded, so that none is lost between two parts."""
    found, share = {}, 0.0
    for name, part in parts.items():
        if isinstance(part, range):
            found[name] = part
        else:
            found[name] = range(round(share * n_episodes), round((share + part) * n_episodes))
            share += part
    return found


def _require_alike(first: Dataset, part: Dataset) -> None:
    unknown = [dataset for dataset in (first, part) if dataset.unknown_units]
    if len(unknown) == 1:
        unsaid, said = unknown[0], part if unknown[0] is first else first
        say = f"soarm dataset convert {unsaid.path} NEW_FOLDER --units degrees"
        raise DatasetError(
            f"the units of {' and '.join(unsaid.unknown_units)} are unknown in {unsaid.path}, and known in {said.path}: "
            f"in one dataset nobody could tell them apart. {how_to_say(unsaid.path, say, unsaid.looks_normalised)}"
        )
    remedy = "Merge datasets of one robot, task and rate only."
    require_same(
        first.spec, part.spec, expected_name=str(first.path), found_name=str(part.path), ignore=["dataset_hash"], remedy=remedy
    )
    codecs = [{key: _codec(dataset, key) for key in dataset.cameras} for dataset in (first, part)]
    if codecs[0] != codecs[1]:
        raise DatasetError(
            f"the cameras are {codecs[0]} in {first.path}, and {codecs[1]} in {part.path}; a camera has one codec in a "
            "dataset, and nothing is encoded anew here: LeRobot's tools do it"
        )
    if not layout.same_robot(part.robot_type, first.robot_type):
        raise DatasetError(
            f"{part.path} is of robot_type {part.robot_type!r}, {first.path} of {first.robot_type!r}; "
            "merge datasets of one robot only."
        )
    if unknown and bool(first.looks_normalised) != bool(part.looks_normalised):
        logger.warning(
            "%s and %s: units are unknown in both, and the values of one look like -100..100", first.path, part.path
        )


def _codec(dataset: Dataset, key: str) -> str:
    described = dataset.info["features"][key]
    return str((described.get("info") or {}).get("video.codec", described["dtype"]))


def _open_finished(path: Path) -> Dataset:
    storage.recover(path)
    dataset = Dataset.open(path)
    _require_finished(path, dataset)
    return dataset


def _require_finished(path: Path, dataset: Dataset) -> None:
    if dataset.is_recording:
        raise DatasetError(
            f"{path} is being recorded, or its recording was cut off. "
            f"Finish it first: `soarm control --dataset {path}`, and q there."
        )


def _write(like: Dataset, path: Path, chosen: Sequence[tuple[Dataset, int]], splits: Mapping[str, range]) -> None:
    spec = PolicySpec(features=dict(like.features), control_hz=like.fps)
    for dataset in dict.fromkeys(dataset for dataset, _ in chosen):
        require_videos(dataset)
    kept = {name: split for name, split in splits.items() if len(split)}
    writer.replace_dataset(path, like.info, spec, [dataset.episode(i) for dataset, i in chosen], kept)
