"""A dataset in memory: columns of numpy, ready for training, and the pictures of its cameras, decoded when they are asked for.

Opens what soarm or LeRobot recorded, finished or cut off.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from soarm.dataset import cameras as cameras_
from soarm.dataset import checks, layout, remux, statistics, tables
from soarm.dataset import units as units_
from soarm.dataset.contents import Contents
from soarm.dataset.episode import EpisodeCells, EpisodeVideo, StoredEpisode
from soarm.dataset.pictures import Cached, ImagePictures, VideoPictures
from soarm.errors import DatasetError
from soarm.spec import Feature, PolicySpec, content_hash, image_keys
from soarm.tasks.registry import task_of

if TYPE_CHECKING:
    from soarm.base import Pictures

logger = logging.getLogger(__name__)


CACHE_BYTES: Final = 2_000_000_000
"""Of decoded pictures, where nobody says otherwise."""


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A sound dataset of N frames in E episodes.

    Attributes:
        path: Its folder.
        columns: Feature key -> (N, D) float32, in the feature's units. Row i holds what was seen *before* action i.
        episode_starts: Offsets of the episodes in the rows, shape (E + 1,) int64; the last is N.
        features: Feature key -> what its elements are: the vectors in `columns`, and cameras.
        fps: Frames per second.
        robot_type: LeRobot's name of the robot, or None.
        tasks: Texts of the tasks.
        task_index: Which of `tasks` each row belongs to, shape (N,) int64.
        splits: Name -> its episodes.
        not_loaded: Features that are on disk but not here, key -> dtype: text, flags, depth.
        info: info.json as it is on disk.
        is_recording: A recording was started here and not finalized.
        n_unfinished: How many of the episodes, at the end, belong to a recording that was not finalized.
        videos: Camera whose pictures are in videos -> where they are in each episode.
        cells: Where in each episode the columns are that edits copy as they are; empty where there are none.
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
    videos: Mapping[str, Sequence[EpisodeVideo]] = dataclasses.field(default_factory=dict)
    cells: Sequence[EpisodeCells] = ()

    @classmethod
    def open(cls, path: str | os.PathLike[str], units: str | None = None) -> Dataset:
        """Read and verify a dataset.

        A recording that was killed opens with every episode that was finished.

        Args:
            path: Its folder.
            units: "degrees" declares the joints' units where the dataset does not say them; None leaves them as they are.

        Raises:
            DatasetError: It is missing, has no episodes, is not sound, or contradicts `units`; lists every fault.
        """
        found = checks.check(Path(path))
        dataset = from_contents(Path(path), found)
        for note in [*found.notes, *cameras_.missing_videos(found)]:
            logger.warning("%s: %s", path, note)
        if dataset.n_unfinished:
            logger.warning("%s: %d episodes are of a recording that was not finalized", path, dataset.n_unfinished)
        if units is not None:
            return dataset.with_units(units)
        if dataset.unknown_units:
            logger.warning(
                "%s: the units of %s are unknown, as LeRobot writes none", path, " and ".join(dataset.unknown_units)
            )
        return dataset

    def with_units(self, units: str) -> Dataset:
        """Return this dataset with the joints' units declared ("degrees"); values are the same.

        Raises:
            DatasetError: The dataset says other units, or `units` is not "degrees".
        """
        declared = dataclasses.replace(self, features=units_.declare(self.features, units, str(self.path)))
        if self.unknown_units and self.looks_normalised:
            logger.warning(
                "%s is declared to be in degrees, but its values end at -100 or 100 in %s: they look like -100..100",
                self.path,
                ", ".join(self.looks_normalised),
            )
        return declared

    def require_units(self, say: str) -> None:
        """Refuse a dataset whose joint units nobody has said.

        Args:
            say: What declares degrees where the reader is ("--replay-units degrees"), for the message.

        Raises:
            DatasetError: Says how the units are said.
        """
        if self.unknown_units:
            how = units_.how_to_say(self.path, say, self.looks_normalised)
            raise DatasetError(f"{self.path}: the units of {' and '.join(self.unknown_units)} are unknown. {how}")

    @property
    def unknown_units(self) -> list[str]:
        """Which of state and action are in unknown units."""
        return units_.unknown_joints(self.features)

    @functools.cached_property
    def looks_normalised(self) -> list[str]:
        """Joints whose values look like -100..100 of a calibrated range; see `units.looks_normalised`."""
        return units_.looks_normalised(self.columns, self.features)

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
        """Feature keys of the cameras."""
        return image_keys(self.features)

    @functools.cached_property
    def pictures(self) -> Mapping[str, Pictures]:
        """Camera -> its pictures by rows, decoded whenever they are asked for; see `with_cache`."""
        starts, found = self.episode_starts, dict[str, "Pictures"]()
        for key in self.cameras:
            shape = self.features[key].shape
            if key in self.videos:
                found[key] = VideoPictures(self.videos[key], starts, self.fps, shape)
            elif self.cells and key in self.cells[0].keys:
                found[key] = ImagePictures(self.path, key, self.cells, starts, shape)
        return found

    def with_cache(self, most_bytes: int = CACHE_BYTES) -> Dataset:
        """Return the dataset with pictures that are decoded once, for whoever asks for them again and again.

        Args:
            most_bytes: Of memory, for all cameras together.
        """
        cached = copy.copy(self)
        cameras = self.pictures.items()
        cached.__dict__["pictures"] = {key: Cached(pictures, most_bytes // len(cameras)) for key, pictures in cameras}
        return cached

    @functools.cached_property
    def hash(self) -> str:
        """Hash of the content: features, units, rates, tasks, splits and every value; not of how the files are cut."""
        described = {
            "features": {key: feature.to_dict() for key, feature in self.features.items()},
            "fps": self.fps,
            "robot_type": self.robot_type,
            "tasks": self.tasks,
            "splits": {name: [split.start, split.stop] for name, split in self.splits.items()},
            "columns": {key: content_hash(np.ascontiguousarray(values).tobytes()) for key, values in self.columns.items()},
            "rows": [content_hash(self.episode_starts.tobytes()), content_hash(self.task_index.tobytes())],
        }
        if self.videos:
            described["videos"] = {key: [self._video_hash(key, i) for i in range(self.n_episodes)] for key in self.videos}
        if self.cells:
            described["cells"] = [self._cells_hash(i) for i in range(self.n_episodes)]
        return content_hash(json.dumps(described))

    def _cells_hash(self, i: int) -> str:
        one, length = self.cells[i], int(self.episode_starts[i + 1] - self.episode_starts[i])
        return content_hash(repr(tables.rows(one.path, one.first, length, one.keys).to_pylist()))

    def _video_hash(self, key: str, i: int) -> str | None:
        """Return the hash of an episode's encoded frames, or None where they are not there."""
        one, length = self.videos[key][i], int(self.episode_starts[i + 1] - self.episode_starts[i])
        return content_hash(remux.content(remux.Clip(one.path, one.first, length), self.fps)) if one.path.is_file() else None

    @functools.cached_property
    def stats(self) -> dict[str, statistics.Statistics]:
        """Exact statistics of each loaded feature over all rows, whoever wrote stats.json; see `statistics.summarise`."""
        return {key: statistics.summarise(values) for key, values in self.columns.items()}

    @functools.cached_property
    def spec(self) -> PolicySpec:
        """What a policy trained on this dataset must agree with."""
        return PolicySpec(dict(self.features), self.fps, dataset_hash=self.hash, task=task_of(self.features))

    def episode(self, i: int) -> StoredEpisode:
        """Return episode `i` (views of the columns, no copies).

        Raises:
            DatasetError: There is no such episode.
        """
        if not 0 <= i < self.n_episodes:
            raise DatasetError(f"{self.path}: there is no episode {i}; the dataset has the episodes 0..{self.n_episodes - 1}")
        rows = slice(int(self.episode_starts[i]), int(self.episode_starts[i + 1]))
        videos = {key: found[i] for key, found in self.videos.items()}
        values = {key: column[rows] for key, column in self.columns.items()}
        return StoredEpisode(values, self.tasks, self.task_index[rows], videos, self.cells[i] if self.cells else None)

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
            f"{path} holds no finished episode. Record one (`soarm control --dataset {path}`), or remove the folder."
        )
    columns = {}
    for key in found.vectors:
        parts = [episode.values[key] for episode in unfinished]
        columns[key] = np.concatenate([found.columns[key], *parts] if key in found.columns else parts)
    task_rows = [np.array([tasks.index(text) for text in episode.tasks])[episode.task_index] for episode in unfinished]
    if found.columns:
        task_rows.insert(0, found.columns["task_index"])
    return Dataset(
        path=path,
        columns=columns,
        episode_starts=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        features=found.features,
        fps=found.info["fps"],
        robot_type=found.info.get("robot_type"),
        tasks=tasks,
        task_index=np.concatenate(task_rows).astype(np.int64),
        splits=_splits(found, len(lengths)),
        not_loaded=found.not_loaded,
        info=found.info,
        is_recording=found.is_recording,
        n_unfinished=len(unfinished),
        videos=_videos(found),
        cells=_cells(found),
    )


