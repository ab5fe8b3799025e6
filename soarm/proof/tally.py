"""Who solved how many spots: what a robot host can say at the end, without the packages that make a report."""

from __future__ import annotations

from typing import NamedTuple

from soarm.evaluation.power import exact_p, power_of
from soarm.proof.attempt import DISCARDED
from soarm.proof.folder import ProofFolder
from soarm.tasks.task import SUCCESS

_LOST = 0.02
"""Share of spots that the residual is thought to lose, for what a plan can show."""


class Tally(NamedTuple):
    """Spots on which both policies are done.

    Attributes:
        n: How many.
        base: Solved by the base.
        residual: Solved with the residual.
        gains: Solved with the residual alone.
        losses: Solved by the base alone.
    """

    n: int
    base: int
    residual: int
    gains: int
    losses: int

    @property
    def p(self) -> float:
        """p-value of the exact McNemar test."""
        return exact_p(self.gains, self.losses)


def tally(folder: ProofFolder) -> Tally:
    """Count the pairs of an evaluation."""
    solved = [tuple(folder.outcome(of[which]) == SUCCESS for which in ("base", "residual")) for of in folder.pairs().values()]
    return Tally(
        len(solved),
        sum(base for base, _ in solved),
        sum(residual for _, residual in solved),
        solved.count((False, True)),
        solved.count((True, False)),
    )


def discards(folder: ProofFolder) -> dict[str, int]:
    """Return policy -> attempts that were discarded; unequal numbers are a reason to doubt the judgements."""
    found = {"base": 0, "residual": 0}
    for trial in range(len(folder.plan.trials)):
        found[folder.which(trial)] += sum(attempt.outcome == DISCARDED for attempt in folder.attempts(trial))
    return found


def lines(folder: ProofFolder) -> list[str]:
    """Return the result in words."""
    found, dropped = tally(folder), discards(folder)
    return [
        f"base policy: {found.base} of {found.n} spots solved; with the residual: {found.residual} of {found.n}",
        f"gained {found.gains}, lost {found.losses}; exact McNemar p = {found.p:.2g}",
        f"discarded: {dropped['base']} runs of the base, {dropped['residual']} with the residual",
    ]


def can_show(n: int) -> str:
    """Return in words what a plan of n spots can show."""
    found = power_of(n, _LOST)
    if found.least_gains is None:
        return f"{n} spots cannot show any difference: p < 0.05 takes 6 that are gained, and none lost; plan 20"
    words = f"p < 0.05 takes at least {found.least_gains} of {n} spots gained, if none is lost"
    if found.found is None:
        return f"{words}; no true gain is found in 80 of 100 such evaluations: plan more spots"
    return (
        f"{words}. A true gain of {100 * (found.found - _LOST):.0f} points ({100 * found.found:.0f} % of the spots gained, "
        f"{100 * _LOST:.0f} % lost) is found in 80 of 100 such evaluations"
    )
