"""Recording episodes into a LeRobot v3.0 dataset, so that nothing finished is ever lost."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.dataset import checks, journal, layout, reader, storage, units, writer
from soarm.dataset.episode import StoredEpisode, faults_of
from soarm.dataset.journal import Header
from soarm.dataset.lock import NAME, Lock
from soarm.errors import DatasetError, ObservationError
from soarm.smallfile import PARTIAL
from soarm.spec import ACTION, UNKNOWN_UNIT, Feature, PolicySpec

logger = logging.getLogger(__name__)


class Recorder:
    """Writes episodes one by one; make it with `create` or `resume`.

    A saved episode is on the disk, whole, before `save_episode` returns. `finalize` turns what was saved into the files that
    LeRobot reads; until then `soarm.dataset.reader.Dataset` reads them. As a context manager it finalizes on leaving, whatever
    the reason for leaving is. Until it is finalized or closed, or its program ends, no other recorder can be made there.
    """

    def __init__(self, path: Path, header: Header, n_episodes: int, lock: Lock) -> None:
        """Continue the journal at `path`; not for callers, see `create` and `resume`."""
        self.path = path
        self.n_episodes = n_episodes
        self._header = header
        self._features = header.spec.features
        self._lock = lock
        self._open = True

    @classmethod
    def create(
        cls, path: str | os.PathLike[str], features: Mapping[str, Feature], fps: int, robot_type: str, task: str
    ) -> Recorder:
        """Start a new dataset.

        Args:
            path: Its folder; absent or empty.
            features: Feature key -> what its elements are; vectors only, `action` among them.
            fps: Control steps per second [Hz].
            robot_type: LeRobot's name of the robot (`layout.ROBOT_TYPE`).
            task: What the robot is asked to do, in words; for every episode that names no other.

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
        return cls(root, header, 0, lock)

    @classmethod
    def resume(
        cls,
        path: str | os.PathLike[str],
        task: str | None = None,
        like: PolicySpec | None = None,
        robot_type: str | None = None,
    ) -> Recorder:
        """Go on with a dataset: one that was finalized, or a recording that was cut off.

        What a kill left unfinished is dropped; every finished episode is kept.

        Args:
            path: The dataset's folder.
            task: In words, for episodes that name no other; None keeps the one of the last session (or the last task).
            like: Features and rate of what will be recorded; None takes those of the dataset.
            robot_type: LeRobot's name of the robot that will be recorded; None takes that of the dataset.

        Raises:
            DatasetError: There is no dataset, it is damaged, it has another recorder, it cannot be written, it does not fit
                `like` or `robot_type`, or soarm cannot write all that it holds. Nothing was changed.
        """
        root = Path(path)
        if not storage.location(root).is_dir():
            checks.check(root)  # says that there is none
        lock = Lock.take(root)
        try:
            header, n_episodes = _reopened(root, task, like, robot_type)
        except BaseException:
            lock.give_back()
            raise
        return cls(root, header, n_episodes, lock)

    def save_episode(self, observations: Mapping[str, ArrayLike], actions: ArrayLike, task: str | None = None) -> int:
        """Save a finished episode of T frames and return its number.

        Args:
            observations: Feature key -> (T, D): what was seen *before* each action.
            actions: Shape (T, 6) [deg x 5, percent].
            task: In words; None is the recorder's task.

        Raises:
            ObservationError: Keys, shapes or lengths do not fit, or a value is not finite; nothing was written.
            DatasetError: The disk is full (the episodes before are kept; free space and save it again), or the recorder is
                finalized or closed.
        """
        if not self._open:
            raise DatasetError(f"{self.path} is finalized or closed; Recorder.resume({str(self.path)!r}) appends to it")
        values = {key: np.asarray(value) for key, value in {**observations, ACTION: actions}.items()}
        faults = faults_of(values, self._features)
        if faults:
            raise ObservationError(f"episode {self.n_episodes} of {self.path} was not saved:\n  " + "\n  ".join(faults))
        ordered: dict[str, NDArray[np.float32]] = {
            key: np.ascontiguousarray(values[key], dtype=np.float32) for key in self._features
        }
        one_task = np.zeros(len(ordered[ACTION]), np.int64)
        journal.append(self.path, self.n_episodes, StoredEpisode(ordered, (task or self._header.task,), one_task))
        self.n_episodes += 1
        return self.n_episodes - 1

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


def require_writable(dataset: reader.Dataset) -> None:
    """Refuse to rewrite a dataset that holds more than soarm can write back.

    Raises:
        DatasetError: It has cameras or features that are no vectors of float32.
    """
    others = layout.not_written(dataset.info)
    if others:
        raise DatasetError(
            f"{dataset.path} holds features that would be lost by writing it again: {others}. "
            "soarm writes vectors of float32, and no cameras yet: delete and merge such episodes with LeRobot's tools "
            "(lerobot-edit-dataset), record on with lerobot-record --resume=true. Verifying, replaying, `soarm dataset "
            "convert`, edit.set_splits and edit.recompute_statistics lose nothing."
        )


