"""A log through the same safety chain again: does it say today what it said then, to the bit?"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.errors import LogError
from soarm.hardware.calibration import Calibration
from soarm.runtime.log import Run
from soarm.runtime.safety import Last, Limits, check

_BOXES = ("lower", "upper", "velocity", "acceleration", "lead")


class Replayed(NamedTuple):
    """What came of it: ticks, and the places of those that differ."""

    n_ticks: int
    differing: tuple[int, ...]


def limits_of(run: Run) -> Limits:
    """Return the limits a log was written under; LogError where its header names none."""
    try:
        limits = run.header["limits"]
        return Limits(**{name: np.array(limits[name]) for name in _BOXES}, table_m=limits["table_m"])
    except (KeyError, TypeError, ValueError) as error:
        raise LogError(f"the log's header names no limits ({error!r}); it was not written by `soarm drive`") from None


def header_of(limits: Limits) -> dict[str, object]:
    """Return limits as a log's header holds them; JSON keeps floats to the bit."""
    return {**{name: getattr(limits, name).tolist() for name in _BOXES}, "table_m": limits.table_m}


def replay(run: Run, calibration: Calibration | None = None) -> Replayed:
    """Put every recorded action through the safety chain, from the recorded state, and compare targets, reasons and ticks.

    Args:
        run: A log.
        calibration: Of the arm it was written on, for the ticks; None compares targets and reasons alone.

    Raises:
        LogError: The log names no limits, or was written with another calibration.
    """
    limits = limits_of(run)
    if calibration is not None and calibration.hash != run.header.get("calibration"):
        raise LogError(
            f"the log was written with the calibration {str(run.header.get('calibration'))[:12]}, this is "
            f"{calibration.hash[:12]}"
        )
    approach = run.header.get("approach")
    slow = limits
    if approach is not None:
        slow = dataclasses.replace(limits, velocity=np.minimum(limits.velocity, approach))
    differing = []
    for i, record in enumerate(run.records):
        last = Last(record["last_q"], record["last_velocity"])
        chosen = limits if record["arrived"] else slow
        found = check(record["action"], last, record["q_present"], float(record["dt_s"]), chosen)
        reasons = [int(reason) for reason in found.reasons]
        same = _same(found.q, record["q_sent"]) and reasons == record["reasons"].tolist()
        if same and calibration is not None and record["sent"]:
            same = (calibration.to_ticks(found.q) == record["ticks_sent"]).all()
        if not same:
            differing.append(i)
    return Replayed(len(run.records), tuple(differing))


def _same(left: NDArray[np.float64], right: NDArray[np.float64]) -> bool:
    return left.tobytes() == np.ascontiguousarray(right).tobytes()
