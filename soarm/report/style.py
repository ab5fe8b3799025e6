"""One look for every figure, and the one way a figure is saved: SVG, PNG and the CSV it was drawn from.

Knows matplotlib and nothing of what is drawn. A method has the same colour in every figure.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
    "servo": "the same, STS3215 servo model",
    "eye": "through the eye",
    "true_poses": "told the true poses",
    "blank_pictures": "blank pictures",
    "permuted_pictures": "pictures of other scenes",
}
COLOURS: dict[str, str] = {
    "base": BLUE,
    "residual": VERMILLION,
    "direct": GREY,
    "wire": GREEN,
    "servo": ORANGE,
    "eye": VERMILLION,
    "true_poses": GREEN,
    "blank_pictures": GREY,
    "permuted_pictures": GREY,
}

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
_PAGE_IN = 4.8
"""Width of a figure for a page; its text has the size that it has in a file [inch]."""


class Figure(NamedTuple):
    """A figure that can be drawn and saved.

    Attributes:
        name: Stem of its files.
        how: How it is drawn, with n and the kind of interval.
        table: What it is drawn from.
        draw: Draws the table on axes.
        size_in: Width and height [inch].
        finding: What is to be seen, in sentences that follow from the table.
    """

    name: str
    how: str
    table: Table
    draw: Callable[[Axes, Table], None]
    size_in: tuple[float, float] = (6.0, 3.6)
    finding: str = ""


def save(figure: Figure, folder: Path) -> None:
    """Write `<name>.svg`, `.png` and `.csv` into `folder`; the same table gives the same bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(figure.table, folder / f"{figure.name}.csv")
    with _drawn(figure, figure.size_in) as canvas:
        canvas.savefig(folder / f"{figure.name}.svg", metadata={"Date": None})
        canvas.savefig(folder / f"{figure.name}.png")


def svg(figure: Figure) -> str:
    """Return the figure as an SVG for a page: text as text, in a smaller frame, so that it can be read on a telephone."""
    text = io.StringIO()
    width_in, height_in = figure.size_in
    with _drawn(figure, (_PAGE_IN, _PAGE_IN * height_in / width_in), **{"svg.fonttype": "none"}) as canvas:
        canvas.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


@contextmanager
def _drawn(figure: Figure, size_in: tuple[float, float], **style: Any) -> Iterator[Canvas]:
    with mpl.rc_context():
        mpl.rcdefaults()  # a user's own matplotlibrc changes nothing here
        mpl.rcParams.update(_STYLE | {"svg.hashsalt": figure.name} | style)
        canvas = Canvas(figsize=size_in, layout="constrained")
        figure.draw(canvas.add_subplot(), figure.table)
        yield canvas


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
