"""The physics that is identified, as one vector of numbers and back, with units, bounds, and what counts as determined.

The numbers of the vector are of similar size: the logarithm of a stiffness in tenths, a friction in 0.02 N m, a delay in 5 ms.
Steps of finite differences and of the search are then the same for all. Joint zeros are not among them: positions hardly tell
them (docs/identify.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm

Floats = NDArray[np.float64]
N = arm.N_JOINTS


class ArmPhysics(NamedTuple):
    """What an arm is made of, as far as it is identified.

    Attributes:
        gain: Stiffness of each servo, shape (6,) [N m/rad].
        damping: What each servo and its gears brake by, shape (6,) [N m s/rad].
        friction_nm: Dry friction of each joint, shape (6,) [N m].
        armature: Inertia of a motor at its joint, the same for all: they have the same servos [kg m2].
        delay_s: From a goal being sent to the servo following it, of all joints [s].
    """

    gain: Floats
    damping: Floats
    friction_nm: Floats
    armature: float
    delay_s: float


class Quantity(NamedTuple):
    """One kind of number that is identified.

    Attributes:
        name: Its field in `ArmPhysics`.
        title: What it is called.
        unit: In which it is reported.
        step: What counts as 1 in the vector.
        by_log: Whether it is sought by its logarithm, and `step` and `most_error` are shares of it.
        bounds: Least and greatest value.
        most_error: Standard error up to which a value counts as determined; see `by_log`.
    """

    name: str
    title: str
    unit: str
    step: float
    by_log: bool
    bounds: tuple[float, float]
    most_error: float


QUANTITIES = (
    Quantity("gain", "stiffness", "N m/rad", 0.1, True, (2.0, 300.0), 0.05),
    Quantity("damping", "damping", "N m s/rad", 0.1, True, (0.05, 20.0), 0.1),
    Quantity("friction_nm", "friction", "N m", 0.02, False, (0.0, 2.0), 0.02),
    Quantity("armature", "inertia of the motors", "kg m2", 0.1, True, (0.003, 0.5), 0.25),
    Quantity("delay_s", "delay", "s", 0.005, False, (0.0, 0.25), 0.0025),
)
"""Twice the error of `most_error` is what issue and documentation promise: 10 % of a stiffness, 5 ms of a delay."""


_SHARED = ("armature", "delay_s")


class Entry(NamedTuple):
    """One number of the vector: of which kind, and of which joint; None for one that all joints share."""

    quantity: Quantity
    joint: int | None


ENTRIES: tuple[Entry, ...] = tuple(
    Entry(quantity, joint) for quantity in QUANTITIES for joint in ((None,) if quantity.name in _SHARED else range(N))
)


def to_vector(physics: ArmPhysics) -> Floats:
    """Return physics as a vector, shape (20,)."""
    return np.array([_coded(value, entry.quantity) for value, entry in zip(values(physics), ENTRIES, strict=True)])


def to_physics(vector: Sequence[float] | Floats) -> ArmPhysics:
    """Return the physics that a vector of shape (20,) stands for."""
    values = np.array([_decoded(x, entry.quantity) for x, entry in zip(vector, ENTRIES, strict=True)])
    shared = len(_SHARED)
    return ArmPhysics(*values[:-shared].reshape(-1, N), *values[-shared:].tolist())


def bounds() -> tuple[Floats, Floats]:
    """Return least and greatest vector, shape (20,) each."""
    low, high = ([_coded(entry.quantity.bounds[i], entry.quantity) for entry in ENTRIES] for i in (0, 1))
    return np.array(low), np.array(high)


def errors_in_units(vector: Floats, errors: Floats) -> Floats:
    """Return standard errors of a vector's numbers in their units, shape (20,)."""
    steps = np.array([entry.quantity.step for entry in ENTRIES])
    per_unit = np.array(
        [v if entry.quantity.by_log else 1.0 for v, entry in zip(values(to_physics(vector)), ENTRIES, strict=True)]
    )
    found: Floats = errors * steps * per_unit
    return found


def determined(errors: Floats) -> NDArray[np.bool_]:
    """Return which numbers of a vector with these standard errors (in the vector's steps) are determined, shape (20,)."""
    most = np.array([entry.quantity.most_error / entry.quantity.step for entry in ENTRIES])
    return np.asarray(errors <= most)


def values(physics: ArmPhysics) -> Floats:
    """Return physics in their units, in the order of the vector, shape (20,)."""
    return np.concatenate([np.atleast_1d(values) for values in physics])


def _coded(value: float, quantity: Quantity) -> float:
    return (math.log(value) if quantity.by_log else value) / quantity.step


def _decoded(x: float, quantity: Quantity) -> float:
    return math.exp(x * quantity.step) if quantity.by_log else x * quantity.step
