"""How far a push gets."""

from __future__ import annotations

import enum


class Stage(enum.IntEnum):
    """How far a push got; `info["stage"]` holds the furthest one reached so far."""

    START = 0
    REACH = 1
    TOUCH = 2
    NEAR = 3
    INSIDE = 4
    REST = 5
