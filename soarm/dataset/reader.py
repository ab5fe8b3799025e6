"""A dataset in memory: columns of numpy, ready for training. Opens what soarm or LeRobot recorded, finished or cut off."""

from __future__ import annotations

import dataclasses
import functools
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.dataset import checks, statistics
from soarm.dataset.contents import Contents
from soarm.dataset.episode import StoredEpisode
from soarm.errors import DatasetError
from soarm.spec import Feature, PolicySpec, content_hash

logger = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A sound dataset of N frames in E episodes.

    Attributes:
        path: Its folder.
        columns: Feature key -> (N, D) float32, in the feature's units. Row i holds what was seen *before* action i.
        episode_starts: Offsets of the episodes in the rows, shape (E + 1,) int64; the last is N.
        features: Feature key -> what its elements are; vectors of floats only, observations and action.
        fps: Frames per second.
        robot_type: LeRobot's name of the robot, or None.
        tasks: Texts of the tasks.
        task_index: Which of `tasks` each row belongs to, shape (N,) int64.
        splits: Name -> its episodes.
        not_loaded: Features that are on disk but not here, key -> dtype: cameras, text, flags.
        info: info.json as it is on disk.
        is_recording: A recording was started here and not finalized.
        n_unfinished: How many of the episodes, at the end, belong to a recording that was not finalized.
    """

    path: Path
    columns: Mapping[str, NDArray[np.float32]]
    episode_starts: NDArray[np.int64]
    features: Mapping[str, Feature]
    fps: int
    robot_type: str | None
    tasks: tuple[str, ...]
    task_index: NDArray[np.int64]
    splits: Mapping[str, range]
    not_loaded: Mapping[str, str]
    info: Mapping[str, Any]
    is_recording: bool
    n_unfinished: int

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Read and verify a dataset.

        A recording that was killed opens with every episode that was finished.

        Raises:
            DatasetError: It is missing, has no episodes, or is not sound; lists every fault.
        """
        dataset = from_contents(Path(path), checks.check(Path(path)))
        if dataset.n_unfinished:
            logger.warning("%s: %d episodes are of a recording that was not finalized", path, dataset.n_unfinished)
        return dataset

    @property
    def n_frames(self) -> int:
        """Number of frames, N."""
        return int(self.episode_starts[-1])

    @property
    def n_episodes(self) -> int:
        """Number of episodes, E."""
        return len(self.episode_starts) - 1

    @property
    def cameras(self) -> tuple[str, ...]:
        """Feature keys of the cameras on disk; their frames are not loaded."""
        return tuple(key for key, dtype in self.not_loaded.items() if dtype in ("video", "image"))

    @functools.cached_property
    def hash(self) -> str:
        """Hash of the content: features, units, rates, tasks, splits and every value; not of how the files are cut."""
        described = {
            "features": {key: dataclasses.asdict(feature) for key, feature in self.features.items()},
            "fps": self.fps,
            "robot_type": self.robot_type,
            "tasks": self.tasks,
            "splits": {name: [split.start, split.stop] for name, split in self.splits.items()},
            "columns": {key: content_hash(np.ascontiguousarray(values).tobytes()) for key, values in self.columns.items()},
            "rows": [content_hash(self.episode_starts.tobytes()), content_hash(self.task_index.tobytes())],
        }
        return content_hash(json.dumps(described))

    @functools.cached_property
    def stats(self) -> dict[str, statistics.Statistics]:
        """Exact statistics of each loaded feature over all rows, whoever wrote stats.json; see `statistics.summarise`."""
        return {key: statistics.summarise(values) for key, values in self.columns.items()}

    @functools.cached_property
    def spec(self) -> PolicySpec:
        """What a policy trained on this dataset must agree with."""
        return PolicySpec(features=dict(self.features), control_hz=self.fps, dataset_hash=self.hash)

    def episode(self, i: int) -> StoredEpisode:
        """Return episode `i` (views of the columns, no copies).

        Raises:
            DatasetError: There is no such episode.
        """
        if not 0 <= i < self.n_episodes:
            raise DatasetError(f"{self.path}: there is no episode {i}; the dataset has the episodes 0..{self.n_episodes - 1}")
        rows = slice(int(self.episode_starts[i]), int(self.episode_starts[i + 1]))
        return StoredEpisode({key: values[rows] for key, values in self.columns.items()}, self.tasks, self.task_index[rows])

    def task(self, i: int) -> str:
        """Return the text of the task that episode `i` starts with."""
        return self.tasks[int(self.episode(i).task_index[0])]


def from_contents(path: Path, found: Contents) -> Dataset:
    """Make a dataset of what `checks.check` accepted.

    Raises:
        DatasetError: It holds no episode.
    """
    unfinished = found.unfinished
    tasks = tuple(dict.fromkeys([*(found.tasks or ()), *(text for episode in unfinished for text in episode.tasks)]))
    lengths = [*(found.episodes["length"].tolist() if found.episodes else ()), *(len(episode) for episode in unfinished)]
    if not lengths:
        raise DatasetError(
            f"{path} holds no finished episode. Record one (Recorder.resume continues there), or remove the folder."
        )
    columns = {}
    for key in found.features:
        parts = [episode.values[key] for episode in unfinished]
        columns[key] = np.concatenate([found.columns[key], *parts] if key in found.columns else parts)
    task_rows = [np.array([tasks.index(text) for text in episode.tasks])[episode.task_index] for episode in unfinished]
    if found.columns:
        task_rows.insert(0, found.columns["task_index"])
    return Dataset(
        path=path,
        columns=columns,
        episode_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        features=_features(path, found),
        fps=found.info["fps"],
        robot_type=found.info.get("robot_type"),
        tasks=tasks,
        task_index=np.concatenate(task_rows).astype(np.int64),
        splits=_splits(found, len(lengths)),
        not_loaded=found.not_loaded,
        info=found.info,
        is_recording=found.is_recording,
        n_unfinished=len(unfinished),
    )


def _features(path: Path, found: Contents) -> dict[str, Feature]:
    """Return the features with the units that were recorded, if they were."""
    if found.spec is not None:
        return {key: found.spec.features[key] for key in found.features}
    logger.warning(
        "%s records no units (LeRobot does not): joints are taken as degrees and percent; "
        "recordings with use_degrees=false, LeRobot's default before 2026, are in -100..100 and do not fit",
        path,
    )
    return found.features


def _splits(found: Contents, n_episodes: int) -> dict[str, range]:
    finalized = n_episodes - len(found.unfinished)
    splits = checks.parse_splits(found.info.get("splits", {}), finalized) if found.is_finalized else {}
    return grown(splits, finalized, n_episodes)


def grown(splits: Mapping[str, range], before: int, after: int) -> dict[str, range]:
    """Return `splits` after episodes were appended: a single split that held all `before` holds all `after`."""
    if not splits:
        return {"train": range(after)}
    if list(splits.values()) == [range(before)]:
        return {next(iter(splits)): range(after)}
    return dict(splits)
