"""The arm a policy was trained on: a file of the bundle, so that the runtime can hold it against the arm at hand."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

_RANGES = ("position_gain_nm_per_rad", "force_limit_nm", "latency_s")


@dataclasses.dataclass(frozen=True)
class TrainingArm:
    """Ranges are lowest and highest: a simulator may draw them anew in every episode.

    Attributes:
        control_hz: Control rate [Hz].
        position_gain_nm_per_rad: Stiffness of the servos [N m/rad].
        force_limit_nm: Their greatest torque [N m].
        latency_s: Delay of the actuators [s].
        start: Where its episodes started, shape (6,) [deg x 5, percent]; None where it does not say.
        success_hold_s: How long the cube had to lie in the bin until an episode was over [s]; None where it does not say.
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
    def from_json(cls, text: str) -> TrainingArm:
        """Read the file's text; ValueError where it is not this."""
        data: Any = json.loads(text)
        try:
            data.pop("calibration", None)  # bundles of before name one, always null
            for name in _RANGES:
                low, high = data[name]
                data[name] = (float(low), float(high))
            if data.get("start") is not None:
                data["start"] = tuple(map(float, data["start"]))
            if data.get("success_hold_s") is not None:
                data["success_hold_s"] = float(data["success_hold_s"])
                if not 0 <= data["success_hold_s"] < math.inf:
                    raise TypeError(f"success_hold_s is {data['success_hold_s']}; it must be a time")
            return cls(**data)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{error!r}") from None
