"""Where the frames of a dataset's cameras are: videos, or encoded images in the rows. Decodes nothing.

LeRobot joins the videos of many episodes into one file; meta/episodes says which seconds of which file an episode has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from soarm.dataset import layout, statistics, tables
from soarm.dataset.contents import Contents
from soarm.dataset.episode import EpisodeCells, EpisodeVideo
from soarm.errors import DatasetError
from soarm.spec import image_keys


class VideoSpan(NamedTuple):
    """The part of a video that belongs to one episode: file, relative to the dataset's folder, and its first second in it."""

    file: str
    from_s: float


def keys(found: Contents) -> list[str]:
    """Return the feature keys of the cameras."""
    return list(image_keys(found.features))


def is_video(found: Contents, key: str) -> bool:
    """Whether a camera's frames are in videos; they are in the rows otherwise."""
    return bool(found.info["features"][key]["dtype"] == layout.VIDEO)


def video_spans(found: Contents, key: str) -> list[VideoSpan]:
    """Return where the video of each episode is.

    Raises:
        DatasetError: meta/episodes does not say so.
    """
    names = [f"videos/{key}/{name}" for name in ("chunk_index", "file_index", "from_timestamp")]
    template = found.info.get("video_path") or layout.VIDEO_PATH
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


def episode_videos(found: Contents, key: str) -> list[EpisodeVideo]:
    """Return where the pictures of a camera are in each finished episode, with what meta/episodes says of their values.

    Raises:
        DatasetError: As for `video_spans`.
    """
    fps, described = found.info["fps"], _statistics(found, key)
    return [
        EpisodeVideo(found.root / span.file, round(span.from_s * fps), described[i] if described else None)
        for i, span in enumerate(video_spans(found, key))
    ]


def _statistics(found: Contents, key: str) -> list[statistics.Statistics] | None:
    """Return the statistics of a camera in each episode, or None where they are not all there."""
    rows = []
    for file in sorted((found.root / "meta" / "episodes").glob("*/*.parquet")):
        try:
            there = set(tables.column_names(file))
            names = [name for name in statistics.NAMES if f"stats/{key}/{name}" in there]
            table = tables.read(file, [f"stats/{key}/{name}" for name in names])
            columns = [table[f"stats/{key}/{name}"].to_pylist() for name in names]
            rows += [statistics.from_json(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]
        except (OSError, ValueError):
            return None
    return rows if found.episodes is not None and len(rows) == len(found.episodes["length"]) else None


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


def cells(found: Contents, keys: Sequence[str]) -> list[EpisodeCells]:
    """Return where columns of the rows are in each finished episode, with what meta/episodes says of their values."""
    table = found.episodes
    if table is None:
        return []
    template = str(found.info.get("data_path", layout.DATA_PATH))
    described = {key: stats for key in keys if (stats := _statistics(found, key)) is not None}
    ends: dict[Path, int] = {}
    made = []
    for i, length in enumerate(table["length"].tolist()):
        chunk, number = int(table["data/chunk_index"][i]), int(table["data/file_index"][i])
        path = found.root / template.format(chunk_index=chunk, file_index=number)
        first = ends.get(path, 0)
        ends[path] = first + length
        made.append(EpisodeCells(path, first, tuple(keys), {key: stats[i] for key, stats in described.items()}))
    return made


def image_bytes(root: Path, one: EpisodeCells, key: str, first: int, length: int) -> Iterator[bytes]:
    """Yield consecutive encoded images of an episode.

    Args:
        root: The dataset's folder.
        one: Where the episode's rows are.
        key: A camera whose pictures are images in the rows.
        first: Number of the first frame in the episode.
        length: How many.

    Raises:
        DatasetError: The rows cannot be read, or hold no images.
    """
    try:
        for cell in tables.rows(one.path, one.first + first, length, [key])[key].to_pylist():
            yield cell["bytes"] or (root / cell["path"]).read_bytes()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{one.path.relative_to(root)}: the images of {key} cannot be read: {error}") from None
