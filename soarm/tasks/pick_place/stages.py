"""How far a pick and place gets."""

from __future__ import annotations

import enum


class Stage(enum.IntEnum):
    """How far a pick and place got; `info["stage"]` holds the furthest one reached so far."""

    START = 0
    REACH = 1
    GRASP = 2
    LIFT = 3
    TRANSPORT = 4
    PLACE = 5