def require_splits(splits: Mapping[str, range], n_episodes: int) -> None:
    """Refuse splits that leave 0..n_episodes or overlap.

    Raises:
        DatasetError: Says which.
    """
    try:
        checks.parse_splits(writer.encode_splits(splits), n_episodes)
    except ValueError as error:
        raise DatasetError(f"{error}; there are the episodes 0..{n_episodes - 1}. Give other splits.") from None


def _reopened(root: Path, task: str | None, like: PolicySpec | None, robot_type: str | None) -> tuple[Header, int]:
    """Make the journal of a dataset ready for more and return its header, and how many episodes there are.

    Raises:
        DatasetError: As for `Recorder.resume`.
    """
    storage.recover(root)
    if journal.exists(root):
        header = journal.header(root)
        if not (root / layout.INFO_PATH).exists() and not journal.episode_files(root):
            _require_fit(root, header.spec, header.info.get("robot_type"), like, robot_type, [])
            storage.require_room(root)
            journal.repair(root)
            return Header(header.info, header.spec, task or header.task), 0
        journal.repair(root)
    found = checks.check(root)
    dataset = reader.from_contents(root, found)
    require_writable(dataset)
    _require_fit(root, dataset.spec, dataset.robot_type, like, robot_type, dataset.looks_normalised)
    if found.is_finalized and len(dataset.splits) > 1:
        raise DatasetError(
            f"{root} has the splits {dict(dataset.splits)}: it is not clear which one new episodes belong to. "
            "Record them into a new folder and merge the two (edit.merge keeps the splits), "
            "or make it one split with edit.set_splits."
        )
    storage.require_room(root)
    if journal.exists(root):
        return Header(header.info, header.spec, task or header.task), dataset.n_episodes
    spec = PolicySpec(features=dict(dataset.features), control_hz=dataset.fps)
    header = Header(dict(dataset.info), spec, task or dataset.tasks[int(dataset.task_index[-1])])
    journal.start(root, header)
    return header, dataset.n_episodes


def _require_fit(
    root: Path, spec: PolicySpec, robot: str | None, like: PolicySpec | None, robot_type: str | None, normalised: list[str]
) -> None:
    """Refuse to go on with a dataset that differs from what will be recorded.

    Raises:
        DatasetError: Lists every difference with both values.
    """
    faults = []
    if robot_type is not None and not layout.same_robot(robot, robot_type):
        faults.append(f"robot_type is {robot!r}; what is recorded now is of {robot_type!r}")
    if like is not None and spec.control_hz != like.control_hz:
        faults.append(
            f"it was recorded at {spec.control_hz} Hz, and this session runs at {like.control_hz} Hz; take another folder, or "
            f"--control-hz {spec.control_hz}"
        )
    wanted = spec.features if like is None else like.features
    for key in dict.fromkeys([*spec.features, *wanted]):
        old, new = spec.features.get(key), wanted.get(key)
        if old is None or new is None:
            faults.append(f"feature {key} is {'new' if old is None else 'no longer recorded'}")
        elif (old.shape, old.names) != (new.shape, new.names):
            faults.append(f"feature {key} has the elements {old.names}; now they are {new.names}")
        elif UNKNOWN_UNIT in old.units and UNKNOWN_UNIT not in new.units:
            say = f"soarm dataset convert {root} NEW_FOLDER --units degrees, and record on there"
            faults.append(f"the units of {key} are unknown. {units.how_to_say(root, say, normalised)}")
        elif old.units != new.units:
            faults.append(f"feature {key} is in {old.units}; now it is {new.units}")
    if faults:
        listing = "\n  ".join(faults)
        raise DatasetError(f"{root} cannot be gone on with:\n  {listing}\nRecord into a new folder, or change what is named.")


def _definition_faults(features: Mapping[str, Feature], fps: int, task: str) -> list[str]:
    faults = []
    if ACTION not in features or len(features) < 2:
        faults.append(f"features are {list(features)}; {ACTION} and at least one observation are needed")
    for key, feature in features.items():
        if "/" in key or key in layout.DEFAULTS:
            faults.append(f"feature {key!r}: a key may hold no '/' and not be one of {list(layout.DEFAULTS)}")
        faults += layout.vector_faults(key, feature)
    if isinstance(fps, bool) or not isinstance(fps, int) or fps <= 0:
        faults.append(f"fps is {fps!r}; it must be a whole number above 0")
    if not task.strip():
        faults.append("the task is empty; say in words what the robot is asked to do")
    return faults
