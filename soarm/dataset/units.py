"""Units of a dataset's features: what the file says, what somebody declares, or unknown.

LeRobot writes no units. Its SO followers recorded -100..100 of each joint's calibrated range by default up to 0.4.3, and
degrees from 0.4.4 on (22 January 2026), so joints whose units no file of ours says are in unknown units until somebody
declares them. The gripper is 0..100 in both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from numpy.typing import NDArray

from soarm import arm
from soarm.errors import DatasetError
from soarm.spec import ACTION, STATE, UNKNOWN_UNIT, Feature
from soarm.tasks.registry import TASKS

DEGREES: Final = "degrees"
"""What can be declared: degrees for the arm's joints, 0 (closed) to 100 (open) for the gripper."""

NEAR_END = 0.5
"""A joint that was swept from stop to stop ends this near to -100 and 100 where values are normalised."""

DEFAULTS_OF_LEROBOT: Final = (
    "LeRobot's SO arms record -100..100 by default up to 0.4.3 (before 22 January 2026) and degrees from 0.4.4 on; "
    "no file of LeRobot's says which"
)


def of_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return the units that follow from the names of a feature's elements: those of a task's objects; unknown for others."""
    names = tuple(names)
    objects = (task.objects for task in TASKS.values())
    return next((one.units for one in objects if one.names == names), (UNKNOWN_UNIT,) * len(names))


def unknown_joints(features: Mapping[str, Feature]) -> list[str]:
    """Return which of state and action have elements in unknown units."""
    return [key for key in (STATE, ACTION) if key in features and UNKNOWN_UNIT in features[key].units]


def declare(features: Mapping[str, Feature], units: str, name: str) -> dict[str, Feature]:
    """Return `features` with the joints' units as somebody says them; other units stay as they are.

    Args:
        features: Feature key -> what its elements are.
        units: `DEGREES`.
        name: The dataset, for the message.

    Raises:
        DatasetError: `units` is none that can be declared, contradicts what the dataset says, or no element is a joint.
    """
    if units != DEGREES:
        raise DatasetError(
            f"{name}: units {units!r} cannot be declared; {DEGREES!r} can. -100..100 is converted: "
            "soarm dataset convert SOURCE DESTINATION --calibration FILE"
        )
    result = {key: replace(f, units=tuple(map(_declared, f.names, f.units))) for key, f in features.items()}
    faults = []
    for key, feature in result.items():
        if feature.kind == "image":
            continue
        wanted = tuple(_of_joint(element) or unit for element, unit in zip(feature.names, feature.units, strict=True))
        if wanted != feature.units:
            faults.append(f"{key} is in {feature.units}, as the dataset says; {DEGREES} would be {wanted}")
    if not any(_of_joint(element) for key in (STATE, ACTION) if key in features for element in features[key].names):
        found = {key: features[key].names for key in (STATE, ACTION) if key in features}
        faults.append(f"no element is a joint of this arm ({', '.join(arm.FEATURE_NAMES)}); there are {found}")
    if faults:
        raise DatasetError(f"{name}: units {units!r} contradict it:\n  " + "\n  ".join(faults))
    return result


def looks_normalised(columns: Mapping[str, NDArray[Any]], features: Mapping[str, Feature]) -> list[str]:
    """Return the joints whose values look like -100..100 of a calibrated range; empty where too few do.

    A value of exactly -100.0 or 100.0 as the least or greatest of two joints or more is an end of a range: degrees do not stop
    there. So are three joints or more that span -100..100 to within `NEAR_END`.

    Args:
        columns: Feature key -> (N, D), as the dataset holds them.
        features: Feature key -> what its elements are.
    """
    exact: list[str] = []
    spanning: list[str] = []
    for key in (STATE, ACTION):
        if key not in columns or not len(columns[key]):
            continue
        low, high = columns[key].min(axis=0), columns[key].max(axis=0)
        for i, element in enumerate(features[key].names):
            if "gripper" in element:
                continue  # it is 0..100 everywhere
            if low[i] == -100.0 or high[i] == 100.0:
                exact.append(element)
            if abs(low[i] + 100.0) < NEAR_END and abs(high[i] - 100.0) < NEAR_END:
                spanning.append(element)
    exact, spanning = list(dict.fromkeys(exact)), list(dict.fromkeys(spanning))
    return exact if len(exact) >= 2 else spanning if len(spanning) >= 3 else []


def how_to_say(path: object, say: str, normalised: Iterable[str]) -> str:
    """Return the sentences that tell how the units of a dataset are said.

    Args:
        path: The dataset's folder.
        say: What declares degrees where the reader is ("--replay-units degrees").
        normalised: What `looks_normalised` found.
    """
    joints = ", ".join(normalised)
    looks = f" Its values end at -100 or 100 in {joints}, so they look like -100..100." if joints else ""
    return (
        f"{DEFAULTS_OF_LEROBOT}.{looks} If it is in degrees, say so: {say}. If it is -100..100, convert it with the "
        f"calibration the arm had then: soarm dataset convert {path} NEW_FOLDER --calibration FILE.json"
    )


def _of_joint(element: str) -> str | None:
    """Return the unit of an element named like a joint of this arm, with or without an arm's name before it."""
    for name, unit in zip(arm.FEATURE_NAMES, arm.UNITS, strict=True):
        if element == name or element.endswith(f"_{name}"):
            return unit
    return None


def _declared(element: str, unit: str) -> str:
    return _of_joint(element) or unit if unit == UNKNOWN_UNIT else unit
