"""One look for every figure, and the one way a figure is saved: SVG, PNG and the CSV it was drawn from.

Knows matplotlib and nothing of what is drawn. A method has the same colour in every figure.
"""

from __future__ import annotations

import contextlib
import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from soarm.report import palette

Table = Sequence[Mapping[str, Any]]
"""What a figure is drawn from: rows with the same keys."""

BLUE, VERMILLION, GREEN, ORANGE, SKY, PURPLE, GREY = (
    palette.COLOURS[name].light for name in ("blue", "vermillion", "green", "orange", "sky", "purple", "grey")
)
LABELS: dict[str, str] = {
    "base": "ACT",
    "residual": "ACT + residual",
    "direct": "in the simulator",
    "wire": "through the wire",
    "servo": "the same, STS3215's law",
}
COLOURS: dict[str, str] = {"base": BLUE, "residual": VERMILLION, "direct": GREY, "wire": GREEN, "servo": ORANGE}

_STYLE: dict[Any, Any] = {
    "font.size": 10.0,
    "axes.titlesize": 11.0,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.titlepad": 10.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "savefig.dpi": 130,
    "svg.fonttype": "path",  # looks the same where the font is missing
}


class Figure(NamedTuple):
    """A figure that can be drawn and saved.

    Attributes:
        name: Stem of its files.
        caption: What it shows, with n and the kind of interval.
        table: What it is drawn from.
        draw: Draws the table on axes.
        size_in: Width and height [inch].
    """

    name: str
    caption: str
    table: Table
    draw: Callable[[Axes, Table], None]
    size_in: tuple[float, float] = (6.0, 3.6)


def save(figure: Figure, folder: Path) -> str:
    """Write `<name>.svg`, `.png` and `.csv` into `folder` and return the SVG; the same table gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(figure.table, folder / f"{figure.name}.csv")
    with _drawn(figure) as canvas:
        text = _as_svg(canvas)
        canvas.savefig(folder / f"{figure.name}.png")
    (folder / f"{figure.name}.svg").write_text(text, encoding="utf-8")
    return text


def svg(figure: Figure) -> str:
    """Return a figure as SVG; the same table gives the same text."""
    with _drawn(figure) as canvas:
        return _as_svg(canvas)


@contextlib.contextmanager
def _drawn(figure: Figure) -> Iterator[Canvas]:
    """Draw a figure in the style of all of them, which holds until the block ends."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's own matplotlibrc changes nothing here
        mpl.rcParams.update(_STYLE | {"svg.hashsalt": figure.name})
        canvas = Canvas(figsize=figure.size_in, layout="constrained")
        figure.draw(canvas.add_subplot(), figure.table)
        yield canvas


def _as_svg(canvas: Canvas) -> str:
    text = io.StringIO()
    canvas.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def write_csv(table: Table, path: Path) -> None:
    """Write a table of at least one row with six significant digits; NaN is left empty."""
    assert table, f"{path.name} would have no rows"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(table[0])
        writer.writerows([_readable(value) for value in row.values()] for row in table)


def _readable(value: object) -> object:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value
