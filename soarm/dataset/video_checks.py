"""Whether the pictures of a dataset's cameras are all there and, where it is asked for, whether every one can be decoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from soarm.dataset import cameras, layout, video
from soarm.dataset.contents import Contents
from soarm.dataset.episode import EpisodeVideo
from soarm.errors import DatasetError


def faults(found: Contents, *, decode: bool = True) -> list[str]:
    """Return a line for every video that is missing, short, damaged, or not what info.json says.

    Args:
        found: What `soarm.dataset.checks.examine` read.
        decode: Decode every picture, which takes minutes for hours of video; otherwise frames are counted.
    """
    if found.episodes is None or type(found.info.get("fps")) is not int or found.info["fps"] <= 0:
        return []
    lines = cameras.missing_videos(found)
    for key in filter(lambda key: cameras.is_video(found, key), cameras.keys(found)):
        try:
            videos = cameras.episode_videos(found, key)
        except DatasetError:  # it is among the missing
            continue
        lengths = found.episodes["length"].tolist()
        for path in dict.fromkeys(one.path for one in videos):
            if path.is_file():
                inside = [(i, one, n) for i, (one, n) in enumerate(zip(videos, lengths, strict=False)) if one.path == path]
                lines += [f"{path.relative_to(found.root)}: {fault}" for fault in _of_file(found, key, path, inside, decode)]
    return lines


def _of_file(
    found: Contents, key: str, path: Path, episodes: list[tuple[int, EpisodeVideo, int]], decode: bool
) -> Iterator[str]:
    described, shape, fps = found.info["features"][key], found.features[key].shape, found.info["fps"]
    said = described.get("info") or {}
    try:
        is_so = video.describe(path)
        for name in ("video.codec", "video.pix_fmt", "video.fps"):
            if name in said and said[name] != is_so[name]:
                yield f"{name} is {is_so[name]!r}; {layout.INFO_PATH} says {said[name]!r}, as after an edit of LeRobot's"
        if (is_so["video.height"], is_so["video.width"]) != shape[:2]:
            yield f"its pictures are {is_so['video.width']} x {is_so['video.height']}; {key} has {shape[1]} x {shape[0]}"
        reader = video.VideoReader(path, fps)
    except DatasetError as error:
        yield str(error)
        return
    there = set(reader.numbers.tolist())
    for episode, one, length in episodes:
        lacking = [number for number in range(one.first, one.first + length) if number not in there]
        if lacking:
            yield f"it lacks {len(lacking)} of the {length} frames of episode {episode}, first frame {lacking[0] - one.first}"
            continue
        try:
            for _ in reader.read(range(one.first, one.first + length) if decode else ()):
                pass
        except DatasetError as error:
            yield f"episode {episode}: {error}"
    reader.close()
