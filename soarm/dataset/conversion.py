"""A copy of a dataset in degrees: joints in -100..100 of their calibrated range are converted, or degrees are declared.

LeRobot's Feetech bus says (`motors_bus.py`, 0.4.4), with the ticks of a joint's calibration,

    -100..100:  n = (ticks - range_min) / (range_max - range_min) * 200 - 100, negated where drive_mode is 1
    degrees:    q = (ticks - (range_min + range_max) / 2) * 360 / 4095, whatever drive_mode is

so q = n * (range_max - range_min) / 200 * 360 / 4095, negated where drive_mode is 1. The gripper is 0..100 in both. Everything
else is copied as it is: cameras, flags, tasks, splits and other people's files.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from soarm import arm
from soarm.dataset import checks, layout, statistics, storage, tables, writer
from soarm.dataset.reader import Dataset
from soarm.dataset.units import DEGREES, declare
from soarm.errors import DatasetError
from soarm.smallfile import PARTIAL, read_json
from soarm.spec import ACTION, STATE, PolicySpec

DEG_PER_TICK: Final = 360.0 / 4095.0
"""LeRobot's: it divides by the largest tick, not by their number."""

_ROUNDING = 1e-3


def convert(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], calibration: str | os.PathLike[str] | None = None
) -> Dataset:
    """Write a copy of a dataset whose joints are in degrees, and says so; the source stays as it is.

    Args:
        source: A finished dataset in unknown units.
        destination: A folder that is absent or empty.
        calibration: That of the follower when it was recorded, of LeRobot or as soarm imported it: joints are converted from
            -100..100. None declares that they are in degrees already.

    Returns:
        The new dataset.

    Raises:
        DatasetError: The source is not sound, says its units, or is not in -100..100; the calibration does not fit; or the
            destination is taken or cannot be written.
    """
    old, target = Dataset.open(source), Path(destination)
    storage.require_void(target, "convert")
    if old.is_recording:
        raise DatasetError(f"{source} is being recorded, or its recording was cut off. Finish it first.")
    if not old.unknown_units:
        units = {key: old.features[key].units for key in (STATE, ACTION) if key in old.features}
        raise DatasetError(f"{source} says its units: {units}. There is nothing to convert.")
    scale = None if calibration is None else _scale(old, Path(calibration))
    features = old.with_units(DEGREES).features if scale is None else declare(old.features, DEGREES, str(source))
    folder = storage.room_for(target)
    try:
        with storage.writing(target):
            _copy(storage.location(Path(source)), folder)
        spec = PolicySpec(features=dict(features), control_hz=old.fps)
        storage.write_file(folder / layout.SPEC_PATH, writer.encode_json(spec.to_dict()))
        if scale is not None:
            _convert_files(folder, old, scale)
        checks.check(folder)
        storage.publish(target)
    finally:
        storage.discard(target)
    return Dataset.open(target)


def read_ranges(path: Path) -> NDArray[np.float64]:
    """Return the signed width of each joint's calibrated range, shape (6,) [ticks].

    Args:
        path: A calibration of LeRobot, or one that `soarm import-calibration` made of it.

    Raises:
        DatasetError: It cannot be read, joints are missing, or its zeros are not the middles of LeRobot's ranges.
    """
    data = read_json(path, DatasetError, "Give the calibration the follower had when the dataset was recorded.")
    joints = data.get("joints", data)
    if isinstance(joints, list):
        joints = {entry.get("name"): entry for entry in joints if isinstance(entry, Mapping)}
    faults, widths = [], []
    for name in arm.JOINT_NAMES:
        entry = joints.get(name) if isinstance(joints, Mapping) else None
        try:
            widths.append(_width(name, entry))
        except (TypeError, KeyError, ValueError) as error:
            faults.append(f"{name}: {error!r} in {entry!r}")
    if faults:
        raise DatasetError(
            f"{path} is no calibration a recording of LeRobot's could have been made with:\n  "
            + "\n  ".join(faults)
            + "\nEach joint needs range_min < range_max and drive_mode, as LeRobot writes them."
        )
    return np.array(widths)


