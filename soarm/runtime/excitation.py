"""A motion that tells what an arm is made of: every joint swings slowly, faster and fast, around a pose in the air.

Slow swings turn round often at little speed, which tells friction and what the weight does; fast ones tell stiffness and
delay. Each joint has frequencies of its own, so that what one does to another is told from its own.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from soarm import arm
from soarm.errors import FaultError
from soarm.policy import Observation
from soarm.runtime.inference import ChunkPrediction
from soarm.runtime.limits import Limits
from soarm.runtime.safety import lowest_m

Floats = NDArray[np.float64]
CENTRE = (0.0, -40.0, 20.0, 40.0, 0.0, 50.0)
"""The pose around which it swings, the hand 15 cm above the table [deg x 5, percent]."""
_BANDS = (
    (0.13, (22.0, 14.0, 14.0, 20.0, 25.0, 20.0)),
    (0.6, (6.0, 5.0, 5.0, 6.0, 7.0, 6.0)),
    (1.5, (3.0, 2.5, 2.5, 3.0, 3.5, 2.5)),
)
"""Lowest frequency of a band [Hz], and how far each joint swings in it [deg x 5, percent]: at most 1.5 N m, of 3.5."""
_SPREAD = (1.0, 1.13, 1.26, 1.39, 1.52, 1.65)
"""Frequencies of a band, one per joint, as multiples of its lowest."""
_ORDERS = ((1, 4, 0, 3, 5, 2), (3, 0, 5, 2, 4, 1), (5, 2, 4, 0, 1, 3))
"""Which of them a joint has in each band."""
_PHASE_RAD = 2.4
"""Of a joint after the one before: the golden angle, so that no two turn round together."""
_EASE_S = 2.0
"""It grows and dies down over this time [s]."""
_ABOVE_TABLE_M = 0.04
"""The hand stays so far above the table [m]."""


def motion(seconds: float, hz: int, limits: Limits, size: float = 1.0) -> Floats:
    """Return the targets of the motion, shape (T, 6) [deg x 5, percent].

    Args:
        seconds: How long it lasts [s].
        hz: Targets per second [Hz].
        limits: Range and table; the swing of a joint shrinks to what lies inside.
        size: Share of the full swing.

    Raises:
        FaultError: The table is too near for any swing.
    """
    t_s = np.arange(round(seconds * hz)) / hz
    swing = np.zeros((len(t_s), arm.N_JOINTS))
    for (lowest_hz, amplitudes), order in zip(_BANDS, _ORDERS, strict=True):
        hz_of_joint = lowest_hz * np.array(_SPREAD)[list(order)]
        phase = _PHASE_RAD * np.arange(arm.N_JOINTS)
        swing += np.array(amplitudes) * np.sin(2 * math.pi * hz_of_joint * t_s[:, None] + phase)
    ease = np.clip(np.minimum(t_s, t_s[-1] - t_s) / _EASE_S, 0.0, 1.0)[:, None]
    centre = np.clip(CENTRE, limits.lower, limits.upper)
    room = np.minimum(centre - limits.lower, limits.upper - centre)
    fits = np.minimum(1.0, room / np.abs(swing).max(axis=0))
    while size > 0.1:
        targets: Floats = centre + size * fits * ease * swing
        if limits.table_m is None or lowest_m(targets).min() >= limits.table_m + _ABOVE_TABLE_M:
            return targets
        size *= 0.9
    raise FaultError(
        f"the table is {limits.table_m:g} m above the base, and the hand would come nearer than {_ABOVE_TABLE_M} m to it: "
        "mount the arm higher, or correct table_m in the file of limits"
    )


class Playback:
    """Targets on the clock, in the place of a policy's network (`soarm.runtime.protocols.ChunkSource`).

    After a stop it goes on where the clock stands.

    Args:
        targets: Shape (T, 6) [deg x 5, percent].
        hz: Targets per second [Hz].
    """

    def __init__(self, targets: Floats, hz: int) -> None:
        self._targets, self._hz = targets.astype(np.float32), hz
        self._began_s: float | None = None
        self._chunk: ChunkPrediction | None = None

    def ask(self, t_s: float, observation: Observation) -> None:
        """Put out what is left of the motion; the first call begins it."""
        self._began_s = t_s if self._began_s is None else self._began_s
        i = round((t_s - self._began_s) * self._hz)
        if i < len(self._targets):
            self._chunk = ChunkPrediction(t_s, self._targets[i:])

    def take(self) -> ChunkPrediction | None:
        """Return it, once; None if there is none."""
        chunk, self._chunk = self._chunk, None
        return chunk

    def forget(self) -> None:
        """Drop it."""
        self._chunk = None
