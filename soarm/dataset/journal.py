"""The folder `recording/` of a dataset that is being recorded: one complete parquet file per finished episode.

::

    recording/recording.json            the dataset's info.json without counts, its specification, and the session's task
    recording/episode-000012.parquet    vectors, task_index, and in the schema's metadata task texts and statistics of cameras
    recording/CAMERA/episode-000012.mp4 its pictures, there before the parquet file is
    recording/recording.lock            held by whoever records (`soarm.dataset.lock`)

A file gets its name only when it is complete and on the disk, so a kill at any instant costs the unfinished episode and
nothing else, and saving an episode costs the same however many there are. `soarm.dataset.writer` turns the journal into the
final files. Numbers continue those of the dataset that is appended to.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from soarm.dataset import layout, statistics, storage, tables, video
from soarm.dataset.episode import EpisodeVideo, StoredEpisode
from soarm.errors import DatasetError
from soarm.smallfile import DATASET_BYTES, PARTIAL, load_json, parse_json
from soarm.spec import Feature, PolicySpec

logger = logging.getLogger(__name__)

HEADER = "recording.json"
_EPISODE = re.compile(r"episode-(\d{6,})\.parquet")


@dataclasses.dataclass(frozen=True)
class Header:
    """What a recording session needs to go on.

    Attributes:
        info: info.json of the dataset, as `layout.new_info` makes it.
        spec: Its specification, with the units.
        task: Text of the task of episodes that name none.
    """

    info: dict[str, Any]
    spec: PolicySpec
    task: str


def start(root: Path, header: Header) -> None:
    """Make the journal of a new session under `root`."""
    folder = root / layout.RECORDING
    with storage.writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        storage.sync_folder(root)
    content = {"info": header.info, "spec": header.spec.to_dict(), "task": header.task}
    storage.write_file(folder / HEADER, (json.dumps(content, indent=4, ensure_ascii=False) + "\n").encode())


def exists(root: Path) -> bool:
    """Whether `root` holds a recording that was not finalized."""
    return (root / layout.RECORDING / HEADER).is_file()


def header(root: Path) -> Header:
    """Read the header.

    Raises:
        DatasetError: It is damaged.
    """
    path = root / layout.RECORDING / HEADER
    try:
        data = load_json(path, most_bytes=DATASET_BYTES)
        info = dict(data["info"])
        old = info.pop(layout.OLD_KEY, None)  # where it was before it had a key of its own
        return Header(info, PolicySpec.from_dict(data.get("spec", old)), data["task"])
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(
            f"{path} is damaged ({error!r}). The episodes beside it are whole: record one episode of the same features "
            f"elsewhere and copy its {HEADER} here, then go on with `soarm control --dataset {root}`."
        ) from None


def append(root: Path, number: int, episode: StoredEpisode) -> None:
    """Add a finished episode.

    Raises:
        DatasetError: The disk is full, or another recorder has taken this number or finished the recording.
    """
    if not exists(root):
        raise DatasetError(
            f"{root} was finished by another recorder meanwhile: its episodes are kept, and this one is not. "
            "Let one program at a time record there, and start again."
        )
    path = root / layout.RECORDING / f"episode-{number:06d}.parquet"
    if path.exists():
        raise DatasetError(
            f"{path} exists already: another recorder is writing to this dataset. "
            f"Stop one of them; `soarm control --dataset {root}` continues after the last episode."
        )
    table = tables.frames({**episode.values, "task_index": episode.task_index})
    metadata = {"tasks": json.dumps(episode.tasks)}
    if episode.videos:
        stats = {key: one.statistics for key, one in episode.videos.items() if one.statistics is not None}
        metadata["statistics"] = json.dumps(statistics.to_json(stats))
    table = table.replace_schema_metadata(metadata)
    storage.write_file(path, tables.to_bytes(table))


def episode_files(root: Path) -> dict[int, Path]:
    """Return the files of finished episodes: number -> path, in order."""
    found = ((_EPISODE.fullmatch(path.name), path) for path in (root / layout.RECORDING).glob("*.parquet"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def video_files(root: Path, number: int, cameras: Iterable[str]) -> dict[str, Path]:
    """Return the file of each camera in an episode, which may not be there yet."""
    return {key: root / layout.RECORDING / key / f"episode-{number:06d}.mp4" for key in cameras}


def read_episode(root: Path, number: int, features: Mapping[str, Feature]) -> StoredEpisode:
    """Read one finished episode.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is truncated or does not fit `features`, or a video is missing or does not have its frames.
    """
    vectors = {key: feature for key, feature in features.items() if feature.kind == "vector"}
    table = tables.read(root / layout.RECORDING / f"episode-{number:06d}.parquet", [*vectors, "task_index"])
    values = {key: tables.to_numpy(table[key], *f.shape).astype(np.float32, copy=False) for key, f in vectors.items()}
    said = table.schema.metadata or {b"tasks": b'[""]'}
    texts = tuple(parse_json(said.get(b"tasks", b""), kind=list))
    stats = parse_json(said.get(b"statistics", b"{}"))
    videos = {}
    for key, path in video_files(root, number, [key for key in features if key not in vectors]).items():
        try:
            length = video.n_frames(path)
        except DatasetError as error:
            raise ValueError(str(error)) from None
        if length != table.num_rows:
            raise ValueError(f"{path} has {length} frames, and the episode {table.num_rows} rows")
        videos[key] = EpisodeVideo(path, 0, statistics.from_json(stats[key]) if key in stats else None)
    return StoredEpisode(values, texts, tables.to_numpy(table["task_index"], 1)[:, 0].astype(np.int64), videos)


def repair(root: Path) -> None:
    """Drop what a kill left unfinished: partial files, videos without rows, and a last episode that cannot be read."""
    folder, files = root / layout.RECORDING, episode_files(root)
    finished = {path.stem for path in files.values()}
    left = [path for path in folder.glob("*/episode-*.mp4") if path.stem not in finished]
    for path in [*folder.rglob(f"*{PARTIAL}"), *left]:
        logger.warning("%s was not finished when the recording stopped; dropped", path)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    if files:
        number, path = next(reversed(files.items()))
        try:
            read_episode(root, number, header(root).spec.features)
        except ValueError as error:
            for part in [path, *folder.glob(f"*/{path.stem}.mp4")]:
                aside = part.with_name(part.name + ".damaged")
                logger.warning("%s cannot be read (%s); put aside as %s", part, error, aside.name)
                part.replace(aside)
