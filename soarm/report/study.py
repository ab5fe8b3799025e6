"""The study's figure: learning curves side by side, and where every variant ends, sorted.

Knows the table that `soarm.study.tables.curves` makes, as a table; knows no run.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.figure import SubFigure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from soarm.report.style import BLUE, GREEN, GREY, VERMILLION, Figure, Table

REFERENCE = "residual"
"""Variant, and method, in the reference's colour."""


def figure(table: Table) -> Figure:
    """Return the figure of a table with one row per variant and step, the best variant first."""
    variants = list(dict.fromkeys(row["variant"] for row in table))
    n_columns = _columns(len(variants))
    n_rows = math.ceil(len(variants) / n_columns)
    size_in = (2.1 * n_columns + 6.6, max(3.4, 1.75 * n_rows + 0.6, 0.3 * len(variants) + 1.4))
    caption = (
        "Left: validation scenes solved against environment steps, mean over training seeds with their range, one panel per "
        "variant (in brackets: seeds; thin: its reference; dashed: where it starts, the base). Right: success on the test "
        "scenes and area under the curve, with 95 % intervals (bootstrap over seeds and scenes)."
    )
    return Figure("study", caption, table, draw, size_in)


def draw(ax: Axes, table: Table) -> None:
    """Draw the whole figure in place of `ax`."""
    canvas = ax.figure
    assert isinstance(canvas, Canvas)
    ax.remove()
    variants = list(dict.fromkeys(row["variant"] for row in table))
    n_columns = _columns(len(variants))
    left, right = canvas.subfigures(1, 2, squeeze=False, width_ratios=[2.1 * n_columns, 6.6])[0]
    _draw_curves(left, table, variants, n_columns)
    _draw_ends(right, [next(row for row in table if row["variant"] == variant) for variant in variants])


def _draw_curves(area: SubFigure, table: Table, variants: Sequence[str], n_columns: int) -> None:
    n_rows = math.ceil(len(variants) / n_columns)
    panels = area.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    for panel, variant in zip(panels.flat, variants, strict=False):
        rows = [row for row in table if row["variant"] == variant]
        steps, mean, least, greatest = (
            np.array([row[key] for row in rows], np.float64) for key in ("step", "mean", "least", "greatest")
        )
        colour = _colour(rows[0])
        reference = [row for row in table if row["variant"] == rows[0]["reference"]]
        if variant != rows[0]["reference"] and reference:
            of = _colour(reference[0])
            panel.plot([row["step"] for row in reference], [row["mean"] for row in reference], color=of, lw=0.8)
        panel.axhline((reference or rows)[0]["mean"], color=GREY, lw=1.0, ls="--")
        panel.fill_between(steps, least, greatest, color=colour, alpha=0.22, lw=0)
        panel.plot(steps, mean, color=colour)
        title = textwrap.fill(f"{rows[0]['label']} ({rows[0]['n_seeds']})", 30)
        panel.set_title(title, fontsize=8.5, fontweight="normal", pad=4)
        panel.set_ylim(0.0, 1.02)
        panel.set_xlim(0, steps.max())
        panel.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        panel.xaxis.set_major_locator(MaxNLocator(3, integer=True))
        panel.xaxis.set_major_formatter(FuncFormatter(_thousands))
        panel.tick_params(labelsize=8)
    for panel in panels.flat[len(variants) :]:
        panel.set_visible(False)
    area.supxlabel("environment steps", fontsize=10)
    area.supylabel("validation scenes solved [%]", fontsize=10)


def _draw_ends(area: SubFigure, rows: Table) -> None:
    axes = area.subplots(1, 2, sharey=True)
    titles = {"success": f"test scenes solved [%] (n = {rows[0]['n_scenes']})", "auc": "area under the curve [%]"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for i, row in enumerate(rows):
            value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
            # One seed has no interval.
            spread = [[value - low], [high - value]] if math.isfinite(low) else None
            ax.errorbar(value, i, xerr=spread, fmt="o", color=_colour(row), ms=6, capsize=3.5, elinewidth=1.8)
            if name == "success":
                ax.plot(row["base_success"], i, marker="|", ms=11, mew=1.6, color=GREY)
        ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=""))
        ax.set_xlabel(title, fontsize=9)
        ax.set_xlim(0.0, 1.02)
        ax.tick_params(labelsize=8.5)
    axes[0].set_yticks(range(len(rows)), [row["label"] for row in rows])
    axes[0].set_ylim(len(rows) - 0.4, -0.6)
    axes[0].set_title("At the end (grey: its base)", fontsize=9.5)
    axes[1].set_title("On the way", fontsize=9.5)


def _colour(row: Any) -> str:
    if row["variant"] == REFERENCE:
        return VERMILLION
    return BLUE if row["method"] == REFERENCE else GREEN


def _columns(n_variants: int) -> int:
    return min(n_variants, max(2, math.ceil(math.sqrt(n_variants))))


def _thousands(step: float, position: int | None) -> str:
    return "0" if step == 0 else f"{step / 1000:g}k"
