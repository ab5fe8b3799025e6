"""The folder `recording/` of a dataset that is being recorded: one complete parquet file per finished episode.

::

    recording/recording.json            the dataset's info.json without counts, its specification, and the session's task
    recording/episode-000012.parquet    features, task_index, and the task texts in the schema's metadata
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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from soarm.dataset import layout, storage, tables
from soarm.dataset.episode import StoredEpisode
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
    table = table.replace_schema_metadata({"tasks": json.dumps(episode.tasks)})
    storage.write_file(path, tables.to_bytes(table))


def episode_files(root: Path) -> dict[int, Path]:
    """Return the files of finished episodes: number -> path, in order."""
    found = ((_EPISODE.fullmatch(path.name), path) for path in (root / layout.RECORDING).glob("*.parquet"))
    return dict(sorted((int(match[1]), path) for match, path in found if match))


def read_episode(path: Path, features: Mapping[str, Feature]) -> StoredEpisode:
    """Read one finished episode.

    Raises:
        OSError: The file cannot be opened.
        ValueError: It is truncated or does not fit `features`.
    """
    table = tables.read(path, [*features, "task_index"])
    values = {key: tables.to_numpy(table[key], *f.shape).astype(np.float32, copy=False) for key, f in features.items()}
    texts = tuple(parse_json(table.schema.metadata.get(b"tasks", b""), kind=list)) if table.schema.metadata else ("",)
    return StoredEpisode(values, texts, tables.to_numpy(table["task_index"], 1)[:, 0].astype(np.int64))


def repair(root: Path) -> None:
    """Drop what a kill left unfinished: partial files, and a last episode that cannot be read."""
    for path in (root / layout.RECORDING).glob(f"*{PARTIAL}"):
        logger.warning("%s was not finished when the recording stopped; dropped", path)
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
    files = list(episode_files(root).values())
    if files:
        try:
            read_episode(files[-1], header(root).spec.features)
        except ValueError as error:
            aside = files[-1].with_name(files[-1].name + ".damaged")
            logger.warning("%s cannot be read (%s); put aside as %s", files[-1], error, aside.name)
            files[-1].replace(aside)
