"""What a session records, and where to. Opening a dataset needs pyarrow; driving an arm by hand does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from numpy.typing import ArrayLike

from soarm.errors import DatasetError
from soarm.policy import Observation
from soarm.smallfile import require_writable
from soarm.tasks.task import Task

if TYPE_CHECKING:
    from soarm.dataset.recorder import Recorder


class EpisodeSink(Protocol):
    """What of `soarm.dataset.recorder.Recorder` a session needs."""

    def save_episode(self, observations: Observation, actions: ArrayLike) -> object:
        """Save a finished episode of T frames: feature key -> (T, D), and actions (T, 6)."""


def recorder(folder: Path, control_hz: int, task: Task, instruction: str | None = None) -> Recorder:
    """Start a dataset, or go on with one; whatever would keep an episode from being saved is said now.

    Args:
        folder: Its folder.
        control_hz: Steps per second of the session [Hz].
        task: Whose objects are recorded.
        instruction: What the robot is asked to do, in words; None for the task's own.

    Raises:
        DatasetError: The folder holds something else or a damaged dataset, has other features, units, rate or robot, or cannot
            be written; lists every fault.
    """
    from soarm.dataset import journal, layout, storage
    from soarm.dataset.recorder import Recorder

    words, place = instruction or task.instruction, storage.location(folder)
    if not ((place / layout.INFO_PATH).exists() or journal.exists(place)):
        return Recorder.create(folder, task.features, control_hz, layout.ROBOT_TYPE, words)
    require_writable(place / "episode", DatasetError)  # before the first episode, not after it
    return Recorder.resume(folder, words, task.spec(control_hz), layout.ROBOT_TYPE)
