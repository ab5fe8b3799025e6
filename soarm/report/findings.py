"""What a figure shows, in sentences: computed from the figure's table, for its caption and for whoever cannot see it.

Knows the tables of `soarm.report.tables`; knows nothing of drawing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from soarm import kinematics
from soarm.report.figures import Curve
from soarm.report.style import LABELS, Table


def success(table: Table) -> str:
    """Return how many scenes each policy solves, with its interval."""
    return _sentences(
        f"{LABELS[row['policy']]} solves {round(row['success_rate'] * row['n_scenes'])} of {row['n_scenes']} scenes: "
        f"{percent(row['success_rate'])}, 95 % interval {between(row['ci95_low'], row['ci95_high'])}"
        for row in table
    )


def failures(table: Table, labels: Mapping[str, str]) -> str:
    """Return in how many scenes each policy fails, and how most often; `labels` puts outcomes into words."""

    def of(policy: str) -> str:
        rows = [row for row in table if row["policy"] == policy]
        total, most = sum(row["scenes"] for row in rows), max(rows, key=lambda row: int(row["scenes"]))
        usual = f", most often as \u201c{labels[most['outcome']]}\u201d ({most['scenes']})" if total else ""
        return f"{LABELS[policy]} fails in {total} of {most['n_scenes']} scenes{usual}"

    return _sentences(map(of, _unique(table, "policy")))


def reached(table: Table) -> str:
    """Return between which stages each policy loses most scenes."""

    def of(policy: str) -> str:
        rows = [row for row in table if row["policy"] == policy]
        n = rows[0]["n_scenes"]
        counts = [("the start", n), *((row["stage"], round(row["share"] * n)) for row in rows)]
        lost, before, after = max(((a - b, one, other) for (one, a), (other, b) in pairwise(counts)), key=lambda step: step[0])
        where = f"most scenes between {before} and {after}: {lost} of {n}" if lost else "no scene"
        return f"{LABELS[policy]} loses {where}"

    return _sentences(map(of, _unique(table, "policy")))


def scenes(table: Table, columns: tuple[str, str]) -> str:
    """Return who solves how many scenes, and how far off the failed ones lay; `columns` hold x and y of an object [m]."""
    shoulder_x, shoulder_y = kinematics.SHOULDER_XY_M

    def away_m(rows: Table) -> float:
        return float(np.median([math.hypot(row[columns[0]] - shoulder_x, row[columns[1]] - shoulder_y) for row in rows]))

    counts = {kind: sum(row["solved"] == kind for row in table) for kind in _KINDS}
    who = ", ".join(f"{_KINDS[kind]} {count}" for kind, count in counts.items() if count)
    failed = [row for row in table if row["solved"] in ("failure", "neither")]
    said = [f"Of {len(table)} scenes, {who}"]
    if failed:
        place = f"where unsolved, the {columns[0].removesuffix('_x_m')} lay {away_m(failed):.2f} m from the shoulder (median)"
        said.append(f"{place}; overall, {away_m(table):.2f} m")
    return _sentences(said)


def times(table: Table) -> str:
    """Return in how many scenes the residual is faster, and both medians."""
    base, residual = (np.array([row[key] for row in table]) for key in ("base_s", "residual_s"))
    return (
        f"{LABELS['residual']} is faster in {int((residual < base).sum())} of the {len(base)} scenes that both solve: "
        f"{np.median(residual):.2f} s against {np.median(base):.2f} s (medians)."
    )


def durations(table: Table) -> str:
    """Return how long solved scenes take."""
    seconds = np.array([row["time_to_success_s"] for row in table])
    return f"A solved scene takes {np.median(seconds):.2f} s (median), from {seconds.min():.2f} to {seconds.max():.2f} s."


def curve(table: Table, drawn: Curve) -> str:
    """Return how the columns of a training's curves went, and whether one passed a limit."""
    points = {
        column: [(int(row["step"]), row[column]) for row in table if math.isfinite(row[column])] for column in drawn.columns
    }

    def shown(value: float) -> str:
        return percent(value) if drawn.scale == "share" else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"

    def course(column: str, label: str) -> str:
        (first_step, first), (last_step, last) = points[column][0], points[column][-1]
        word, extreme = ("lowest", min) if drawn.scale == "log" else ("highest", max)
        step, value = extreme(points[column], key=lambda point: point[1])
        way = f"{shown(first)} at step {first_step:,}, {shown(last)} at step {last_step:,}"
        return f"{label}: {way}; {word} {shown(value)} at step {step:,}"

    if len(drawn.columns) > _FEW:
        ends = sorted(((points[column][-1], label) for column, label in drawn.columns.items()), key=lambda end: -end[0][1])
        said = [f"At step {ends[0][0][0]:,}: {', '.join(f'{label} {shown(value)}' for (_, value), label in ends)}"]
    else:
        said = [course(column, label) for column, label in drawn.columns.items()]
    for text, (height, start) in drawn.limits.items():
        values = [value for column in points if column.startswith(start) for _, value in points[column]]
        above = sum(value > height for value in values)
        said.append(f"{above or 'None'} of {len(values)} points above the {text} ({shown(height)})")
    return _sentences(said)


def percent(share: float) -> str:
    """Return a share of 1 in percent."""
    return f"{100 * share:.1f}\u00a0%"


def between(low: float, high: float) -> str:
    """Return an interval of shares in percent."""
    return f"{100 * low:.1f} to {100 * high:.1f}\u00a0%"


_FEW = 2
"""Columns whose course is told one by one."""
_KINDS = {
    "success": "solved:",
    "failure": "failed:",
    "both": "both solve",
    "residual_only": f"only {LABELS['residual']} solves",
    "base_only": f"only {LABELS['base']} solves",
    "neither": "neither solves",
}


def _sentences(parts: Iterable[str]) -> str:
    return " ".join(f"{part[0].upper()}{part[1:]}." for part in parts)


def _unique(table: Table, key: str) -> Sequence[str]:
    return list(dict.fromkeys(row[key] for row in table))
