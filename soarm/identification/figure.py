"""The figure of an identified arm, and the folder with all that was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from soarm import arm
from soarm.errors import LogError
from soarm.identification.identified import Identified
from soarm.report.style import BLUE, GREY, VERMILLION, Figure, Table, save
from soarm.smallfile import write_atomically


def write(identified: Identified, told: Mapping[str, Any], settings: str, folder: Path) -> None:
    """Write settings.yaml, identified.json and the figure of the joint with the largest gap.

    Args:
        identified: What was found.
        told: The same as JSON can hold it.
        settings: The same as YAML.
        folder: Made where it is missing.

    Raises:
        LogError: It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save(figure(identified, int(np.argmax(identified.gap_before))), folder)
    except OSError as error:
        raise LogError(f"{folder} cannot be written ({error.strerror}); choose another folder with --output") from None
    write_atomically(folder / "settings.yaml", settings, LogError)
    write_atomically(folder / "identified.json", json.dumps(told, indent=2) + "\n", LogError)


def figure(identified: Identified, joint: int) -> Figure:
    """Return the figure of one joint: goal, measured, and the simulator before and after."""
    stretch = identified.stretch
    columns = (stretch.goals, stretch.measured, stretch.before, stretch.after)
    rows = zip(stretch.t_s, *(column[:, joint] for column in columns), strict=True)
    table = [{"t_s": t, "goal": g, "measured": m, "before": b, "after": a} for t, g, m, b, a in rows]
    how = f"{arm.JOINT_NAMES[joint]}: {len(table)} ticks of one run; the simulator starts once, half a second before"

    def draw(ax: Axes, table: Table) -> None:
        _draw(ax, table, joint)

    return Figure("gap", how, table, draw, size_in=(7.2, 3.8))


def _draw(ax: Axes, table: Table, joint: int) -> None:
    t_s = [row["t_s"] for row in table]
    for name, label, colour, line in (
        ("goal", "goal", GREY, ":"),
        ("measured", "measured", "#222222", "-"),
        ("before", "simulator", VERMILLION, "-"),
        ("after", "simulator with what was found", BLUE, "--"),
    ):
        ax.plot(t_s, [row[name] for row in table], line, color=colour, label=label)
    ax.set_xlabel("time [s]")
    ax.set_ylabel(f"{arm.JOINT_NAMES[joint]} [{arm.UNITS[joint]}]")
    ax.set_title("An arm and its simulation, before and after")
    low, high = ax.get_ylim()
    ax.set_ylim(low, high + 0.2 * (high - low))  # room for the legend
    ax.legend(ncols=4, loc="upper center")
