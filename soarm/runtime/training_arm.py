"""The arm a policy was trained on: a file of the bundle, so that the runtime can hold it against the arm at hand."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from soarm import arm
from soarm.errors import SmallFileError
from soarm.smallfile import parse_json, shown

_RANGES = {"position_gain_nm_per_rad": 10_000.0, "force_limit_nm": 1000.0, "latency_s": 10.0}
"""Field that is a range -> its greatest value."""
_MOST_HZ = 1000
_TURN = 360.0
_MOST_HOLD_S = 60.0


@dataclasses.dataclass(frozen=True)
class TrainingArm:
    """Ranges are lowest and highest: a simulator may draw them anew in every episode.

    Attributes:
        control_hz: Control rate [Hz].
        position_gain_nm_per_rad: Stiffness of the servos [N m/rad].
        force_limit_nm: Their greatest torque [N m].
        latency_s: Delay of the actuators [s].
        start: Where its episodes started, shape (6,) [deg x 5, percent]; None where it does not say.
        success_hold_s: How long the task had to stay done until an episode was over [s]; None where it does not say.
    """

    control_hz: int
    position_gain_nm_per_rad: tuple[float, float]
    force_limit_nm: tuple[float, float]
    latency_s: tuple[float, float]
    start: tuple[float, ...] | None = None
    success_hold_s: float | None = None

    def to_json(self) -> str:
        """Return the file's text."""
        return json.dumps(dataclasses.asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, content: bytes | str) -> TrainingArm:
        """Read the file's content.

        Raises:
            SmallFileError: It is not this; lists every fault.
        """
        data = parse_json(content)
        data.pop("calibration", None)  # bundles of before name one, always null
        faults = [
            f"{shown(name)} is unknown" for name in sorted(set(data) - {field.name for field in dataclasses.fields(cls)})
        ]
        control_hz, start = data.get("control_hz"), data.get("start")
        if type(control_hz) is not int or not 1 <= control_hz <= _MOST_HZ:
            faults.append(f"control_hz is {shown(control_hz)}; it must be a whole number in 1..{_MOST_HZ}")
        for name, most in _RANGES.items():
            ends = data.get(name)
            if not _are_numbers(ends, 2) or not 0 <= ends[0] <= ends[1] <= most:
                faults.append(f"{name} is {shown(ends)}; it must be two numbers in 0..{most:g}, the lower first")
        if start is not None and not (_are_numbers(start, arm.N_JOINTS) and all(abs(one) <= _TURN for one in start)):
            faults.append(f"start is {shown(start)}; it must be {arm.N_JOINTS} numbers in -{_TURN:g}..{_TURN:g}, or null")
        hold_s = data.get("success_hold_s")
        if hold_s is not None and not (_are_numbers([hold_s], 1) and 0 <= hold_s <= _MOST_HOLD_S):
            faults.append(f"success_hold_s is {shown(hold_s)}; it must be a time in 0..{_MOST_HOLD_S:g}, or null")
        if faults:
            raise SmallFileError("does not describe an arm: " + "; ".join(faults))
        ranges = {name: (float(data[name][0]), float(data[name][1])) for name in _RANGES}
        began = None if start is None else tuple(map(float, start))
        return cls(control_hz=control_hz, start=began, success_hold_s=None if hold_s is None else float(hold_s), **ranges)


def _are_numbers(value: Any, n: int) -> bool:
    """Whether it is a list of n numbers; whether they are finite, its bounds say."""
    return (
        isinstance(value, list)
        and len(value) == n
        and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)
    )
