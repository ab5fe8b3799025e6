"""Figures of a dataset: joints over time, lengths of episodes, where episodes start.

Knows features by names and units, whatever the robot. Knows no file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from soarm.report.palette import COLOURS
from soarm.report.style import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILLION, Figure, Table
from soarm.spec import ACTION, STATE, UNKNOWN_UNIT, Feature

PER_FIGURE = 3
"""Panels of one figure, one over the other."""
MOST_PANELS = 24
"""Panels of one episode; a humanoid has more joints than a page can show."""
MOST_POINTS = 600
"""Points of a line; a longer one is drawn as least and greatest value of each stretch."""
MOST_STARTS = 400
"""Episodes whose start is drawn."""
_PER_PANEL = 4
_LONGEST_LABEL = 16
_COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)
_MARKERS = "osD^vP"
_FAINT = COLOURS["faint"].light

Rows = Mapping[str, NDArray[np.float32]]


class Line(NamedTuple):
    """A line of a panel: label, values (T,), colour, dashes."""

    label: str
    values: NDArray[np.float32]
    colour: str
    dashes: str = "-"


class Panel(NamedTuple):
    """Lines that share axes."""

    title: str
    unit: str
    lines: list[Line]


def unit_text(unit: str) -> str:
    """Return a unit in words for an axis or a table."""
    return {UNKNOWN_UNIT: "unknown unit", "1": ""}.get(unit, unit)


def panels(features: Mapping[str, Feature], rows: Rows) -> list[Panel]:
    """Return one panel per joint with state and action, and others for the elements of the other features by unit."""
    joints: dict[str, Panel] = {}
    for key, label, colour, dashes in ((STATE, "state", BLUE, "-"), (ACTION, "action", VERMILLION, "--")):
        for i, (element, unit) in enumerate(_elements(key, features)):
            line = Line(label, rows[key][:, i], colour, dashes)
            joints.setdefault(element, Panel(element, unit, [])).lines.append(line)
    made = list(joints.values())
    for key in features:
        if key not in (STATE, ACTION):
            made += _of_feature(key, features, rows)
    return made


def of_episode(made: Sequence[Panel], episode: int, rate: float | None) -> list[Figure]:
    """Return the figures of an episode's panels."""
    figures = []
    for first in range(0, min(len(made), MOST_PANELS), PER_FIGURE):
        part = made[first : first + PER_FIGURE]
        names = ", ".join(dict.fromkeys(panel.title for panel in part))
        figures.append(
            Figure(
                f"episode-{episode}-{first}",
                f"Episode {episode}: {names}, over time.",
                [panel._asdict() for panel in part],
                partial(draw_panels, rate=rate),
                (5.4, 0.6 + 1.25 * len(part)),
            )
        )
    return figures


def in_words(figure: Figure) -> str:
    """Return what is to be seen on a figure of `of_episode`, for whoever cannot see it."""
    texts = (
        f"{panel['title']}: "
        + ", ".join(f"{line.label} from {line.values.min():.3g} to {line.values.max():.3g}" for line in panel["lines"])
        for panel in figure.table
    )
    return f"{figure.how} {'; '.join(texts)}."


def of_dataset(features: Mapping[str, Feature], columns: Rows, starts: NDArray[np.int64], rate: float | None) -> list[Figure]:
    """Return the figures of the whole dataset: lengths, start states, and where things lie at the start."""
    lengths = np.diff(starts) / (rate or 1.0)
    unit = "s" if rate else "frames"
    middle = f"median {np.median(lengths):.3g} {unit}, from {lengths.min():.3g} to {lengths.max():.3g}"
    made = [
        Figure(
            "lengths",
            f"How long the {len(lengths)} episodes are: {middle}.",
            [{"length": float(value)} for value in lengths],
            partial(draw_lengths, unit=unit),
            (5.4, 3.0),
        )
    ]
    shown = starts[:-1][_spread(len(starts) - 1, MOST_STARTS)]
    of = "each episode" if len(shown) == len(lengths) else f"{len(shown)} of {len(lengths)} episodes"
    if STATE in columns:
        table = _start_rows(features, columns[STATE], shown)
        text = f"Where {of} starts, within the range each joint has in all rows (0: least, 1: greatest value)."
        made.append(Figure("starts", text, table, draw_starts, (5.4, 0.9 + 0.34 * len(table))))
    if places := _places(features, columns, shown):
        text = f"Where things lie when {of} starts, seen from above; forward of the arm is up."
        made.append(Figure("places", text, places, draw_places, (5.4, 4.2)))
    return made


def draw_panels(ax: Axes, table: Table, rate: float | None) -> None:
    """Draw panels one over the other, in the place of `ax`, over one axis of time."""
    figure, spec = ax.figure, ax.get_subplotspec()
    assert spec is not None
    grid = spec.subgridspec(len(table), 1)
    ax.remove()
    below: Axes | None = None
    for i in reversed(range(len(table))):
        axes = figure.add_subplot(grid[i], sharex=below)
        for line in table[i]["lines"]:
            at, values = thinned(line.values)
            axes.plot(at / (rate or 1.0), values, line.dashes, color=line.colour, label=_short(line.label), lw=1.3)
        axes.set_title(table[i]["title"], fontsize=9, pad=4)
        axes.set_ylabel(unit_text(table[i]["unit"]), fontsize=9)
        axes.tick_params(labelsize=8, labelbottom=below is None)
        if below is None:
            axes.set_xlabel("time [s]" if rate else "frame", fontsize=9)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1.0, 0.97),
            ncols=6,
            fontsize=7.5,
            handlelength=1.6,
            columnspacing=0.9,
            borderpad=0,
        )
        below = below or axes


