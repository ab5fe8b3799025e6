"""Going on with a dataset: its journal is made ready for more episodes, unless they do not fit or something would be lost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from soarm.dataset import checks, journal, layout, reader, storage, units, video
from soarm.dataset.journal import Header
from soarm.dataset.video import Encoding
from soarm.errors import DatasetError
from soarm.spec import UNKNOWN_UNIT, PolicySpec


def reopen(
    root: Path, task: str | None, like: PolicySpec | None, robot_type: str | None, encoding: Encoding | None
) -> tuple[Header, int]:
    """Make the journal of a dataset ready for more and return its header, and how many episodes there are.

    Raises:
        DatasetError: As for `soarm.dataset.recorder.Recorder.resume`.
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
    _require_recordable(dataset)
    require_videos(dataset)
    _require_codec(root, dataset.info, encoding)
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
        elif old.kind == new.kind == "image" and old.shape != new.shape:
            (height, width, _), (now_height, now_width, _) = old.shape, new.shape
            faults.append(f"pictures of {key} are {width}x{height}; now they are {now_width}x{now_height}")
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


def require_videos(dataset: reader.Dataset) -> None:
    """Refuse to write a dataset again whose videos are not all there.

    Raises:
        DatasetError: Nobody knows where the videos of a camera are, or they are of a kind that is not known here (depth).
    """
    described = dataset.info["features"]
    lost = [key for key in described if described[key]["dtype"] == layout.VIDEO and key not in dataset.videos]
    files = sorted({str(one.path) for videos in dataset.videos.values() for one in videos if not one.path.is_file()})
    if lost or files:
        what = ", ".join([*(f"all of {key}" for key in lost), *files])
        raise DatasetError(
            f"{dataset.path}: videos would be lost by writing it again, since they are missing or not known here: {what}. "
            "Restore them (`soarm dataset verify` lists what is missing), or use LeRobot's tools. Nothing was changed."
        )


def _require_recordable(dataset: reader.Dataset) -> None:
    """Refuse to go on recording where something was recorded that soarm does not record.

    Raises:
        DatasetError: It has features that are neither vectors of float32 nor videos.
    """
    others = layout.not_recorded(dataset.info)
    if others:
        raise DatasetError(
            f"{dataset.path} holds features that soarm does not record: {others}. It records vectors of float32, and cameras "
            "as videos. Go on with lerobot-record --resume=true, or record into a new folder. Edits lose nothing of it."
        )


def encoding_of(info: Mapping[str, Any]) -> Encoding:
    """Return how the cameras of an info.json are encoded, as far as their codec says it; H.264 where none does."""
    codecs = [(described.get("info") or {}).get("video.codec") for described in info["features"].values()]
    return next((video.USUAL[codec] for codec in codecs if codec in video.USUAL), Encoding())


def _require_codec(root: Path, info: Mapping[str, Any], encoding: Encoding | None) -> None:
    """Refuse to go on with videos of another codec: a dataset declares one for each camera.

    Raises:
        DatasetError: Names both.
    """
    wanted = (encoding or encoding_of(info)).codec
    for key, described in info["features"].items():
        codec = (described.get("info") or {}).get("video.codec")
        if codec not in (None, wanted):
            raise DatasetError(
                f"{root}: the videos of {key} are {codec}, and {wanted} would be recorded; a camera has one codec. "
                "Choose that one (soarm writes h264 and av1), or record into a new folder"
            )
