"""Figures of an eye: how far off it is."""

from __future__ import annotations

from matplotlib.axes import Axes

from soarm.report.style import BLUE, ORANGE, PURPLE, Figure, Table

_COLOURS = (BLUE, ORANGE, PURPLE)


def of_eye(errors: Table) -> list[Figure]:
    """Return the figures of an eye's errors: a row per thing and kind of frames, as `soarm.eye.errors.Row` names them."""
    how = "Points: median distance in the table's plane; lines end at the 90th percentile. Frames the eye did not learn from."
    turned = [row for row in errors if row["median_deg"] == row["median_deg"]]
    made = [Figure("eye_errors", how, errors, _draw_positions, (6.4, 5.2), _finding(errors))]
    if turned:
        how = "Points: median error of the yaw of objects that lie flat; lines end at the 90th percentile."
        made.append(Figure("eye_turns", how, turned, _draw_turns, (6.4, 3.6)))
    return made


def _draw_positions(ax: Axes, table: Table) -> None:
    _draw(ax, table, "mm", "distance from where it is [mm]", "What the eye gets wrong")


def _draw_turns(ax: Axes, table: Table) -> None:
    _draw(ax, table, "deg", "error of the yaw [deg]", "Turns that the eye gets wrong")


def _draw(ax: Axes, table: Table, unit: str, label: str, title: str) -> None:
    things, kinds = (list(dict.fromkeys(row[key] for row in table)) for key in ("thing", "frames"))
    for k, thing in enumerate(things):
        rows = [row for row in table if row["thing"] == thing]
        y = [kinds.index(row["frames"]) + (k - (len(things) - 1) / 2) * 0.3 for row in rows]
        median, p90 = ([row[f"{name}_{unit}"] for row in rows] for name in ("median", "p90"))
        colour = _COLOURS[k % len(_COLOURS)]
        ax.hlines(y, median, p90, color=colour, lw=2.0)
        ax.plot(median, y, "o", color=colour, label=thing)
        for x, at, row in zip(median, y, rows, strict=True):
            ax.annotate(f"{row[f'median_{unit}']:.1f}", (x, at), (-4, 0), textcoords="offset points", ha="right", va="center")
    ax.set_yticks(range(len(kinds)), kinds)
    ax.invert_yaxis()
    ax.set_xlim(left=0.0)
    ax.set_xlabel(label)
    ax.set_title(title)
    ax.grid(visible=False, axis="y")
    ax.legend(loc="lower right")
    ax.margins(x=0.08)


def _finding(errors: Table) -> str:
    seen = [row for row in errors if row["frames"] == "seen"]
    return " ".join(f"While {row['thing']} can be seen: median {row['median_mm']:.1f} mm." for row in seen)
