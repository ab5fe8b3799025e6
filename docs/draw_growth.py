"""Draw what growth costs: docs/images/growth.png.

    python docs/draw_growth.py [--out docs/images/growth.png]

Run from the root of the repository, on what `python benchmarks/bench_growth.py ... --json docs/growth.json` measured.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from soarm.report.style import BLUE, GREEN, GREY, ORANGE, VERMILLION

Rows = Sequence[dict[str, Any]]
COMPUTED = (1, 2, 4, 8, 16, 32, 64)
RUNS, RUN_S = 116, 600.0
"""The study, and a run of it that takes ten minutes [s]."""


def main() -> None:
    """Draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/growth.png"))
    options = parser.parse_args()
    measured = json.loads(Path("docs/growth.json").read_text(encoding="utf-8"))
    mpl.rcParams.update({"font.size": 9, "font.family": "DejaVu Sans", "axes.spines.top": False, "axes.spines.right": False})
    figure, axes = plt.subplots(1, 3, figsize=(11.5, 3.8), dpi=130, layout="constrained")
    _dataset(axes[0], measured["dataset"])
    _store(axes[1], measured["mlflow"])
    _study(axes[2], measured["study"])
    figure.savefig(options.out, metadata={"Software": None})


def _dataset(ax: Axes, rows: Rows) -> None:
    costs: tuple[tuple[str, str, Callable[[dict[str, Any]], float]], ...] = (
        ("record and finalize", VERMILLION, lambda row: row["save_s"] + row["finalize_s"]),
        ("soarm dataset verify", ORANGE, lambda row: row["verify_s"]),
        ("open and check", BLUE, lambda row: row["open_s"]),
        ("dvc add", GREEN, lambda row: row["dvc_add_s"]),
        ("hash as DVC does", GREY, lambda row: row["digest_s"]),
    )
    for label, colour, cost in costs:
        ax.loglog(
            [row["episodes"] for row in rows], [cost(row) for row in rows], "-o", color=colour, markersize=4, label=label
        )
    ax.set(title="A dataset", xlabel="episodes of 96 frames", ylabel="s")
    ax.legend(fontsize=7, frameon=False)


def _store(ax: Axes, rows: Rows) -> None:
    costs = (
        ("import MLflow", "import_s", GREY),
        ("open", "open_s", BLUE),
        ("log a training", "log_s", GREEN),
        ("close", "close_s", ORANGE),
        ("list of soarm ui", "ui_list_s", VERMILLION),
    )
    width = 0.8 / len(rows)
    for i, row in enumerate(rows):
        places = [at + (i - (len(rows) - 1) / 2) * width for at in range(len(costs))]
        bars = ax.bar(
            places, [row[key] for _, key, _ in costs], width, color=[colour for *_, colour in costs], alpha=(i + 1) / len(rows)
        )
        ax.bar_label(bars, [f"{row[key]:.2f}" for _, key, _ in costs], fontsize=6)
    ax.set_xticks(range(len(costs)), [label.replace(" ", "\n", 1) for label, *_ in costs], fontsize=7)
    sizes = " (pale) and ".join(f"{row['runs']:,}" for row in rows)
    ax.set(title=f"A store of {sizes} runs", ylabel="s")


def _study(ax: Axes, rows: Rows) -> None:
    ax.loglog(COMPUTED, COMPUTED, ":", color=GREY, label="as many times as fast")
    computed = [duration(1, rows) / duration(workers, rows) for workers in COMPUTED]
    ax.loglog(COMPUTED, computed, "--", color=BLUE, label=f"computed: {RUNS} runs of {RUN_S:g} s, a core each")
    workers = [row["workers"] for row in rows]
    ax.loglog(
        workers,
        [rows[0]["wall_s"] / row["wall_s"] for row in rows],
        "-o",
        color=VERMILLION,
        label="measured: 8 short runs, two cores",
    )
    ax.set(title="soarm study", xlabel="workers", ylabel="times as fast as one worker")
    ax.set_xticks(COMPUTED, [str(n) for n in COMPUTED])
    ax.set_yticks(COMPUTED, [str(n) for n in COMPUTED])
    ax.minorticks_off()
    ax.legend(fontsize=7, frameon=False)


def duration(workers: int, rows: Rows) -> float:
    """Return how long the study would take with a core for each worker [s]: rounds of runs, and what no worker shortens.

    That is DVC's looks before the first run, entering the runs of the last round, which end together, and the table.
    """
    row = min(rows, key=lambda row: float(row["status_s"]))
    each_s = (row["enter_all_alone_s"] - row["enter_one_alone_s"]) / (row["runs"] - 1)
    rounds = -(-RUNS // workers)
    at_once = RUNS - (rounds - 1) * workers
    serial_s = row["status_s"] + row["chain_and_table_s"] + row["enter_one_alone_s"] + (at_once - 1) * each_s
    return float(serial_s + rounds * RUN_S)


if __name__ == "__main__":
    main()
