"""Slow moves of the arm's own: to the parking pose, to where a run starts. No policy and no safety chain in them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from soarm.hardware.observation import Joints

MOVE_HZ = 50
"""Steps per second of a move."""
_PEAK = 1.875
"""A minimum-jerk move is this many times as fast in its middle as on the average."""


def path(start: Joints, target: Joints, speed: float) -> Iterator[Joints]:
    """Yield the poses of a minimum-jerk move, the last one is the target.

    Args:
        start: Shape (6,) [deg x 5, percent].
        target: The same.
        speed: Of the joint that has the longest way, at its fastest [deg/s, percent/s].
    """
    n_steps = max(1, math.ceil(_PEAK * float(np.abs(target - start).max()) / speed * MOVE_HZ))
    for i in range(1, n_steps + 1):
        share = i / n_steps
        yield start + (target - start) * share**3 * (10 - 15 * share + 6 * share**2)
