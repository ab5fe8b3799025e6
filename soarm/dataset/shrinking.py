"""A copy of a dataset with smaller pictures: of the size that a policy is to look at.

A policy of small pictures needs no others, and decoding large ones takes most of the time of a training. How a picture is made
smaller is the caller's: it has to be what the robot's cameras do.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm.dataset import layout, storage
from soarm.dataset.reader import Dataset
from soarm.dataset.recorder import Recorder
from soarm.dataset.resuming import encoding_of, require_videos
from soarm.errors import DatasetError
from soarm.spec import ACTION, Feature

Fit = Callable[[str, Feature], Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]
"""Camera and what its pictures are made -> what makes one of them so, (H, W, 3)."""
_AT_ONCE = 32


def shrink(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], height_px: int, width_px: int, fit: Fit
) -> Dataset:
    """Write a copy whose cameras have pictures of another size; the source stays as it is.

    Args:
        source: A dataset with cameras.
        destination: A folder that is absent or empty.
        height_px: Of all cameras; even.
        width_px: Of the same.
        fit: Makes a picture smaller.

    Returns:
        The new dataset: its videos have the source's codec, or H.264.

    Raises:
        DatasetError: The source is not sound, has no cameras, smaller ones, or what soarm does not record; a picture cannot be
            decoded; or the destination is taken or cannot be written.
    """
    old, target = Dataset.open(source), Path(destination)
    storage.require_void(target, "shrink")
    _require_shrinkable(old, height_px, width_px)
    features = {
        key: Feature.image(height_px, width_px) if key in old.cameras else feature for key, feature in old.features.items()
    }
    folder = storage.room_for(target)
    try:
        robot = old.robot_type or layout.ROBOT_TYPE
        recorder = Recorder.create(folder, features, old.fps, robot, old.tasks[0], encoding_of(old.info))
        with recorder:
            fits = {key: fit(key, features[key]) for key in old.cameras}
            for i in range(old.n_episodes):
                first, end = old.episode_starts[i : i + 2]
                for rows in np.array_split(np.arange(first, end), -(-(end - first) // _AT_ONCE)):
                    seen = {key: old.pictures[key].gather(rows) for key in old.cameras}
                    for at in range(len(rows)):
                        recorder.add_pictures({key: fits[key](pictures[at]) for key, pictures in seen.items()})
                values = {key: column[first:end] for key, column in old.columns.items()}
                recorder.save_episode(values, values.pop(ACTION), old.task(i))
            recorder.finalize(old.splits)
        storage.publish(target)
    finally:
        storage.discard(target)
    return Dataset.open(target)


def _require_shrinkable(old: Dataset, height_px: int, width_px: int) -> None:
    require_videos(old)
    small = {
        key: shape for key in old.cameras if min(np.subtract(shape := old.features[key].shape[:2], (height_px, width_px))) < 0
    }
    others = {key: dtype for key, dtype in layout.not_recorded(old.info).items() if dtype != "image"}
    faults = [] if old.cameras else ["it has no cameras"]
    faults += [
        f"{key} has pictures of {width} x {height} px, and nothing is enlarged to {width_px} x {height_px}"
        for key, (height, width) in small.items()
    ]
    if others:
        faults.append(f"it holds {others}, which soarm does not record; take them out with `lerobot-edit-dataset` first")
    if any(len(set(old.episode(i).task_index.tolist())) > 1 for i in range(old.n_episodes)):
        faults.append("an episode changes its task on the way, and soarm records one task per episode")
    if faults:
        raise DatasetError("\n  ".join([f"{old.path} cannot be shrunk:", *faults]))
