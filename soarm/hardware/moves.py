"""Check targets before they are sent, and plan the driver's own slow moves: to the parking pose, to where a run starts."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from soarm import arm
from soarm.hardware.observation import Joints
from soarm.kinematics import MINIMUM_JERK_PEAK, minimum_jerk

MOVE_HZ = 50
"""Steps per second of a move."""


def path(start: Joints, target: Joints, speed: float) -> Iterator[Joints]:
    """Yield the poses of a minimum-jerk move, the last one is the target.

    Args:
        start: Shape (6,) [deg x 5, percent].
        target: The same.
        speed: Of the joint that has the longest way, at its fastest [deg/s, percent/s].
    """
    n_steps = max(1, math.ceil(MINIMUM_JERK_PEAK * float(np.abs(target - start).max()) / speed * MOVE_HZ))
    for i in range(1, n_steps + 1):
        yield start + (target - start) * minimum_jerk(i / n_steps)


def require_targets(q: ArrayLike, low: Joints, high: Joints) -> Joints:
    """Return targets as an array, shape (6,) [deg x 5, percent].

    Args:
        q: What was asked for.
        low: Least that is allowed, shape (6,).
        high: Greatest that is allowed, shape (6,).

    Raises:
        ValueError: They are not six finite numbers, or out of range.
    """
    try:
        wanted = np.asarray(q, np.float64)
    except TypeError:
        raise ValueError(f"targets are six finite numbers [deg x 5, percent], not {q!r:.80}") from None
    if wanted.shape != (arm.N_JOINTS,) or not np.isfinite(wanted).all():
        raise ValueError(f"targets are six finite numbers [deg x 5, percent], not {q!r:.80}")
    outside = [name for name, x, a, b in zip(arm.JOINT_NAMES, wanted, low, high, strict=True) if not a <= x <= b]
    if outside:
        raise ValueError(
            f"the targets {wanted.round(2).tolist()} are out of range for {', '.join(outside)}; allowed are "
            f"{low.round(2).tolist()} to {high.round(2).tolist()}"
        )
    return wanted
