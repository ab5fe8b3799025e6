"""What was found, for people and for programs: numbers per joint, what is not determined, the share of the gap explained."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from soarm import arm
from soarm.identification.identified import Identified
from soarm.identification.physics import ENTRIES, QUANTITIES, errors_in_units, to_vector, values
from soarm.identification.windows import WINDOW_S


class Found(NamedTuple):
    """One number that was looked for.

    Attributes:
        quantity: Its kind, a field of `soarm.identification.physics.ArmPhysics`.
        joint: Of which joint; None for one of all joints.
        unit: Of the numbers.
        before: The simulator's.
        after: What was found, or the simulator's.
        error: Standard error; None where it was not looked for.
        claimed: Whether the log determines it.
    """

    quantity: str
    joint: str | None
    unit: str
    before: float
    after: float
    error: float | None
    claimed: bool

    def text(self) -> str:
        """Return it in a table's cell."""
        if not self.claimed:
            return f"{self.before:.3g}"
        return f"{self.before:.3g} -> {self.after:.3g} +- {self.error:.1g}"


def numbers(identified: Identified) -> list[Found]:
    """Return every number, in the order of the vector."""
    fitted = identified.fitted
    errors = errors_in_units(to_vector(fitted.physics), fitted.errors)
    pairs = zip(values(identified.before), values(fitted.physics), errors, fitted.claimed, ENTRIES, strict=True)
    return [
        Found(
            entry.quantity.name,
            None if entry.joint is None else arm.JOINT_NAMES[entry.joint],
            entry.quantity.unit,
            float(before),
            float(after),
            float(error) if np.isfinite(error) else None,
            bool(claimed),
        )
        for before, after, error, claimed, entry in pairs
    ]


def to_dict(identified: Identified) -> dict[str, Any]:
    """Return everything as JSON can hold it."""
    gaps = zip(arm.JOINT_NAMES, identified.gap_before, identified.gap_after, identified.explained, strict=True)
    return {
        "windows": identified.n_windows,
        "held_out": identified.n_held_out,
        "numbers": [found._asdict() for found in numbers(identified)],
        "gap": {name: {"before": float(b), "after": float(a), "explained": float(x)} for name, b, a, x in gaps},
        "explained": identified.explained_in_all,
    }


def lines(identified: Identified) -> list[str]:
    """Return everything in words."""
    found = numbers(identified)
    columns = [quantity for quantity in QUANTITIES if any(one.joint and one.quantity == quantity.name for one in found)]
    rows = [["", *(f"{quantity.title} [{quantity.unit}]" for quantity in columns), "gap [deg]"]]
    for i, joint in enumerate(arm.JOINT_NAMES):
        cells = [one.text() for one in found if one.joint == joint]
        gap = f"{identified.gap_before[i]:.2f} -> {identified.gap_after[i]:.2f} ({identified.explained[i]:.0%} less)"
        rows.append([joint, *cells, gap])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    table = ["   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    shared = [f"{_title(one.quantity)} of all joints: {one.text()} {one.unit}" for one in found if one.joint is None]
    return [
        f"{identified.n_windows} windows of {WINDOW_S:g} s, {identified.n_held_out} of them held out of the fit; the gap is "
        "that of the held-out ones, root mean square of measured less simulated position, the gripper's in percent",
        *table,
        *shared,
        *_not_determined(found),
        f"{identified.explained_in_all:.0%} of the gap is explained",
    ]


def _not_determined(found: list[Found]) -> list[str]:
    """Return what the log does not say, in words."""
    left: dict[str, list[str]] = {}
    for one in found:
        if not one.claimed:
            left.setdefault(one.quantity, []).append(one.joint or "all joints")
    said = [f"{_title(name)} of {', '.join(joints)}" for name, joints in left.items()]
    return [f"not determined by these logs, and left as the simulator has it: {'; '.join(said)}"] if said else []


def _title(name: str) -> str:
    return next(quantity.title for quantity in QUANTITIES if quantity.name == name)
