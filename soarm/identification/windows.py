"""What a log holds for a fit: pieces in which goals were sent without a break, cut into windows.

A simulation of a window begins a moment before it, from the measured state, and what it did by then does not count: so an
error of the measured speed, which encoders give in whole ticks, and of the friction's state is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.errors import LogError
from soarm.runtime.log import Run

Floats = NDArray[np.float64]
RUN_UP_S = 0.5
"""How long before a window its simulation begins: four times the slowest servo's response [s]."""
WINDOW_S = 1.0
_LONGEST_GAP_S = 0.2
"""A longer time without a tick ends a piece [s]."""


class Piece(NamedTuple):
    """A part of a run in which goals were sent without a break.

    Attributes:
        t_s: Time of each tick, rising, shape (T,) [s].
        goals: What was sent in it, shape (T, 6) [deg x 5, percent].
        q: Where the joints were read at its begin, shape (T, 6).
        velocity: How fast they moved, shape (T, 6) [deg/s, percent/s].
        heard: Whether a joint's position is of this tick, shape (T, 6).
    """

    t_s: Floats
    goals: Floats
    q: Floats
    velocity: Floats
    heard: NDArray[np.bool_]


class Window(NamedTuple):
    """A piece, from where its simulation begins, and the ticks that count."""

    piece: Piece
    start: int
    counted: slice


def pieces(run: Run) -> list[Piece]:
    """Return the pieces of a log."""
    records = run.records
    sent = np.asarray(records["sent"], bool)
    t_s = records["t_s"]
    breaks = np.flatnonzero((np.diff(t_s) > _LONGEST_GAP_S) | ~sent[1:] | ~sent[:-1]) + 1
    found = []
    for part in np.split(np.arange(len(records)), breaks):
        if len(part) > 1 and sent[part].all():
            rows = records[part]
            found.append(Piece(rows["t_s"], rows["q_sent"], rows["q_present"], rows["velocity"], rows["misses"] == 0))
    return found


def windows(found: Sequence[Piece]) -> list[Window]:
    """Cut pieces into windows.

    Raises:
        LogError: None is long enough.
    """
    cut = []
    for piece in found:
        begin_s = piece.t_s[0] + RUN_UP_S
        while begin_s + WINDOW_S <= piece.t_s[-1] + 1e-6:
            first, last = np.searchsorted(piece.t_s, [begin_s - 1e-6, begin_s + WINDOW_S - 1e-6])
            start = int(np.searchsorted(piece.t_s, begin_s - RUN_UP_S + 1e-6, side="right")) - 1
            cut.append(Window(piece, start, slice(int(first), int(last))))
            begin_s += WINDOW_S
    if not cut:
        raise LogError(
            f"the logs hold no {RUN_UP_S + WINDOW_S:g} s in which goals were sent without a break; `soarm excite` makes a log "
            "for this"
        )
    return cut
