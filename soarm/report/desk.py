"""The gauntlet as a table, a figure and a section of the report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from matplotlib.axes import Axes

from soarm.errors import StageError
from soarm.evaluation.summary import Summary
from soarm.report import page
from soarm.report.figures import show_solved
from soarm.report.findings import between, percent
from soarm.report.style import COLOURS, LABELS, Figure, Table, svg
from soarm.smallfile import read_json, shown

TABLE = "table.json"
"""The table, in the folder of the stage."""
_POLICIES = ("base", "residual")
_KEYS = {"row", "label", "policy", "success_rate", "ci95_low", "ci95_high", "n_scenes", "gained", "lost", "mcnemar_p"}


class Crossed(Protocol):
    """How a policy came through a row; see `soarm.gauntlet.Crossed`."""

    @property
    def summary(self) -> Summary: ...  # noqa: D102
    @property
    def gained(self) -> int: ...  # noqa: D102
    @property
    def lost(self) -> int: ...  # noqa: D102
    @property
    def mcnemar_p(self) -> float: ...  # noqa: D102


def table(labels: Mapping[str, str], crossed: Mapping[str, Mapping[str, Crossed]]) -> list[dict[str, Any]]:
    """Return a line per row and policy.

    Args:
        labels: Name of a row -> what it is called; the first is the unperturbed one.
        crossed: Policy -> name of a row -> how it came through.
    """
    return [
        {
            "row": name,
            "label": label,
            "policy": policy,
            "success_rate": rows[name].summary.success_rate,
            "ci95_low": rows[name].summary.success_ci95.low,
            "ci95_high": rows[name].summary.success_ci95.high,
            "n_scenes": rows[name].summary.n_scenes,
            "gained": rows[name].gained,
            "lost": rows[name].lost,
            "mcnemar_p": rows[name].mcnemar_p,
        }
        for name, label in labels.items()
        for policy, rows in crossed.items()
    ]


def load(folder: Path) -> Table:
    """Return the table that the stage wrote to `folder`; StageError where there is none."""
    remedy = "Make it anew: `dvc repro -f gauntlet`"
    found: Table = read_json(folder / TABLE, StageError, remedy, kind=list)
    for line in found:
        if not isinstance(line, dict) or set(line) != _KEYS:
            raise StageError(f"{folder / TABLE} holds {shown(line)}; a line must have {sorted(_KEYS)}. {remedy}")
    return found


def figure(lines: Table) -> Figure:
    """Return the figure of the gauntlet."""
    n_rows, n_scenes = len({line["row"] for line in lines}), lines[0]["n_scenes"]
    how = f"Points: share of the same {n_scenes} held-out scenes solved. Bars: Wilson 95 % interval. Dotted: unperturbed."
    return Figure("gauntlet", how, lines, _draw, (6.4, 1.2 + 0.3 * n_rows), _finding(lines))


def section(lines: Table) -> page.Section:
    """Return the section of the report: figure and table."""
    drawn = figure(lines)
    picture = page.figure(drawn.name, svg(drawn), f"{drawn.how} {drawn.finding}", drawn.finding, drawn.how)
    header = ["what is changed"]
    for policy in _POLICIES:
        header += [LABELS[policy], "lost / gained"]
    by_row: dict[str, dict[str, Any]] = {}
    for line in lines:
        by_row.setdefault(line["label"], {})[line["policy"]] = line
    body = [(label, *_cells(two["base"]), *_cells(two["residual"])) for label, two in by_row.items()]
    caption = (
        f"{lines[0]['n_scenes']} held-out scenes, the same in every row: share solved with Wilson's 95 % interval, and scenes "
        "lost and gained against the unperturbed ones."
    )
    numbers = page.folded("The gauntlet as numbers", page.table(header, body, caption))
    return page.Section("What a desk does to it", [picture, numbers])


def _cells(line: Mapping[str, Any]) -> tuple[str, str]:
    solved = f"{percent(line['success_rate'])} ({between(line['ci95_low'], line['ci95_high'])})"
    return solved, f"{line['lost']} / {line['gained']}"


def _draw(ax: Axes, lines: Table) -> None:
    names = list(dict.fromkeys(line["label"] for line in lines))
    to_the_right: Any = ("axes fraction", "data")
    for policy, shift in zip(_POLICIES, (0.16, -0.16), strict=True):
        own, colour = [line for line in lines if line["policy"] == policy], COLOURS[policy]
        rates, low, high = (np.array([line[key] for line in own]) for key in ("success_rate", "ci95_low", "ci95_high"))
        y = [names.index(line["label"]) + shift for line in own]
        bars = [rates - low, high - rates]
        ax.errorbar(rates, y, xerr=bars, fmt="o", color=colour, ms=5, capsize=2, elinewidth=1.4, label=LABELS[policy])
        ax.axvline(rates[0], color=colour, ls=":", lw=1.0)
        for rate, at in zip(rates, y, strict=True):
            ax.annotate(f"{100 * rate:.0f}", (1.02, at), xycoords=to_the_right, va="center", size=8)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.5, -0.6)
    # Labels of the rows leave little room for words below; what the bars are stands under the figure.
    show_solved(ax, lines[0]["n_scenes"], "What a desk does to it", bars="95 %")
    ax.legend(loc="lower right", bbox_to_anchor=(-0.02, 0.995), ncols=2, columnspacing=1.0)  # above the names of the rows


def _finding(lines: Table) -> str:
    words = []
    for policy in _POLICIES:
        first, *others = (line for line in lines if line["policy"] == policy)
        if not others:
            continue
        worst = min(others, key=lambda line: line["success_rate"])
        words.append(
            f"{LABELS[policy]} solves {percent(first['success_rate'])} unperturbed and at least "
            f"{percent(worst['success_rate'])} otherwise ({worst['label']})."
        )
    return " ".join(words)