def draw_lengths(ax: Axes, table: Table, unit: str) -> None:
    """Draw a histogram of the lengths of episodes."""
    values = np.array([row["length"] for row in table])
    ax.hist(values, bins=min(30, max(5, round(len(values) ** 0.5))), color=BLUE, edgecolor="white", linewidth=0.6)
    ax.axvline(float(np.median(values)), color=VERMILLION, ls="--", lw=1.3)
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"length [{unit}]")
    ax.set_ylabel("episodes")
    ax.set_title("Lengths (dashed: median)")


def draw_starts(ax: Axes, table: Table) -> None:
    """Draw, one line per element, where episodes start within the element's range."""
    for y, row in enumerate(table):
        ax.plot([0.0, 1.0], [y, y], color=_FAINT, lw=4, solid_capstyle="butt", zorder=1)
        ax.plot(row["shares"], np.full(len(row["shares"]), y), "o", color=VERMILLION, ms=4.5, alpha=0.6, mew=0, zorder=2)
        for at, side, value in ((0.0, "right", row["least"]), (1.0, "left", row["greatest"])):
            ax.annotate(
                f"{value:.3g}",
                (at, y),
                (-5 if side == "right" else 5, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=8,
            )
    ax.set_yticks(range(len(table)), [row["element"] for row in table], fontsize=8.5)
    ax.set_ylim(len(table) - 0.5, -0.5)
    ax.set_xlim(-0.16, 1.16)
    ax.set_xticks([0.0, 0.5, 1.0])
    ax.set_title("Start states")
    ax.grid(visible=False)


def draw_places(ax: Axes, table: Table) -> None:
    """Draw where things lie at the start, seen from above, a marker per thing."""
    names = list(dict.fromkeys(row["thing"] for row in table))
    for i, name in enumerate(names):
        of_thing = [row for row in table if row["thing"] == name]
        colour, marker = _COLOURS[i % len(_COLOURS)], _MARKERS[i % len(_MARKERS)]
        x, forward = [row["x"] for row in of_thing], [-row["y"] for row in of_thing]
        ax.scatter(x, forward, s=18, marker=marker, color=colour, alpha=0.7, linewidths=0, label=name)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_xlabel("right of the arm [m]")
    ax.set_ylabel("forward [m]")
    ax.set_title("Things at the start")
    ax.legend()


def thinned(values: NDArray[np.float32]) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return which of the values, shape (T,), are drawn: all, or the least and the greatest of each stretch of many."""
    if len(values) <= MOST_POINTS:
        return np.arange(len(values)), values
    chosen: list[int] = [0, len(values) - 1]
    for stretch in np.array_split(np.arange(len(values)), MOST_POINTS // 2 - 1):
        chosen += [int(stretch[values[stretch].argmin()]), int(stretch[values[stretch].argmax()])]
    at = np.unique(chosen)
    return at, values[at]


def spread(n: int, most: int) -> list[int]:
    """Return at most `most` numbers of 0..n-1, evenly spread, the first and the last among them."""
    numbers: list[int] = _spread(n, most).tolist()
    return numbers


def _spread(n: int, most: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, n - 1, min(n, most)).round().astype(np.int64))


def _elements(key: str, features: Mapping[str, Feature]) -> Iterator[tuple[str, str]]:
    """Yield names and units of a feature's elements; one that was given no names has numbers, whichever feature it is."""
    if key in features:
        for name, unit in zip(features[key].names, features[key].units, strict=True):
            yield name.removeprefix(f"{key}."), unit


def _of_feature(key: str, features: Mapping[str, Feature], rows: Rows) -> Iterator[Panel]:
    by_unit: dict[str, list[tuple[str, int]]] = {}
    for i, (element, unit) in enumerate(_elements(key, features)):
        by_unit.setdefault(unit, []).append((element, i))
    for unit, elements in by_unit.items():
        for first in range(0, len(elements), _PER_PANEL):
            part = elements[first : first + _PER_PANEL]
            lines = [Line(name, rows[key][:, i], colour) for (name, i), colour in zip(part, _COLOURS, strict=False)]
            yield Panel(key.removeprefix("observation."), unit, lines)


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST_LABEL else f"…{label[1 - _LONGEST_LABEL :]}"


def _start_rows(features: Mapping[str, Feature], states: NDArray[np.float32], starts: NDArray[np.int64]) -> Table:
    table = []
    for i, (element, _) in enumerate(list(_elements(STATE, features))[:MOST_PANELS]):
        least, greatest = float(states[:, i].min()), float(states[:, i].max())
        shares = (states[starts, i] - least) / max(greatest - least, 1e-9)
        table.append({"element": element, "least": least, "greatest": greatest, "shares": shares})
    return table


def _places(features: Mapping[str, Feature], columns: Rows, starts: NDArray[np.int64]) -> Table:
    table = []
    for key, feature in features.items():
        for i, name in enumerate(feature.names[:-1]):
            thing, _, axis = name.rpartition(".")
            pair = axis == "x" and feature.names[i + 1] == f"{thing}.y" and feature.units[i : i + 2] == ("m", "m")
            if pair and key in columns and key != ACTION:
                table += [{"thing": thing, "x": float(x), "y": float(y)} for x, y in columns[key][starts, i : i + 2]]
    return table
