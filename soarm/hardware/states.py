"""The states of an arm, and the steps between them."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where an arm stands."""

    DISCONNECTED = "disconnected"
    LIMP = "limp"
    HOLD = "hold"
    ACTIVE = "active"
    FAULT = "fault"


_D, _L, _H, _A, _F = State
TRANSITIONS: frozenset[tuple[State, State]] = frozenset(
    {(_D, _L), (_D, _H), (_L, _H), (_H, _A), (_A, _H), (_H, _L), (_A, _L), (_F, _H), (_F, _L)}
    | {(state, _F) for state in (_L, _H, _A, _F)}
    | {(state, _D) for state in State}
)
"""The steps an arm can take; nothing else happens, and each has its cause in `Arm.events`."""
