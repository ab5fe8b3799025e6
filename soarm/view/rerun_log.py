"""Episodes of a dataset for the Rerun viewer: states and actions per joint, cameras, and the arm itself moving.

Needs the extra `view`. Each episode has a tree of its own and begins at time 0, so that episodes can be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.errors import MissingPackageError, how_to_install
from soarm.spec import STATE, UNKNOWN_UNIT
from soarm.view import camera_strips, curves
from soarm.view.inspection import Inspection

if TYPE_CHECKING:
    import rerun
    from rerun.blueprint import Blueprint, Tabs

FRAME_PX = 640
"""Width of a camera's frame in the recording."""
_ARM_COLOUR = (0, 114, 178)


def log(looked: Inspection, episodes: Sequence[int], save: Path | None = None) -> None:
    """Send episodes to a new window of the Rerun viewer, or write them to a file that it opens.

    Args:
        looked: A dataset whose rows can be read.
        episodes: Which of its episodes.
        save: A file `.rrd`; None opens the viewer.

    Raises:
        MissingPackageError: The viewer is not installed.
        DatasetError: A camera's frames cannot be decoded.
    """
    try:
        import rerun
    except ModuleNotFoundError as error:
        if error.name != "rerun":
            raise
        raise MissingPackageError(
            f"the Rerun viewer is not installed: {how_to_install('view')}. Without it, `soarm view PATH` writes a page "
            "that every browser shows."
        ) from None
    recording = rerun.RecordingStream("soarm", recording_id=looked.path.name)
    blueprint = _layout(looked, episodes)
    if save is None:
        recording.spawn(default_blueprint=blueprint)
    else:
        recording.save(save, default_blueprint=blueprint)
    for episode in episodes:
        _log_episode(recording, looked, episode)
    recording.flush()
    recording.disconnect()


def _log_episode(recording: rerun.RecordingStream, looked: Inspection, episode: int) -> None:
    import rerun

    root, rate = _root(episode), looked.rate or 30.0
    rows = looked.rows(episode)
    numbers = np.arange(int(looked.lengths[episode]))
    times = [rerun.TimeColumn("frame", sequence=numbers), rerun.TimeColumn("time", duration=numbers / rate)]
    recording.log(f"{root}/task", rerun.TextDocument(looked.tasks[episode]), static=True)
    for panel in curves.panels({key: looked.features[key] for key in rows}, rows):
        for line in panel.lines:
            path = f"{root}/{_part(panel.title)}/{_part(line.label)}"
            label = f"{line.label} [{curves.unit_text(panel.unit)}]"
            colour = tuple(bytes.fromhex(line.colour[1:]))
            recording.log(path, rerun.SeriesLines(colors=[colour], names=[label]), static=True)
            recording.send_columns(path, times, rerun.Scalars.columns(scalars=line.values.astype(np.float64)))
    if _is_arm(looked):
        strips = list(_arm_points(rows[STATE]))
        columns = rerun.LineStrips3D.columns(strips=strips, radii=[0.006] * len(strips), colors=[_ARM_COLOUR] * len(strips))
        recording.send_columns(f"{root}/arm", times, columns)
    assert looked.found is not None
    for key in looked.cameras:
        decoded = camera_strips.frames(looked.found, key, episode, numbers.tolist(), rate)
        for number, frame in zip(numbers.tolist(), decoded, strict=True):
            recording.set_time("frame", sequence=number)
            recording.set_time("time", duration=number / rate)
            image = rerun.EncodedImage(contents=camera_strips.jpeg(frame, FRAME_PX), media_type="image/jpeg")
            recording.log(f"{root}/{_part(key)}", image)
        recording.reset_time()


def _layout(looked: Inspection, episodes: Sequence[int]) -> Blueprint:
    """Return one tab per episode: cameras and arm beside one plot per joint."""
    from rerun import blueprint

    def tab(episode: int) -> Iterator[blueprint.View]:
        root, rows = _root(episode), looked.rows(episode)
        for key in looked.cameras:
            yield blueprint.Spatial2DView(origin=f"{root}/{_part(key)}", name=key)
        if _is_arm(looked):
            yield blueprint.Spatial3DView(origin=f"{root}/arm", name="arm")
        for title in dict.fromkeys(p.title for p in curves.panels({key: looked.features[key] for key in rows}, rows)):
            yield blueprint.TimeSeriesView(origin=f"{root}/{_part(title)}", name=title)

    tabs: Tabs = blueprint.Tabs(*(blueprint.Grid(*tab(episode), name=f"episode {episode}") for episode in episodes))
    return blueprint.Blueprint(tabs, collapse_panels=True)


def _is_arm(looked: Inspection) -> bool:
    """Whether the state is that of this arm in known units, so that its shape follows from it."""
    feature = looked.features.get(STATE)
    return (
        STATE in looked.columns
        and feature is not None
        and feature.names == arm.FEATURE_NAMES
        and UNKNOWN_UNIT not in feature.units
    )


def _arm_points(states: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return points along the arm, base to gripper point, shape (T, 7, 3) [m]."""
    origins, _ = kinematics.frames(states)
    points = [np.zeros(3), *origins, kinematics.forward(states)[0]]
    return np.stack([np.broadcast_to(point, (len(states), 3)) for point in points], axis=1).astype(np.float32)


def _root(episode: int) -> str:
    return f"episode_{episode}"


def _part(name: str) -> str:
    return name.replace("/", "_")
