"""The log of a run as episodes of a LeRobot dataset: what the arm saw and was told, at the policy's rate.

Every control tick is a frame: the joints and objects as they were read then, and as action what the arm had been told by the
end of that control period. Where nothing was sent (the arm held, a deadline was missed) an episode ends: a dataset's frames
are evenly spaced in time, and a gap must not be hidden in one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.errors import LogError
from soarm.policy import Observation
from soarm.runtime.log import Run
from soarm.smallfile import shown
from soarm.spec import ENVIRONMENT_STATE, STATE

MIN_FRAMES = 10
"""Shorter pieces are no episode."""
MOST_HZ = 1000
"""Greatest control rate of a log [Hz]."""
_TOLERANCE = 0.5
"""Of a control period: how far from its time a frame may be."""


class Piece(NamedTuple):
    """Evenly spaced frames: observations, each (T, ...), and actions (T, 6)."""

    observations: Observation
    actions: NDArray[np.float32]


def pieces(run: Run) -> list[Piece]:
    """Return the evenly spaced pieces of a log, in order.

    Raises:
        LogError: Its header names no control rate, or there is none.
    """
    control_hz = run.header.get("control_hz")
    if type(control_hz) is not int or not 1 <= control_hz <= MOST_HZ:
        raise LogError(
            f"the log's header has control_hz {shown(control_hz)}; it must be a whole number in 1..{MOST_HZ}, as "
            "`soarm drive` writes it"
        )
    records = run.records
    if np.isnan(records["objects"]).all() and len(records):
        raise LogError("the log holds no objects: the run saw pictures alone, which no log keeps")
    if not records["control"].any():
        raise LogError("the log holds no control period: the run ended before it drove, or the log was cut off there")
    starts = np.flatnonzero(records["control"])
    ends = np.append(starts[1:], len(records)) - 1  # the last bus tick of each control period
    sent = np.array([records["sent"][start : end + 1].all() for start, end in zip(starts, ends, strict=True)], bool)
    gaps = ~(np.abs(np.diff(records["t_s"][starts]) - 1.0 / control_hz) <= _TOLERANCE / control_hz)
    found, first = [], 0
    for i in range(1, len(starts) + 1):
        if i == len(starts) or gaps[i - 1] or sent[i] != sent[i - 1]:
            if i - first >= MIN_FRAMES and sent[first]:
                seen, told = starts[first:i], ends[first:i]
                observations = {
                    STATE: records["q_present"][seen].astype(np.float32),
                    ENVIRONMENT_STATE: records["objects"][seen].astype(np.float32),
                }
                found.append(Piece(observations, records["q_sent"][told].astype(np.float32)))
            first = i
    if not found:
        raise LogError(
            f"the log holds no {MIN_FRAMES} control periods in a row in which the arm was driven: a dry run, or one that held"
        )
    return found
