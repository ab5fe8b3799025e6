"""The pictures of a dataset's cameras by rows, decoded when they are asked for; and a cache of bounded size before them.

A batch is decoded in the order of the files, whatever its own is: neighbouring rows by decoding on, others from the key frame
before them. FFmpeg decodes without Python's lock, so threads are as good as processes at decoding ahead (`fill`).
"""

from __future__ import annotations

import collections
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from soarm.dataset.cameras import image_bytes
from soarm.dataset.episode import EpisodeCells, EpisodeVideo
from soarm.dataset.statistics import PixelCounts, Statistics
from soarm.dataset.video import VideoReader, decode_image, decoding
from soarm.errors import DatasetError

if TYPE_CHECKING:
    from soarm.base import Pictures

OPEN_FILES: Final = 8
"""Videos that are kept open at a time."""
_AT_ONCE: Final = 256
"""Rows that `fill` asks for at a time."""


class VideoPictures:
    """Pictures that are in videos; not for several threads at once.

    Args:
        videos: Where those of each episode are.
        episode_starts: First row of each episode, and the number of rows, shape (E + 1,).
        fps: Frames per second.
        shape: Of a picture, (H, W, 3).

    Attributes:
        shape: Of a picture, (H, W, 3).
    """

    def __init__(
        self, videos: Sequence[EpisodeVideo], episode_starts: NDArray[np.int64], fps: int, shape: tuple[int, ...]
    ) -> None:
        self.shape, self._fps, self._starts = _image_shape(shape), fps, episode_starts
        self._paths = list(dict.fromkeys(one.path for one in videos))
        self._files = np.array([self._paths.index(one.path) for one in videos], np.int64)
        self._firsts = np.array([one.first for one in videos], np.int64)
        self._readers: collections.OrderedDict[int, VideoReader] = collections.OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """Go to another process without open files."""
        return {**self.__dict__, "_readers": collections.OrderedDict()}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the pictures of rows of the dataset, in their order.

        Args:
            rows: Shape (B,), as in `Dataset.columns`.

        Returns:
            Shape (B, H, W, 3), uint8.

        Raises:
            DatasetError: A video is missing, too short, or cannot be decoded, or its pictures have another size.
            IndexError: A row is outside 0..N-1.
        """
        unique, inverse = np.unique(_within(rows, len(self)), return_inverse=True)
        episodes = np.searchsorted(self._starts, unique, side="right") - 1
        files, numbers = self._files[episodes], self._firsts[episodes] + unique - self._starts[episodes]
        found = np.empty((len(unique), *self.shape), np.uint8)
        for file in np.unique(files):
            places = np.flatnonzero(files == file)
            order = places[np.argsort(numbers[places], kind="stable")]
            try:
                for place, picture in zip(order, self._reader(int(file)).read(numbers[order].tolist()), strict=True):
                    if picture.shape != self.shape:
                        raise DatasetError(f"{self._paths[file]} has pictures of {picture.shape}; info.json says {self.shape}")
                    found[place] = picture
            except DatasetError as error:
                raise DatasetError(
                    f"{error}. Restore it from a copy; `soarm dataset verify FOLDER` lists everything that is damaged"
                ) from None
        return found if len(inverse) == len(unique) and (inverse[1:] > inverse[:-1]).all() else found[inverse]

    def _reader(self, file: int) -> VideoReader:
        if file not in self._readers:
            self._readers[file] = VideoReader(self._paths[file], self._fps)
            if len(self._readers) > OPEN_FILES:
                self._readers.popitem(last=False)[1].close()
        self._readers.move_to_end(file)
        return self._readers[file]


class ImagePictures:
    """Pictures that are encoded images in the rows; a row group is read for each run of neighbouring rows.

    Args:
        root: The dataset's folder.
        key: The camera.
        cells: Where the rows of each episode are.
        episode_starts: First row of each episode, and the number of rows, shape (E + 1,).
        shape: Of a picture, (H, W, 3).

    Attributes:
        shape: Of a picture, (H, W, 3).
    """

    def __init__(
        self, root: Path, key: str, cells: Sequence[EpisodeCells], episode_starts: NDArray[np.int64], shape: tuple[int, ...]
    ) -> None:
        self.shape = _image_shape(shape)
        self._root, self._key, self._cells, self._starts = root, key, cells, episode_starts

    def __len__(self) -> int:
        return int(self._starts[-1])

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return pictures as `VideoPictures.gather` does."""
        unique, inverse = np.unique(_within(rows, len(self)), return_inverse=True)
        found = np.empty((len(unique), *self.shape), np.uint8)
        episodes = np.searchsorted(self._starts, unique, side="right") - 1
        for episode in np.unique(episodes):
            places = np.flatnonzero(episodes == episode)
            frames = unique[places] - self._starts[episode]
            first, length = int(frames[0]), int(frames[-1] - frames[0]) + 1
            images = list(image_bytes(self._root, self._cells[episode], self._key, first, length))
            for place, frame in zip(places, frames, strict=True):
                with decoding(f"frame {frame} of {self._key} in episode {episode}"):
                    found[place] = decode_image(images[frame - first])
        return found[inverse]


