"""The limits of the safety chain, and a file for them.

{"velocity": 180, "acceleration": 10000, "lead": [30, 40, 50, 30, 40, 30], "table_m": 0.0}
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.errors import FaultError, SmallFileError
from soarm.smallfile import load_json, shown

Joints = NDArray[np.float64]
"""Shape (6,) [deg x 5, percent], or per second."""
_BOXES = {"velocity", "acceleration", "lead"}
_MOST = {"velocity": 1000.0, "acceleration": 1e6, "lead": 360.0}
"""Greatest limit that a file may name: beyond what any servo of this arm does [deg/s, deg/s2, deg, and percent]."""
_TABLE_M = 1.0
"""A table is at most so far above or below the base [m]."""
_USUAL: Mapping[str, Any] = MappingProxyType(
    {
        "velocity": np.full(arm.N_JOINTS, 360.0),
        "acceleration": np.full(arm.N_JOINTS, 10_000.0),
        "lead": np.array([30.0, 40.0, 50.0, 30.0, 40.0, 30.0]),
        "table_m": -0.01,
    }
)


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the arm may be told.

    Attributes:
        lower: Least target, shape (6,) [deg x 5, percent].
        upper: Greatest target, shape (6,).
        velocity: Greatest change of the target, shape (6,) [deg/s, percent/s].
        acceleration: Greatest change of that, shape (6,) [deg/s2, percent/s2].
        lead: Greatest distance of the target from the present position, shape (6,) [deg x 5, percent].
        table_m: No point of the hand may be lower, in the frame of the base [m]; None where there is nothing below.
    """

    lower: Joints
    upper: Joints
    velocity: Joints
    acceleration: Joints
    lead: Joints
    table_m: float | None

    @classmethod
    def usual(cls, lower: ArrayLike, upper: ArrayLike) -> Limits:
        """Return the limits of `soarm drive` for an arm with this range.

        Speed: a servo's own at 7.4 V is 300 deg/s. Acceleration: the servo's own is 2230 deg/s2 (register 41 at 254), but its
        targets change faster. Of ACT's control steps 99 % need less than 10 800 deg/s2; held to 10 000 at 60 Hz its targets
        are 0.03 deg off on the average, and a jump from rest takes three ticks to full speed and does not swing. Lead: more
        than what the demonstrations needed in their fastest moments, since the simulator's servos lag behind too. Table: the
        policies press a cube that lies on it.
        """
        return cls(np.asarray(lower), np.asarray(upper), **_USUAL)

    @classmethod
    def load(cls, path: Path, lower: ArrayLike, upper: ArrayLike) -> Limits:
        """Read limits from JSON; what the file does not name is as in `usual`, and one number stands for all six joints.

        Raises:
            FaultError: The file is missing, no JSON, names what does not exist, or a limit that is none.
        """
        try:
            data = load_json(path, finite=False)  # a number that is not finite is named with its bounds
            faults = _faults_of_file(data)
            if faults:
                raise SmallFileError("; ".join(faults))
            boxes = {name: np.broadcast_to(np.asarray(data[name], np.float64), arm.N_JOINTS) for name in _BOXES & set(data)}
            return cls(np.asarray(lower), np.asarray(upper), **(_USUAL | data | boxes))
        except ValueError as error:
            raise FaultError(
                f"{path} is no file of limits ({error}); a JSON object may name {', '.join(_USUAL)}, each one number or one "
                "per joint, table_m one number or null"
            ) from None

    def __post_init__(self) -> None:
        faults = []
        for field in ("lower", "upper", "velocity", "acceleration", "lead"):
            value = np.asarray(getattr(self, field), np.float64)
            object.__setattr__(self, field, value)
            if value.shape != (arm.N_JOINTS,) or not np.isfinite(value).all():
                faults.append(f"{field} is {value.tolist()}; it must be {arm.N_JOINTS} finite numbers")
            elif field not in ("lower", "upper") and not (value > 0).all():
                faults.append(f"{field} is {value.tolist()}; each must be above 0")
        if self.table_m is not None and not (isinstance(self.table_m, (int, float)) and math.isfinite(self.table_m)):
            faults.append(f"table_m is {self.table_m!r}; it must be a finite number, or None")
        if not faults and not (self.lower < self.upper).all():
            faults.append(f"lower is {self.lower.tolist()} and upper {self.upper.tolist()}; each joint needs a range")
        if faults:
            raise ValueError("; ".join(faults))


def _faults_of_file(data: Mapping[str, Any]) -> list[str]:
    unknown = sorted(set(data) - set(_USUAL))
    faults = [f"there is no limit named {', '.join(unknown)!s:.80}"] if unknown else []
    for name, most in _MOST.items():
        value = data.get(name, 1.0)
        each = value if isinstance(value, list) else [value] * arm.N_JOINTS
        if len(each) != arm.N_JOINTS or not all(_is_number(one) and math.isfinite(one) for one in each):
            faults.append(f"{name} is {shown(value)}; it must be one number or {arm.N_JOINTS} finite numbers")
        elif not all(0 < one <= most for one in each):
            faults.append(f"{name} is {shown(value)}; each must be above 0, to {most:g}")
    table = data.get("table_m")
    if table is not None and not (_is_number(table) and -_TABLE_M <= table <= _TABLE_M):
        faults.append(f"table_m is {shown(table)}; it must be a number in -{_TABLE_M:g}..{_TABLE_M:g} [m], or null")
    return faults


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
