"""Draw what learning regains on desks: docs/images/desks.svg.

    python docs/draw_desks.py runs/zeros [--alone runs/desks] [--out docs/images/desks.svg]

Run from the root of the repository, on folders that `python benchmarks/bench_desk.py` wrote.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from soarm.evaluation.statistics import wilson
from soarm.report.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILLION, Figure, Table, svg

COLOURS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY)


def rows(folder: Path, way: str) -> list[dict[str, Any]]:
    """Return a row per desk and milestone."""
    found = []
    for path in sorted(folder.glob("desk-*/found.json"), key=lambda path: int(path.parent.name.split("-")[1])):
        counted = json.loads(path.read_text())
        for n in sorted((name for name in counted if name.isdigit()), key=int):
            solved = counted[n]["solved"]
            low, high = wilson(sum(solved), len(solved))
            desk = f"desk {path.parent.name.split('-')[1]}"
            found.append(
                {"way": way, "desk": desk, "steps": int(n), "success": sum(solved) / len(solved), "low": low, "high": high}
            )
    return found


def draw(ax: Axes, table: Table) -> None:
    """Draw success over steps, a line per desk."""
    for i, desk in enumerate(dict.fromkeys(row["desk"] for row in table)):
        for way, style in (("zeros", "-o"), ("alone", ":s")):
            line = [row for row in table if (row["desk"], row["way"]) == (desk, way)]
            if not line:
                continue
            steps, success = [row["steps"] + 60 * i for row in line], [row["success"] for row in line]
            off = [[row["success"] - row["low"] for row in line], [row["high"] - row["success"] for row in line]]
            label = desk if way == "zeros" else f"{desk}, the residual learns"
            ax.errorbar(steps, success, off, fmt=style, color=COLOURS[i], markersize=4, elinewidth=0.6, label=label)
    ax.axhline(0.98, color=GREY, linewidth=1.0)
    ax.annotate("in its simulator", (10_200, 0.98), color=GREY, ha="right", va="bottom", fontsize=8)
    ax.set(ylim=(0, 1.05), xlabel="steps on the desk, 30 a second", ylabel="success (n = 100, Wilson 95 %)")
    ax.legend(fontsize=7, loc="lower right")


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of `--zeros`")
    parser.add_argument("--alone", type=Path, help="of the residual's learning alone")
    parser.add_argument("--out", type=Path, default=Path("docs/images/desks.svg"))
    options = parser.parse_args()
    table = rows(options.folder, "zeros") + ([] if options.alone is None else rows(options.alone, "alone"))
    options.out.write_text(svg(Figure("desks", "success over steps", table, draw, (6.4, 4.0))), encoding="utf-8")


if __name__ == "__main__":
    main()
