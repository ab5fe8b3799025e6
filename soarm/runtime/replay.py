"""Replay a log through the safety chain, and compare what it lets through with the log, to the bit."""

from __future__ import annotations

import dataclasses
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.errors import LogError
from soarm.hardware.calibration import Calibration
from soarm.runtime.log import Run
from soarm.runtime.safety import Last, Limits, check
from soarm.smallfile import shown

_BOXES = ("lower", "upper", "velocity", "acceleration", "lead")


class Replayed(NamedTuple):
    """What came of it: ticks, and the places of those that differ."""

    n_ticks: int
    differing: tuple[int, ...]


def limits_of(run: Run) -> Limits:
    """Return the limits a log was written under; LogError where its header names none."""
    try:
        limits = run.header["limits"]
        if not all(_are_numbers(limits[name]) for name in _BOXES):
            raise ValueError("each limit is a list of numbers")
        return Limits(**{name: np.array(limits[name]) for name in _BOXES}, table_m=limits["table_m"])
    except (KeyError, TypeError, ValueError) as error:
        raise LogError(f"the log's header names no limits ({error!r}); it was not written by `soarm drive`") from None


def _are_numbers(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in value)


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
        if isinstance(approach, bool) or not isinstance(approach, int | float) or not 0 < approach < math.inf:
            raise LogError(f"the log's header has approach {shown(approach)}; it must be a number above 0 [deg/s]")
        slow = dataclasses.replace(limits, velocity=np.minimum(limits.velocity, approach))
    used = ("last_q", "last_velocity", "q_present", "dt_s")
    bad = [name for name in used if not np.isfinite(run.records[name]).all()]
    if bad or not (run.records["dt_s"] > 0).all():
        raise LogError(
            f"the log's records cannot be replayed: {', '.join(bad) or 'dt_s'} must be finite, and periods above 0 s; it is "
            "damaged, or was not written by `soarm drive`"
        )
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