def _cells(found: Contents) -> list[EpisodeCells]:
    """Return where the columns are that are copied as they are; a depth camera's videos have none."""
    keys = [key for key, dtype in layout.not_recorded(found.info).items() if dtype != layout.VIDEO]
    return cameras_.cells(found, keys) if keys and not found.unfinished else []


def _videos(found: Contents) -> dict[str, list[EpisodeVideo]]:
    """Return where the pictures of each camera with videos are; a camera whose places nobody knows is left out."""
    videos = {}
    for key in filter(lambda key: cameras_.is_video(found, key), cameras_.keys(found)):
        with contextlib.suppress(DatasetError):  # `cameras.missing_videos` says it
            finished = cameras_.episode_videos(found, key) if found.is_finalized else []
            videos[key] = [*finished, *(episode.videos[key] for episode in found.unfinished)]
    return videos


def _splits(found: Contents, n_episodes: int) -> dict[str, range]:
    """Return the splits; a single one that held all finalized episodes holds the unfinished ones as well."""
    finalized = n_episodes - len(found.unfinished)
    splits = checks.parse_splits(found.info.get("splits", {}), finalized) if found.is_finalized else {}
    if not splits or list(splits.values()) == [range(finalized)]:
        return {next(iter(splits), "train"): range(n_episodes)}
    return splits
