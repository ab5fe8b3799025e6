"""The safety chain: whatever a policy wants, what the arm is told is inside every limit. A pure function.

What is not six finite numbers is refused: the arm is sent where it was last sent. So is an action that comes with a present
position, a last target or a time that cannot be: what is sensible of them is used, and without a time the arm stays. Then, in
this order:

    range           the calibrated range
    lead            how far a joint may be sent from where it *is*: a joint that is blocked is not wound up against
    velocity        how far a joint may be sent from where it was sent last
    acceleration    how much that may change from one tick to the next, and no faster than it can stop where it is to go
    table           the step is shortened until no point of wrist and fixed jaw is below the table, or lower than it was

The first four are boxes; the target becomes the nearest point of their intersection. Where boxes contradict each other (the
arm was pushed away, a range was narrowed) an earlier one wins: a later one counts as far as it lies inside. Shortening the
step keeps range and velocity; it may brake harder than the acceleration allows and fall behind the lead. So range and table
hold always, velocity unless range or lead force more, acceleration unless any of the others forces more.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.errors import FaultError
from soarm.runtime.limits import Joints, Limits

__all__ = ["Checked", "Joints", "Last", "Limits", "Reason", "check", "lowest_m", "names_of"]
_SENSIBLE = 1000.0
"""No joint turns that far [deg, percent]; a number beyond is none, and must not lead a joint to the end of its range."""
_DT_S = (1e-4, 1.0)
"""Times that may lie between two targets [s]."""


class Reason(enum.IntFlag):
    """Why a joint was not told what was wanted."""

    NONE = 0
    RANGE = 1
    LEAD = 2
    VELOCITY = 4
    ACCELERATION = 8
    TABLE = 16


def names_of(reasons: Iterable[int]) -> set[str]:
    """Return the names of the limits that cut any of the joints, from the reasons of each."""
    return {reason.name or "" for joint in reasons for reason in Reason(joint)}


class Last(NamedTuple):
    """What the arm was told last.

    Attributes:
        q: Targets, shape (6,) [deg x 5, percent].
        velocity: Their change to that, shape (6,) [deg/s, percent/s]; zero at the start.
    """

    q: Joints
    velocity: Joints


class Checked(NamedTuple):
    """What the chain lets through.

    Attributes:
        q: Targets to send, shape (6,) [deg x 5, percent].
        velocity: Their change from the last ones, shape (6,); `Last` of the next tick is `(q, velocity)`.
        reasons: Per joint, why its target is not what was wanted.
        refused: What was wrong with the action, or with what came beside it, where it was refused as a whole; None otherwise.
    """

    q: Joints
    velocity: Joints
    reasons: tuple[Reason, ...]
    refused: str | None

    @property
    def clamped(self) -> bool:
        """Whether anything was cut or refused."""
        return self.refused is not None or any(self.reasons)


def check(action: ArrayLike, last: Last, present: ArrayLike, dt_s: float, limits: Limits) -> Checked:
    """Return what may be sent.

    Args:
        action: What the policy wants, shape (6,) [deg x 5, percent]; anything may come.
        last: What was sent last.
        present: Where the joints are, freshly read, shape (6,) [deg x 5, percent].
        dt_s: Time since `last` was sent, 1e-4 to 1 [s].
        limits: What is allowed.

    Raises:
        FaultError: Of a joint neither the last target nor the position is a number: nothing can be sent.
    """
    refused = _fault(action) or _fault_beside(last, present, dt_s)
    last, at = _sensible(last, np.asarray(present, np.float64))
    wanted = last.q if refused else np.asarray(action, np.float64)
    if not _DT_S[0] <= dt_s <= _DT_S[1]:
        stay = np.clip(last.q, limits.lower, limits.upper)
        return Checked(stay, np.zeros(arm.N_JOINTS), (Reason.NONE,) * arm.N_JOINTS, refused)
    reasons = np.zeros(arm.N_JOINTS, np.int64)
    way = np.clip(wanted, limits.lower, limits.upper) - last.q
    step = _can_stop_after(np.abs(way), dt_s, limits.acceleration)
    boxes = (
        (Reason.RANGE, limits.lower, limits.upper),
        (Reason.LEAD, at - limits.lead, at + limits.lead),
        (Reason.VELOCITY, last.q - limits.velocity * dt_s, last.q + limits.velocity * dt_s),
        (
            Reason.ACCELERATION,
            last.q + (last.velocity - limits.acceleration * dt_s) * dt_s,
            last.q + (last.velocity + limits.acceleration * dt_s) * dt_s,
        ),
    )
    low, high = limits.lower, limits.upper
    for reason, box_low, box_high in boxes:
        reasons[(wanted < box_low) | (wanted > box_high)] |= reason
        # The part of the box inside the ones before; where there is none, the nearest point of those.
        low, high = np.clip(box_low, low, high), np.clip(box_high, low, high)
    too_fast = np.abs(way) > step
    reasons[too_fast] |= Reason.ACCELERATION
    q = np.clip(np.where(too_fast, last.q + np.sign(way) * step, wanted), low, high)
    if limits.table_m is not None:
        above = _above_table(np.clip(last.q, limits.lower, limits.upper), q, limits.table_m)
        reasons[above != q] |= Reason.TABLE
        q = above
    return Checked(q, (q - last.q) / dt_s, tuple(Reason(int(reason)) for reason in reasons), refused)


def _fault(action: ArrayLike) -> str | None:
    try:
        values = np.asarray(action, np.float64)
    except (TypeError, ValueError):
        return f"an action of numbers was expected, not {action!r:.60}"
    if values.shape != (arm.N_JOINTS,):
        return f"an action of shape ({arm.N_JOINTS},) was expected, not {values.shape}"
    bad = [name for name, good in zip(arm.JOINT_NAMES, np.isfinite(values), strict=True) if not good]
    return f"the action of {', '.join(bad)} is not finite" if bad else None


def _fault_beside(last: Last, present: ArrayLike, dt_s: float) -> str | None:
    """Return what is wrong with all that comes beside an action."""
    numbers = (
        ("last target", last.q),
        ("last velocity", last.velocity),
        ("present position", np.asarray(present, np.float64)),
    )
    for what, values in numbers:
        good = np.isfinite(values) if what == "last velocity" else _is_sensible(values)
        bad = [f"{name} {x:g}" for name, x, fine in zip(arm.JOINT_NAMES, values, good, strict=True) if not fine]
        if bad:
            return f"the {what} of {', '.join(bad)} cannot be"
    if not _DT_S[0] <= dt_s <= _DT_S[1]:
        return f"{dt_s:g} s since the last target cannot be; allowed are {_DT_S[0]:g} to {_DT_S[1]:g} s"
    return None


def _can_stop_after(way: Joints, dt_s: float, acceleration: Joints) -> Joints:
    """Return the longest step towards a target that is `way` off, from which the next ones can brake to stand there.

    Without it the acceleration limit would make a jump overshoot and swing. A step of v dt and the shorter and shorter ones
    after it need v dt / 2 + v**2 / 2a, which is to be `way`. Of a way up to a dt**2 that is all, or more.
    """
    v = acceleration * (np.sqrt(dt_s**2 / 4 + 2 * way / acceleration) - dt_s / 2)
    return np.asarray(v * dt_s)


def _is_sensible(values: Joints) -> NDArray[np.bool_]:
    return np.abs(values) <= _SENSIBLE  # NaN is not


def _sensible(last: Last, present: Joints) -> tuple[Last, Joints]:
    """Return both with what cannot be replaced by the other; what is sensible stays as it is, to the bit."""
    known = _is_sensible(last.q), _is_sensible(present)
    lost = [name for name, one, other in zip(arm.JOINT_NAMES, *known, strict=True) if not one and not other]
    if lost:
        raise FaultError(
            f"nothing can be sent: of {', '.join(lost)} neither the last target nor the present position is a number. "
            "Release the arm, and check what reports its positions"
        )
    velocity = np.where(known[0] & np.isfinite(last.velocity), last.velocity, 0.0)
    return Last(np.where(known[0], last.q, present), velocity), np.where(known[1], present, last.q)


_HAND_M = np.array([[-0.0046, -0.1065, 0.0], [-0.0046, -0.0975, 0.0], [0.0, -0.02, 0.0]])
"""Points of the fixed jaw in its own frame: finger tip, gripper point, root of the finger [m]."""
_HALVINGS = 12


def lowest_m(q: ArrayLike) -> NDArray[np.float64]:
    """Return how high the lowest of wrist and fixed jaw is in the frame of the base, for q of shape (..., 6) [m]."""
    origins, rotations = kinematics.frames(q)
    points = origins[-1][..., None, :] + np.einsum("...ij,kj->...ki", rotations[-1], _HAND_M)
    heights: NDArray[np.float64] = np.minimum(points[..., 2].min(axis=-1), origins[3][..., 2])
    return heights


def _above_table(start: Joints, target: Joints, table_m: float) -> Joints:
    """Return the furthest point on the straight way to `target` that is not below the table, nor below `start` if that is."""
    floor = min(table_m, float(lowest_m(start)))
    if lowest_m(target) >= floor:
        return target
    good, bad = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (good + bad) / 2
        if lowest_m(start + middle * (target - start)) >= floor:
            good = middle
        else:
            bad = middle
    return start + good * (target - start)
