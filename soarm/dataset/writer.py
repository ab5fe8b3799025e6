"""From episodes in memory to the files of a LeRobot v3.0 dataset: the one place that lays them out.

Recording, appending, deleting and merging all end here, so equal episodes give equal bytes whatever their history was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.dataset import layout, statistics, storage, tables
from soarm.dataset.episode import StoredEpisode
from soarm.spec import PolicySpec

Splits = Mapping[str, range]


_OURS = ("info.json", "stats.json", "tasks.parquet", "episodes", "soarm.json")
"""What this module writes below meta/."""


def replace_dataset(
    root: Path, info: Mapping[str, Any], spec: PolicySpec, episodes: Sequence[StoredEpisode], splits: Splits
) -> None:
    """Build the dataset beside `root` and swap it in when it is complete.

    Args:
        root: Where the dataset shall be; files that are not ours (a README) are taken along.
        info: info.json; counts, paths and splits are filled in here.
        spec: The specification, with the units.
        episodes: All episodes, in order, at least one.
        splits: Name -> consecutive episodes.

    Raises:
        DatasetError: The disk is full or not writable; `root` is as it was.
    """
    folder = storage.room_for(root)
    try:
        with storage.writing(root):
            storage.copy_others(root, folder, except_for=("data", "meta", layout.RECORDING))
            (folder / "meta").mkdir()
            storage.copy_others(root / "meta", folder / "meta", except_for=_OURS)
            _write(folder, info, episodes, splits)
            storage.write_file(folder / layout.SPEC_PATH, encode_json(spec.to_dict()))
        storage.publish(root)
    finally:
        storage.discard(root)


def encode_json(data: Mapping[str, Any]) -> bytes:
    """Return `data` as LeRobot writes its JSON files."""
    return json.dumps(data, indent=4, ensure_ascii=False).encode()


def encode_splits(splits: Splits) -> dict[str, str]:
    """Return splits as info.json holds them: "first:end"."""
    return {name: f"{episodes.start}:{episodes.stop}" for name, episodes in splits.items()}


def _write(root: Path, info: Mapping[str, Any], episodes: Sequence[StoredEpisode], splits: Splits) -> None:
    texts = list(dict.fromkeys(text for episode in episodes for text in _used_tasks(episode)))
    lengths = np.array([len(episode) for episode in episodes])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    rows = [_rows(episode, i, int(starts[i]), texts, info["fps"]) for i, episode in enumerate(episodes)]
    places = _write_frames(root, info, rows)
    per_episode = [{key: statistics.summarise(values) for key, values in columns.items()} for columns in rows]
    zeros = [0] * len(episodes)
    table = tables.episodes(
        {
            "episode_index": list(range(len(episodes))),
            "length": lengths.tolist(),
            "data/chunk_index": [place // info["chunks_size"] for place in places],
            "data/file_index": [place % info["chunks_size"] for place in places],
            "dataset_from_index": starts[:-1].tolist(),
            "dataset_to_index": starts[1:].tolist(),
            "meta/episodes/chunk_index": zeros,
            "meta/episodes/file_index": zeros,
        },
        [_used_tasks(episode) for episode in episodes],
        per_episode,
    )
    whole = {key: statistics.summarise(np.concatenate([columns[key] for columns in rows])) for key in rows[0]}
    counts = {"total_episodes": len(episodes), "total_frames": int(starts[-1]), "total_tasks": len(texts)}
    paths = {"data_path": layout.DATA_PATH, "video_path": None, "splits": encode_splits(splits)}
    storage.write_file(root / layout.TASKS_PATH, tables.to_bytes(tables.tasks(texts)))
    storage.write_file(layout.nth_file(layout.EPISODES_PATH, root, 0, info["chunks_size"]), tables.to_bytes(table))
    storage.write_file(root / layout.STATS_PATH, encode_json(statistics.to_json(whole)))
    described = {key: value for key, value in info.items() if key != layout.OLD_KEY}
    storage.write_file(root / layout.INFO_PATH, encode_json({**described, **counts, **paths}))


def _used_tasks(episode: StoredEpisode) -> list[str]:
    return [episode.tasks[i] for i in dict.fromkeys(episode.task_index.tolist())]


def _rows(episode: StoredEpisode, number: int, start: int, texts: Sequence[str], fps: int) -> dict[str, NDArray[np.generic]]:
    """Return the columns of an episode: its features and LeRobot's defaults."""
    n_frames = len(episode)
    frame_index = np.arange(n_frames)
    to_global = np.array([texts.index(text) if text in texts else -1 for text in episode.tasks])
    return {
        **episode.values,
        "timestamp": (frame_index / fps).astype(np.float32),
        "frame_index": frame_index,
        "episode_index": np.full(n_frames, number),
        "index": start + frame_index,
        "task_index": to_global[episode.task_index],
    }


def _write_frames(root: Path, info: Mapping[str, Any], rows: Sequence[Mapping[str, NDArray[np.generic]]]) -> list[int]:
    """Write the data files, one row group per episode, and return the running file number of each episode."""
    limit = info["data_files_size_in_mb"] * 1e6
    places: list[int] = []
    size = 0.0
    for columns in rows:
        n_bytes = sum(values.nbytes for values in columns.values())
        is_full = bool(places) and size + n_bytes >= limit
        places.append(0 if not places else places[-1] + is_full)
        size = n_bytes if is_full else size + n_bytes
    for number in sorted(set(places)):
        path = layout.nth_file(layout.DATA_PATH, root, number, info["chunks_size"])
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen = [tables.frames(columns) for columns, place in zip(rows, places, strict=True) if place == number]
        with open(path, "wb") as stream:
            tables.write(stream, chosen)
            stream.flush()
            os.fsync(stream.fileno())
    return places
