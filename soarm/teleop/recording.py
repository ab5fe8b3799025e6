"""What a session records, and where to. Opening a dataset needs pyarrow; driving an arm by hand does not."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import DatasetError, SmallFileError, TeleopError
from soarm.policy import Observation
from soarm.smallfile import DATASET_BYTES, load_json, require_writable, write_atomically
from soarm.spec import ENVIRONMENT_STATE, Feature, PolicySpec
from soarm.tasks.task import Task

if TYPE_CHECKING:
    from soarm.dataset.encoder import Waiting
    from soarm.dataset.recorder import Recorder
    from soarm.teleop.cameras import CameraChoice
    from soarm.teleop.session import Report

logger = logging.getLogger(__name__)


class EpisodeSink(Protocol):
    """What of `soarm.dataset.recorder.Recorder` a session needs."""

    def add_pictures(self, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Add what the cameras saw in a step of the episode that runs: feature key -> (H, W, 3)."""

    def drop_episode(self) -> None:
        """Forget the pictures of the episode that runs."""

    def save_episode(self, observations: Observation, actions: ArrayLike) -> object:
        """Save a finished episode of T frames: feature key of a vector -> (T, D), and actions (T, 6)."""


def recorder(
    folder: Path,
    control_hz: int,
    task: Task,
    instruction: str | None = None,
    features: Mapping[str, Feature] | None = None,
) -> Recorder:
    """Start a dataset, or go on with one; whatever would keep an episode from being saved is said now.

    Args:
        folder: Its folder.
        control_hz: Steps per second of the session [Hz].
        task: Whose objects are recorded.
        instruction: What the robot is asked to do, in words; None for the task's own.
        features: What is recorded; None takes the task's.

    Raises:
        DatasetError: The folder holds something else or a damaged dataset, has other features, units, rate or robot, or cannot
            be written; lists every fault.
    """
    from soarm.dataset import journal, layout, storage
    from soarm.dataset.recorder import Recorder

    words, place = instruction or task.instruction, storage.location(folder)
    recorded = PolicySpec(task.features if features is None else features, control_hz, task=task.name)
    if not ((place / layout.INFO_PATH).exists() or journal.exists(place)):
        return Recorder.create(folder, recorded.features, control_hz, layout.ROBOT_TYPE, words)
    require_writable(place / "episode", DatasetError)  # before the first episode, not after it
    return Recorder.resume(folder, words, recorded, layout.ROBOT_TYPE)


def features(task: Task, cameras: Sequence[CameraChoice], *, objects: bool) -> dict[str, Feature]:
    """Return what is recorded of an arm.

    Args:
        task: The task.
        cameras: Those that are recorded.
        objects: Whether something tells where the objects are.
    """
    told = {key: feature for key, feature in task.features.items() if objects or key != ENVIRONMENT_STATE}
    return {**told, **{one.key: one.feature for one in cameras}}


def tell_of_waiting(waiting: Waiting) -> None:
    """Say how many pictures were encoded, and what was waited for the encoders."""
    if waiting.pictures:
        logger.info(
            "%d pictures were encoded and none was lost; %d waited for an encoder, %.1f s in all",
            *(waiting.pictures, waiting.waited, waiting.waited_s),
        )


def remind_of_dvc(folder: Path) -> None:
    """Say what a dataset that DVC tracks needs after it changed: `dvc exp apply` puts back by force what was added last."""
    if folder.with_name(folder.name + ".dvc").is_file():
        logger.warning("%s is tracked by DVC: `dvc add %s` now, or `dvc exp apply` deletes what is new in it", folder, folder)


def timing_file(folder: Path) -> Path:
    """Return where the timing of a dataset's episodes is: beside it, because its format has no place for it."""
    where = folder.absolute()
    return where.with_name(where.name + ".timing.json")


def add_timing(folder: Path, n_episodes: int, report: Report) -> None:
    """Add how well each kept episode of a session kept its rate to what the sessions before it left.

    Lines of episodes that the dataset no longer has are left out; a file that cannot be read is put aside.

    Args:
        folder: Of the dataset.
        n_episodes: How many it has after the session.
        report: What the session did.

    Raises:
        TeleopError: The file cannot be written.
    """
    first = n_episodes - len(report.kept)
    path = timing_file(folder)
    before = _timing(path) if first else _nothing()
    kept = [line for line in before["kept"] if line.get("episode", -1) < first]
    kept += [{"episode": i, **timing._asdict()} for i, timing in enumerate(report.kept, start=first)]
    sums = {"tries": before["tries"] + report.tries, "refused": before["refused"] + report.refused}
    write_atomically(path, json.dumps({"kept": kept, **sums}, indent=1) + "\n", TeleopError)


def _timing(path: Path) -> dict[str, Any]:
    """Return what the sessions before left: the list `kept`, and the counts `tries` and `refused`."""
    if not path.exists():
        return _nothing()
    try:
        found = {**_nothing(), **load_json(path, most_bytes=DATASET_BYTES)}
        lines_fit = isinstance(found["kept"], list) and all(
            isinstance(line, dict) and isinstance(line.get("episode", 0), int) for line in found["kept"]
        )
        if lines_fit and isinstance(found["tries"], int) and isinstance(found["refused"], int):
            return found
        fault = "does not hold what a session writes"
    except SmallFileError as error:
        fault = str(error)
    aside = path.with_name(path.name + ".damaged")
    logger.warning("%s %s; put aside as %s", path, fault, aside.name)
    with contextlib.suppress(OSError):
        os.replace(path, aside)
    return _nothing()


def _nothing() -> dict[str, Any]:
    return {"kept": [], "tries": 0, "refused": 0}