def _width(name: str, entry: Any) -> float:
    low, high = entry["range_ticks"] if "range_ticks" in entry else (entry["range_min"], entry["range_max"])
    if not all(type(value) is int for value in (low, high, entry["drive_mode"])):
        raise TypeError("numbers that are not whole")
    if not low < high:
        raise ValueError(f"range {low}..{high}")
    if "range_ticks" in entry and name != arm.JOINT_NAMES[arm.GRIPPER]:
        middle = (low + high) / 2
        if entry["sign"] != 1 or entry["zero_ticks"] != middle:
            raise ValueError(f"zero at {entry['zero_ticks']}, not at the middle {middle} where LeRobot puts it")
    return float(low - high if entry["drive_mode"] else high - low)


def _scale(dataset: Dataset, calibration: Path) -> NDArray[np.float64]:
    """Return by what to multiply the columns, shape (6,) [deg per -100..100; 1 for the gripper]."""
    faults = []
    for key in dataset.unknown_units:
        names = dataset.features[key].names
        if names != arm.FEATURE_NAMES:
            faults.append(f"{key} has the elements {names}; a calibration converts {arm.FEATURE_NAMES}, in this order")
        elif key == STATE:
            largest = np.abs(dataset.columns[key]).max(axis=0)
            far = {name: float(value) for name, value in zip(names, largest, strict=True) if value > 100.0 + _ROUNDING}
            if far:
                faults.append(f"{key} reaches {far}; -100..100 ends at 100, so these are degrees: say --units degrees")
    if faults:
        raise DatasetError(f"{dataset.path} cannot be converted:\n  " + "\n  ".join(faults))
    scale = read_ranges(calibration) / 200.0 * DEG_PER_TICK
    scale[arm.GRIPPER] = 1.0
    return scale


def _copy(source: Path, folder: Path) -> None:
    """Copy a dataset as files of its own: the Hub's cache holds links to elsewhere, and read-only files are no use to edit."""
    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(f"*{PARTIAL}"))
    for entry in (folder, *folder.rglob("*")):
        entry.chmod(entry.stat().st_mode | stat.S_IWUSR)


def _convert_files(folder: Path, old: Dataset, scale: NDArray[np.float64]) -> None:
    """Multiply the columns in unknown units by `scale` in the data files, and describe them anew in the statistics."""
    keys = old.unknown_units
    columns = {key: _times(old.columns[key], scale) for key in keys}

    def rows(table: pa.Table) -> dict[str, list[object]]:
        return {key: _times(tables.to_numpy(table[key], len(scale)), scale).tolist() for key in keys}

    def summaries(table: pa.Table) -> dict[str, list[object]]:
        spans = [old.episode_starts[i : i + 2] for i in table["episode_index"].to_pylist()]
        changed: dict[str, list[object]] = {}
        for key in keys:
            stats = [statistics.summarise(columns[key][first:end]) for first, end in spans]
            named = {f"stats/{key}/{name}": [one[name].tolist() for one in stats] for name in statistics.NAMES}
            changed |= {name: values for name, values in named.items() if name in table.column_names}
        return changed

    for path in sorted((folder / "data").glob("*/*.parquet")):
        storage.write_file(path, tables.replace_columns(path, rows))
    for path in sorted((folder / "meta" / "episodes").glob("*/*.parquet")):
        storage.write_file(path, tables.replace_columns(path, summaries))
    whole = statistics.to_json({key: statistics.summarise(values) for key, values in columns.items()})
    stats_path = folder / layout.STATS_PATH
    storage.write_file(stats_path, writer.encode_json({**json.loads(stats_path.read_text(encoding="utf-8")), **whole}))


def _times(values: NDArray[Any], scale: NDArray[np.float64]) -> NDArray[Any]:
    return (values.astype(np.float64) * scale).astype(values.dtype)
