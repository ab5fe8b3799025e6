"""How far a stacking gets."""

from __future__ import annotations

import enum


class Stage(enum.IntEnum):
    """How far a stacking got; `info["stage"]` holds the furthest one reached so far."""

    START = 0
    REACH = 1
    GRASP = 2
    LIFT = 3
    ALIGN = 4
    STACK = 5
