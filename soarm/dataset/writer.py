"""From episodes to the files of a LeRobot v3.0 dataset: the one place that lays them out.

Recording, appending, deleting and merging all end here, so equal episodes give equal bytes whatever their history was. Videos
are joined packet by packet and never encoded anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from soarm.dataset import layout, pictures, remux, statistics, storage, tables, video
from soarm.dataset.episode import StoredEpisode
from soarm.dataset.pictures import VideoPictures
from soarm.dataset.remux import Clip
from soarm.dataset.statistics import Statistics
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
            storage.copy_others(root, folder, except_for=("data", "videos", "meta", layout.RECORDING))
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
    places = _write_frames(root, info, rows, episodes)
    filmed, features = _write_videos(root, info, episodes)
    described = [_statistics(columns, episode, info) for columns, episode in zip(rows, episodes, strict=True)]
    zeros = [0] * len(episodes)
    table = tables.episodes(
        {
            "episode_index": list(range(len(episodes))),
            "length": lengths.tolist(),
            "data/chunk_index": [place // info["chunks_size"] for place in places],
            "data/file_index": [place % info["chunks_size"] for place in places],
            **filmed,
            "dataset_from_index": starts[:-1].tolist(),
            "dataset_to_index": starts[1:].tolist(),
            "meta/episodes/chunk_index": zeros,
            "meta/episodes/file_index": zeros,
        },
        [_used_tasks(episode) for episode in episodes],
        described,
    )
    whole = {key: statistics.summarise(np.concatenate([columns[key] for columns in rows])) for key in rows[0]}
    whole |= {key: statistics.merge([one[key] for one in described]) for key in described[0] if key not in whole}
    counts = {"total_episodes": len(episodes), "total_frames": int(starts[-1]), "total_tasks": len(texts)}
    paths = {"data_path": layout.DATA_PATH, "video_path": layout.VIDEO_PATH if filmed else None}
    storage.write_file(root / layout.TASKS_PATH, tables.to_bytes(tables.tasks(texts)))
    storage.write_file(layout.nth_file(layout.EPISODES_PATH, root, 0, info["chunks_size"]), tables.to_bytes(table))
    storage.write_file(root / layout.STATS_PATH, encode_json(statistics.to_json(whole)))
    kept = {key: value for key, value in info.items() if key != layout.OLD_KEY}
    new = {**kept, **counts, **paths, "splits": encode_splits(splits), "features": features}
    storage.write_file(root / layout.INFO_PATH, encode_json(new))


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


def _statistics(
    columns: Mapping[str, NDArray[np.generic]], episode: StoredEpisode, info: Mapping[str, Any]
) -> dict[str, Statistics]:
    """Return the statistics of an episode; its pictures are decoded where nobody has described them yet."""
    found = {key: statistics.summarise(values) for key, values in columns.items()}
    if episode.cells is not None:
        found |= {key: stats for key, stats in episode.cells.statistics.items() if key not in found}
    starts = np.array([0, len(episode)])
    for key, one in episode.videos.items():
        shape = layout.image_of(info["features"][key]).shape
        seen = VideoPictures([one], starts, info["fps"], shape)
        found[key] = one.statistics or pictures.summarise(seen, 0, len(episode))
    return found


def _write_videos(
    root: Path, info: Mapping[str, Any], episodes: Sequence[StoredEpisode]
) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Join the videos of each camera; return their columns of the table of episodes, and the features as they are now."""
    columns: dict[str, list[float]] = {}
    features = dict(info["features"])
    fps, chunk = info["fps"], info["chunks_size"]
    limit_mb = info.get("video_files_size_in_mb", layout.VIDEO_FILE_MB)
    for key in episodes[0].videos:
        template = layout.VIDEO_PATH.replace("{video_key}", key)
        clips = [Clip(one.videos[key].path, one.videos[key].first, len(one)) for one in episodes]
        places = remux.join(clips, fps, limit_mb, lambda n, at=template: layout.nth_file(at, root, n, chunk))  # type: ignore[misc]
        columns |= {
            f"videos/{key}/chunk_index": [place.file // chunk for place in places],
            f"videos/{key}/file_index": [place.file % chunk for place in places],
            f"videos/{key}/from_timestamp": [place.first / fps for place in places],
            f"videos/{key}/to_timestamp": [
                (place.first + clip.length) / fps for place, clip in zip(places, clips, strict=True)
            ],
        }
        said = features[key].get("info") or {}
        depth = {} if "is_depth_map" in said else {"video.is_depth_map": False}
        found = video.describe(layout.nth_file(template, root, 0, chunk))
        features[key] = {**features[key], "info": {**said, **depth, **found}}
    return columns, features


def _write_frames(
    root: Path,
    info: Mapping[str, Any],
    rows: Sequence[Mapping[str, NDArray[np.generic]]],
    episodes: Sequence[StoredEpisode],
) -> list[int]:
    """Write the data files, one row group per episode, and return the running file number of each episode."""
    limit = info["data_files_size_in_mb"] * 1e6
    places: list[int] = []
    size = 0.0
    for columns, episode in zip(rows, episodes, strict=True):
        n_bytes = sum(values.nbytes for values in columns.values())
        n_bytes += 0 if (copied := _copied(episode)) is None else copied.nbytes
        is_full = bool(places) and size + n_bytes >= limit
        places.append(0 if not places else places[-1] + is_full)
        size = n_bytes if is_full else size + n_bytes
    for number in sorted(set(places)):
        path = layout.nth_file(layout.DATA_PATH, root, number, info["chunks_size"])
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen = [i for i, place in enumerate(places) if place == number]
        with open(path, "wb") as stream:
            tables.write(stream, [tables.frames(rows[i], _copied(episodes[i])) for i in chosen])
            stream.flush()
            os.fsync(stream.fileno())
    return places


def _copied(episode: StoredEpisode) -> pa.Table | None:
    """Read the columns of an episode that are copied as they are."""
    cells = episode.cells
    return None if cells is None else tables.rows(cells.path, cells.first, len(episode), cells.keys)
