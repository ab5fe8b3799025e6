"""What can be read of a dataset, sound or not. A damaged one is looked at as far as its files allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.dataset import cameras, checks, layout, quality, reader, storage
from soarm.dataset.contents import Contents
from soarm.errors import DatasetError, SmallFileError
from soarm.smallfile import DATASET_BYTES, load_json
from soarm.spec import Feature


@dataclasses.dataclass(frozen=True)
class Inspection:
    """What was read of a dataset.

    Attributes:
        path: Its folder, as the reader named it.
        info: Its info.json.
        found: What the checks read; None where they could not begin.
        features: Feature key -> what its elements are: vectors of floats.
        columns: Feature key -> (N, D) float32; empty where rows and table of episodes do not belong together.
        starts: Offsets of the episodes in the rows, shape (E + 1,).
        tasks: Per episode: the text of its first task, empty where it is unknown.
        faults: What is wrong with the files, a line each.
        warnings: What looks wrong in the motion, a line each.
    """

    path: Path
    info: Mapping[str, Any]
    found: Contents | None
    features: Mapping[str, Feature]
    columns: Mapping[str, NDArray[np.float32]]
    starts: NDArray[np.int64]
    tasks: tuple[str, ...]
    faults: list[str]
    warnings: list[str]

    @property
    def n_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames per episode, shape (E,)."""
        return np.diff(self.starts)

    @property
    def rate(self) -> float | None:
        """Frames per second; None where info.json says none."""
        fps = self.info.get("fps")
        return float(fps) if isinstance(fps, int | float) and not isinstance(fps, bool) and fps > 0 else None

    @property
    def cameras(self) -> list[str]:
        """Feature keys of the cameras."""
        return [] if self.found is None else cameras.keys(self.found)

    def rows(self, episode: int) -> dict[str, NDArray[np.float32]]:
        """Return the rows of an episode, feature key -> (T, D)."""
        span = slice(int(self.starts[episode]), int(self.starts[episode + 1]))
        return {key: values[span] for key, values in self.columns.items()}


def inspect(path: Path) -> Inspection:
    """Read a dataset as far as it can be read.

    Raises:
        DatasetError: There is no dataset, not even an info.json.
    """
    try:
        found = checks.examine(path)
    except DatasetError as error:
        try:
            info = load_json(storage.location(path) / layout.INFO_PATH, most_bytes=DATASET_BYTES)
        except SmallFileError:
            raise error from None
        return Inspection(path, info, None, {}, {}, np.zeros(1, np.int64), (), [str(error)], [])
    faults = [*found.faults, *cameras.missing_videos(found)]
    if not found.faults:
        try:
            dataset = reader.from_contents(path, found)
        except DatasetError as error:  # it has no episode
            faults.append(str(error))
        else:
            texts = tuple(map(dataset.task, range(dataset.n_episodes)))
            looks = quality.findings(dataset)
            return Inspection(
                path, found.info, found, found.features, dataset.columns, dataset.episode_starts, texts, faults, looks
            )
    return _damaged(path, found, faults)


def _damaged(path: Path, found: Contents, faults: list[str]) -> Inspection:
    lengths = np.maximum(found.episodes["length"], 0) if found.episodes is not None else np.zeros(0, np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    columns = {key: values for key, values in found.columns.items() if key in found.features and len(values) == starts[-1]}
    index = found.columns.get("task_index", np.zeros(0, np.int64))
    texts = found.tasks or []
    firsts = [int(index[at]) if at < len(index) else -1 for at in starts[:-1]]
    only = texts[0] if len(texts) == 1 else ""
    tasks = tuple(texts[first] if 0 <= first < len(texts) else only for first in firsts)
    return Inspection(path, found.info, found, found.features, columns, starts, tasks, faults, [])