class Cached:
    """Pictures that are decoded once; where there are more than fit, a row takes the place of another.

    Args:
        pictures: What decodes; not for several threads at once.
        most_bytes: Of memory, or of disk.
        folder: Where a file for the pictures is made, which goes away with this object; None keeps them in memory.

    Attributes:
        shape: Of a picture, (H, W, 3).
        decoded: Pictures that were not in the cache when they were asked for.
    """

    def __init__(self, pictures: Pictures, most_bytes: int, folder: Path | None = None) -> None:
        self._source, self.shape, self.decoded = pictures, pictures.shape, 0
        self._bounds = most_bytes, folder
        n = max(1, min(len(pictures), most_bytes // int(np.prod(pictures.shape))))
        self._rows = np.full(n, -1, np.int64)  # which row is in each place
        if folder is None:
            self._kept: NDArray[np.uint8] = np.empty((n, *self.shape), np.uint8)
        else:
            with tempfile.TemporaryFile(dir=folder) as file:  # without a name from the beginning
                file.truncate(n * int(np.prod(self.shape)))
                self._kept = np.memmap(file, np.uint8, "r+", shape=(n, *self.shape))

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process without what was decoded."""
        return Cached, (self._source, *self._bounds)

    def __len__(self) -> int:
        return len(self._source)

    def gather(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return pictures as `VideoPictures.gather` does; those that were decoded before come from the cache."""
        rows = _within(rows, len(self))
        places = rows % len(self._rows)
        missing = self._rows[places] != rows
        if not missing.any():
            return np.asarray(self._kept[places])
        fresh = self._source.gather(rows[missing])
        self.decoded += len(np.unique(rows[missing]))
        found = np.empty((len(rows), *self.shape), np.uint8)
        found[~missing], found[missing] = self._kept[places[~missing]], fresh
        self._kept[places], self._rows[places] = found, rows
        return found


def fill(caches: Sequence[Cached]) -> None:
    """Decode ahead as many pictures as fit into each cache, a thread per camera.

    Raises:
        DatasetError: As for `VideoPictures.gather`.
    """

    def one(cache: Cached) -> None:
        for rows in np.array_split(np.arange(len(cache._rows)), -(-len(cache._rows) // _AT_ONCE)):
            cache.gather(rows)

    with ThreadPoolExecutor(len(caches)) as pool:
        list(pool.map(one, caches))


def summarise(pictures: Pictures, first: int, end: int) -> Statistics:
    """Return the statistics of the pictures of rows first..end-1; all are decoded.

    Raises:
        DatasetError: As for `VideoPictures.gather`.
    """
    counts = PixelCounts()
    for start in range(first, end, _AT_ONCE):
        for picture in pictures.gather(np.arange(start, min(start + _AT_ONCE, end))):
            counts.add(picture)
    return counts.summarise()


def _image_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    height, width, channels = shape
    return height, width, channels


def _within(rows: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    rows = np.asarray(rows, np.int64)
    if len(rows) and not 0 <= rows.min() <= rows.max() < length:
        raise IndexError(f"rows {rows.min()}..{rows.max()} are asked for; there are 0..{length - 1}")
    return rows
