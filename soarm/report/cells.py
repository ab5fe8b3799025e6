"""How numbers read in a cell of a table: shares in percent, differences in points, ratios as changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

DASH = "\u2013"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def percent(share: float) -> str:
    """Return a share of 1."""
    return f"{100 * share:.1f} %"


def interval(ends: Sequence[float | None]) -> str:
    """Return the interval of a share, with a blank in front; nothing where there is none."""
    low, high = ends
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"


def points(value: float | None, ends: Sequence[float | None]) -> str:
    """Return a difference of shares with its interval, where it has one, in points."""
    low, high = ends
    if value is None:
        return DASH
    return f"{100 * value:+.1f}" + ("" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]")


def signed(ratio: float | None) -> str:
    """Return a ratio as a change."""
    return DASH if ratio is None else f"{100 * (ratio - 1.0):+.1f} %"


def ratio_of(after: float, before: float) -> float | None:
    """Return a ratio, or None of what does not start above 0."""
    return after / before if before > 0 else None


def count(number: float | None) -> str:
    """Return a whole number of things."""
    return DASH if number is None else f"{number:,.0f}"


def p_value(p: float | None) -> str:
    """Return a p-value."""
    return DASH if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def verdict(met: bool | None) -> str:
    """Return whether something was reached; None is not known."""
    return DASH if met is None else "yes" if met else "no"
