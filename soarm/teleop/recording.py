"""What a session records, and where to. Opening a dataset needs pyarrow; driving an arm by hand does not."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from numpy.typing import ArrayLike

from soarm.errors import TeleopError
from soarm.policy import Observation
from soarm.spec import TASK_FEATURES

if TYPE_CHECKING:
    from soarm.dataset.recorder import Recorder


class Keeper(Protocol):
    """What of `soarm.dataset.recorder.Recorder` a session needs."""

    def save_episode(self, observations: Observation, actions: ArrayLike) -> object:
        """Save a finished episode of T frames: feature key -> (T, D), and actions (T, 6)."""


def recorder(folder: Path, control_hz: int, task: str) -> Recorder:
    """Start a dataset, or go on with one.

    Args:
        folder: Its folder.
        control_hz: Steps per second of the session [Hz].
        task: What the robot is asked to do, in words.

    Raises:
        TeleopError: It was recorded at another rate.
        DatasetError: The folder holds something else, or a damaged dataset.
    """
    from soarm.dataset import journal, layout
    from soarm.dataset.recorder import Recorder

    if not ((folder / layout.INFO_PATH).exists() or (folder / layout.RECORDING).exists()):
        return Recorder.create(folder, TASK_FEATURES, control_hz, layout.ROBOT_TYPE, task)
    resumed = Recorder.resume(folder, task)
    recorded_hz = journal.header(folder).info["fps"]
    if recorded_hz != control_hz:
        raise TeleopError(
            f"{folder} was recorded at {recorded_hz} Hz, and this session runs at {control_hz} Hz; take another folder, or "
            f"--control-hz {recorded_hz}"
        )
    return resumed
