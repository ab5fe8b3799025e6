"""Sensors of a run: each tells the value of one feature of the observation, and when it was so.

Knows neither objects nor pictures: `soarm.runtime.objects`, `camera`, `picture_file` and `eye` hold sensors.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import ObservationError

logger = logging.getLogger(__name__)


class Stamped(NamedTuple):
    """The value of a feature, and when it was so [s]."""

    t_s: float
    value: NDArray[Any]


class Sensor(Protocol):
    """Tells the value of a feature."""

    @property
    def subject(self) -> str:
        """What it observes, for messages: "cube and bin"."""

    def read(self) -> Stamped:
        """Return the latest value, without waiting; ObservationError where there is none that can be believed."""


@runtime_checkable
class FollowsArm(Protocol):
    """A sensor that computes its value from what the arm says of itself."""

    def update(self, q: ArrayLike, commanded: ArrayLike) -> None:
        """Take in where the joints are and where they were sent last, (6,) each; once per control step, before `read`."""


class SensorReader:
    """The latest value of every sensor. While a sensor fails, its last value stays and grows old.

    Args:
        sensors: Feature key -> sensor.
        first: Values to begin with; without one the first failure of a sensor is an error.

    Attributes:
        latest: Feature key -> latest value.
    """

    def __init__(self, sensors: Mapping[str, Sensor], first: Mapping[str, Stamped] | None = None) -> None:
        self._sensors, self.latest = dict(sensors), dict(first or {})
        self._faults: dict[str, str] = {}

    @property
    def faults(self) -> str:
        """Why sensors failed when they were read last; empty where none did."""
        return "; ".join(self._faults.values())

    def read(self, q: ArrayLike, commanded: ArrayLike) -> None:
        """Read every sensor; once per control step.

        Args:
            q: Where the joints are, shape (6,) [deg x 5, percent].
            commanded: Where they were sent last, shape (6,).

        Raises:
            ObservationError: A sensor failed that has no value yet.
        """
        for key, sensor in self._sensors.items():
            if isinstance(sensor, FollowsArm):
                sensor.update(q, commanded)
            try:
                self.latest[key] = sensor.read()
            except ObservationError as error:
                if key not in self.latest:
                    raise
                if str(error) != self._faults.get(key):
                    logger.warning("%s", error)
                self._faults[key] = str(error)
            else:
                self._faults.pop(key, None)

    def oldest(self, now_s: float) -> tuple[float, str]:
        """Return the age of the oldest value [s], NaN before any other, and what its sensor observes; 0 without sensors."""
        if not self.latest:
            return 0.0, ""
        ages_s = {key: now_s - value.t_s for key, value in self.latest.items()}
        key = list(ages_s)[int(np.argmax(list(ages_s.values())))]
        return ages_s[key], self._sensors[key].subject


def first_values(
    sensors: Mapping[str, Sensor],
    oldest_s: float,
    now: Callable[[], float] = time.monotonic,
    q: ArrayLike | None = None,
) -> dict[str, Stamped]:
    """Return the values with which a run may begin.

    Args:
        sensors: Feature key -> sensor.
        oldest_s: How old a value may be [s].
        now: The clock of the sensors [s].
        q: Where the joints are, shape (6,) [deg x 5, percent], for sensors that follow the arm; None before that is known.

    Raises:
        ObservationError: There is none that can be believed, or it is too old.
    """
    for sensor in sensors.values():
        if q is not None and isinstance(sensor, FollowsArm):
            sensor.update(q, q)
    found = {key: sensor.read() for key, sensor in sensors.items()}
    for key, (t_s, _) in found.items():
        age_s = now() - t_s
        if age_s > oldest_s:
            raise ObservationError(
                f"{sensors[key].subject} were last seen {age_s:.1f} s ago, and {oldest_s:g} s are allowed; start what sees "
                "them or writes their file, and let it run"
            )
    return found
