"""Where the frames of a dataset's cameras are: videos, or encoded images in the rows. Decodes nothing.

LeRobot joins the videos of many episodes into one file; meta/episodes says which seconds of which file an episode has.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from soarm.dataset import layout, tables
from soarm.dataset.contents import Contents
from soarm.errors import DatasetError

VIDEO_PATH: Final = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"


class VideoSpan(NamedTuple):
    """The part of a video that belongs to one episode: file, relative to the dataset's folder, and its first second in it."""

    file: str
    from_s: float


def keys(found: Contents) -> list[str]:
    """Return the feature keys of the cameras."""
    return [key for key in found.not_loaded if layout.kind_of(found.info["features"][key]) == "image"]


def is_video(found: Contents, key: str) -> bool:
    """Whether a camera's frames are in videos; they are in the rows otherwise."""
    return found.not_loaded[key] == "video"


def video_spans(found: Contents, key: str) -> list[VideoSpan]:
    """Return where the video of each episode is.

    Raises:
        DatasetError: meta/episodes does not say so.
    """
    names = [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    template = found.info.get("video_path") or VIDEO_PATH
    spans = []
    for file in sorted((found.root / "meta" / "episodes").glob("*/*.parquet")):
        try:
            table = tables.read(file, names)
            columns = [tables.to_numpy(table[name], 1)[:, 0].tolist() for name in names]
            spans += [
                VideoSpan(template.format(video_key=key, chunk_index=int(chunk), file_index=int(number)), float(from_s))
                for chunk, number, from_s in zip(*columns, strict=True)
            ]
        except (OSError, ValueError, KeyError, IndexError, AttributeError) as error:
            raise DatasetError(f"{file.relative_to(found.root)} does not say where the videos of {key} are: {error}") from None
    return spans


def missing_videos(found: Contents) -> list[str]:
    """Return a line for every video that meta/episodes names and that is not there, or cannot be found."""
    faults = []
    for key in filter(lambda key: is_video(found, key), keys(found)):
        try:
            needed = sorted({span.file for span in video_spans(found, key)})
        except DatasetError as error:
            faults.append(str(error))
            continue
        faults += [f"{name} is missing: a video of {key}" for name in needed if not (found.root / name).is_file()]
    return faults


def images(found: Contents, key: str, episode: int, frames: Sequence[int]) -> Iterator[bytes]:
    """Yield encoded images of an episode from its rows; one row group is in memory at a time.

    Args:
        found: A dataset whose table of episodes can be read.
        key: A camera whose frames are images.
        episode: Its number.
        frames: Which frames of it, ascending.

    Raises:
        DatasetError: The rows cannot be read, or hold no images.
    """
    table = found.episodes
    assert table is not None
    chunk, number = int(table["data/chunk_index"][episode]), int(table["data/file_index"][episode])
    same = (table["data/chunk_index"] == chunk) & (table["data/file_index"] == number)
    first = int(table["length"][:episode][same[:episode]].sum())  # row of the file where the episode begins
    name = str(found.info.get("data_path", layout.DATA_PATH)).format(chunk_index=chunk, file_index=number)
    try:
        yield from _cells(found.root, found.root / name, key, [first + frame for frame in frames])
    except (OSError, ValueError, IndexError, KeyError, pa.ArrowException) as error:
        raise DatasetError(f"{name}: the images of {key} cannot be read: {error}") from None


def _cells(root: Path, path: Path, key: str, rows: Sequence[int]) -> Iterator[bytes]:
    with pq.ParquetFile(path) as file:
        sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        ends = np.cumsum(sizes)
        for group, wanted in itertools.groupby(rows, lambda row: int(np.searchsorted(ends, row, side="right"))):
            if group == len(sizes):
                raise ValueError(f"the file has {ends[-1] if sizes else 0} rows, too few")
            column = file.read_row_group(group, columns=[key], use_threads=False)[key]
            for row in wanted:
                cell = column[row - int(ends[group]) + sizes[group]].as_py()
                yield cell["bytes"] or (root / cell["path"]).read_bytes()
