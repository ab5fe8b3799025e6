"""Recording episodes into a LeRobot v3.0 dataset, so that nothing finished is ever lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.dataset import checks, journal, layout, reader, storage, video, writer
from soarm.dataset.encoder import EpisodeEncoder, Waiting
from soarm.dataset.episode import EpisodeVideo, StoredEpisode, faults_of
from soarm.dataset.journal import Header
from soarm.dataset.lock import NAME, Lock
from soarm.dataset.resuming import encoding_of, reopen
from soarm.dataset.video import Encoding
from soarm.errors import DatasetError, ObservationError
from soarm.smallfile import PARTIAL
from soarm.spec import ACTION, Feature, PolicySpec

logger = logging.getLogger(__name__)


class Recorder:
    """Writes episodes one by one; make it with `create` or `resume`.

    A saved episode is on the disk, whole, before `save_episode` returns. `finalize` turns what was saved into the files that
    LeRobot reads; until then `soarm.dataset.reader.Dataset` reads them. As a context manager it finalizes on leaving, whatever
    the reason for leaving is. Until it is finalized or closed, or its program ends, no other recorder can be made there.

    Pictures come step by step while an episode runs (`add_pictures`), or with the rest at its end. A thread per camera encodes
    them, and none is left out: where encoding is behind, adding a picture waits.

    Attributes:
        path: The dataset's folder.
        n_episodes: How many it has.
        waiting: What was waited for encoding.
    """

    def __init__(self, path: Path, header: Header, n_episodes: int, lock: Lock, encoding: Encoding) -> None:
        """Continue the journal at `path`; not for callers, see `create` and `resume`."""
        self.path = path
        self.waiting = Waiting()
        self._encoding = encoding
        self._running: EpisodeEncoder | None = None
        self.n_episodes = n_episodes
        self._header = header
        self._features = header.spec.features
        self._lock = lock
        self._open = True

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        features: Mapping[str, Feature],
        fps: int,
        robot_type: str,
        task: str,
        encoding: Encoding = Encoding(),  # noqa: B008 - it is a tuple
    ) -> Recorder:
        """Start a new dataset.

        Args:
            path: Its folder; absent or empty.
            features: Feature key -> what its elements are; `action` among them, and cameras, whose sizes must be even.
            fps: Control steps per second [Hz].
            robot_type: LeRobot's name of the robot (`layout.ROBOT_TYPE`).
            task: What the robot is asked to do, in words; for every episode that names no other.
            encoding: How cameras are encoded.

        Raises:
            DatasetError: The folder is not empty, has another recorder or cannot be written, or features, fps or task are no
                good.
        """
        root = Path(path)
        faults = _definition_faults(features, fps, task)
        if faults:
            raise DatasetError(f"cannot record {root}:\n  " + "\n  ".join(faults))
        if root.exists() and not root.is_dir():
            raise DatasetError(f"{root} is a file; a dataset is a folder. Choose another name.")
        lock = Lock.take(root)
        try:
            storage.recover(root)
            own = root / layout.RECORDING / NAME
            taken = [path for path in root.rglob("*") if not path.is_dir() and path.suffix != PARTIAL and path != own]
            if taken:
                raise DatasetError(
                    f"{root} is not empty (it holds {taken[0].relative_to(root)}). Choose another folder; "
                    f"`soarm control --dataset {root}` goes on recording where a dataset is."
                )
            spec = PolicySpec(features=dict(features), control_hz=fps)
            header = Header(layout.new_info(spec, robot_type), spec, task)
            storage.require_room(root)
            journal.start(root, header)
        except BaseException:
            lock.give_back()
            raise
        return cls(root, header, 0, lock, encoding)

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        task: str | None = None,
        like: PolicySpec | None = None,
        robot_type: str | None = None,
        encoding: Encoding | None = None,
    ) -> Recorder:
        """Go on with a dataset: one that was finalized, or a recording that was cut off.

        What a kill left unfinished is dropped; every finished episode is kept.

        Args:
            path: The dataset's folder.
            task: In words, for episodes that name no other; None keeps the one of the last session (or the last task).
            like: Features and rate of what will be recorded; None takes those of the dataset.
            robot_type: LeRobot's name of the robot that will be recorded; None takes that of the dataset.
            encoding: How cameras are encoded; its codec must be that of the dataset. None takes that codec's usual settings.

        Raises:
            DatasetError: There is no dataset, it is damaged, it has another recorder, it cannot be written, it does not fit
                `like` or `robot_type`, or soarm cannot write all that it holds. Nothing was changed.
        """
        root = Path(path)
        if not storage.location(root).is_dir():
            checks.check(root)  # says that there is none
        lock = Lock.take(root)
        try:
            header, n_episodes = reopen(root, task, like, robot_type, encoding)
        except BaseException:
            lock.give_back()
            raise
        return cls(root, header, n_episodes, lock, encoding or encoding_of(header.info))

    def add_pictures(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Add what the cameras saw in the next step of the episode that runs; waits where encoding is behind.

        Args:
            pictures: Feature key of every camera -> (H, W, 3) uint8, red-green-blue; they may be written to afterwards.

        Raises:
            ObservationError: A camera is missing, or its picture has another shape or type.
            DatasetError: The disk is full, or a picture cannot be encoded: the running episode is lost, those before are kept.
        """
        self._require_open()
        if self._running is None:
            files = journal.video_files(self.path, self.n_episodes, self._cameras)
            self._running = EpisodeEncoder(files, self._cameras, self._header.spec.control_hz, self._encoding, self.waiting)
        self._running.add(pictures)

    def drop_episode(self) -> None:
        """Forget the pictures of the episode that runs."""
        if self._running is not None:
            self._running.discard()
            self._running = None

    def save_episode(self, observations: Mapping[str, ArrayLike], actions: ArrayLike, task: str | None = None) -> int:
        """Save a finished episode of T frames and return its number.

        Args:
            observations: Feature key -> (T, D): what was seen *before* each action; cameras -> (T, H, W, 3) uint8, unless
                their pictures were added before.
            actions: Shape (T, 6) [deg x 5, percent].
            task: In words; None is the recorder's task.

        Raises:
            ObservationError: Keys, shapes or lengths do not fit, or a value is not finite; nothing was written, and pictures
                that were added are dropped.
            DatasetError: The disk is full (the episodes before are kept; free space and save it again), or the recorder is
                finalized or closed.
        """
        self._require_open()
        try:
            return self._save(observations, actions, task)
        finally:
            self.drop_episode()

    def _save(self, observations: Mapping[str, ArrayLike], actions: ArrayLike, task: str | None) -> int:
        values = {key: np.asarray(value) for key, value in {**observations, ACTION: actions}.items()}
        expected = {key: f for key, f in self._features.items() if self._running is None or key not in self._cameras}
        faults = faults_of(values, expected)
        if self._running is not None and ACTION in values and len(self._running) != len(values[ACTION]):
            faults.append(f"{len(self._running)} pictures of each camera were added; there are {len(values[ACTION])} actions")
        if faults:
            raise ObservationError(f"episode {self.n_episodes} of {self.path} was not saved:\n  " + "\n  ".join(faults))
        ordered: dict[str, NDArray[np.float32]] = {
            key: np.ascontiguousarray(values[key], dtype=np.float32) for key in self._features if key not in self._cameras
        }
        for t in range(len(ordered[ACTION]) if self._cameras and self._running is None else 0):
            self.add_pictures({key: values[key][t] for key in self._cameras})
        videos = {}
        if self._running is not None:
            files = journal.video_files(self.path, self.n_episodes, self._cameras)
            stats = self._running.finish()
            videos = {key: EpisodeVideo(path, 0, stats[key]) for key, path in files.items()}
        one_task = np.zeros(len(ordered[ACTION]), np.int64)
        journal.append(self.path, self.n_episodes, StoredEpisode(ordered, (task or self._header.task,), one_task, videos))
        self.n_episodes += 1
        return self.n_episodes - 1

    @property
    def _cameras(self) -> dict[str, Feature]:
        return {key: feature for key, feature in self._features.items() if feature.kind == "image"}

    def _require_open(self) -> None:
        if not self._open:
            raise DatasetError(f"{self.path} is finalized or closed; Recorder.resume({str(self.path)!r}) appends to it")

    def finalize(self, splits: Mapping[str, range] | None = None) -> None:
        """Write the final files and end the recording; killed or failing on the way, all episodes stay readable.

        Args:
            splits: Name -> its episodes; None puts all of them into "train".

        Raises:
            DatasetError: Nothing was recorded, the splits do not fit, or the disk is full (free space and call it again).
        """
        if not self._open:
            return
        found = checks.check(self.path)
        dataset = reader.from_contents(self.path, found)
        chosen = dict(dataset.splits) if splits is None else dict(splits)
        require_splits(chosen, dataset.n_episodes)
        episodes = [dataset.episode(i) for i in range(dataset.n_episodes)]
        writer.replace_dataset(self.path, self._header.info, self._header.spec, episodes, chosen)
        self.close()

    def close(self) -> None:
        """End the recording as it is: what was saved stays, to be read and gone on with, and other recorders may be made."""
        self.drop_episode()
        self._open = False
        self._lock.give_back()

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if self.n_episodes:
                self.finalize()
        except DatasetError as failure:
            if error is None:
                raise
            logger.warning("%s could not be finalized: %s", self.path, failure)
        finally:
            self.close()


def require_splits(splits: Mapping[str, range], n_episodes: int) -> None:
    """Refuse splits that leave 0..n_episodes or overlap.

    Raises:
        DatasetError: Says which.
    """
    try:
        checks.parse_splits(writer.encode_splits(splits), n_episodes)
    except ValueError as error:
        raise DatasetError(f"{error}; there are the episodes 0..{n_episodes - 1}. Give other splits.") from None


def _definition_faults(features: Mapping[str, Feature], fps: int, task: str) -> list[str]:
    faults = []
    if ACTION not in features or len(features) < 2:
        faults.append(f"features are {list(features)}; {ACTION} and at least one observation are needed")
    for key, feature in features.items():
        if "/" in key or key in layout.DEFAULTS:
            faults.append(f"feature {key!r}: a key may hold no '/' and not be one of {list(layout.DEFAULTS)}")
        faults += layout.feature_faults(key, feature)
        faults += video.size_faults(key, feature) if feature.kind == "image" else []
    if isinstance(fps, bool) or not isinstance(fps, int) or fps <= 0:
        faults.append(f"fps is {fps!r}; it must be a whole number above 0")
    if not task.strip():
        faults.append("the task is empty; say in words what the robot is asked to do")
    return faults
