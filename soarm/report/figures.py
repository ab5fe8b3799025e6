"""The figures, each a function of a table and axes; `soarm.report.tables` makes the tables.

Knows how to draw; computes no statistic. Forward of the arm is up in the maps.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator, PercentFormatter, ScalarFormatter, StrMethodFormatter

from soarm import kinematics
from soarm.report.style import BLUE, COLOURS, GREEN, GREY, LABELS, ORANGE, PURPLE, SKY, VERMILLION, Table

# Who solved a scene -> label, marker, colour, size, opacity; drawn in this order, the rare ones on top.
_SOLVED: dict[str, tuple[str, str, str, float, float]] = {
    "success": ("solved", "o", "#9bbfd4", 22, 0.8),
    "failure": ("failed", "X", VERMILLION, 40, 1.0),
    "both": ("both solve", "o", "#b9b9b9", 20, 0.8),
    "neither": ("neither solves", "X", "#222222", 34, 1.0),
    "base_only": ("only ACT solves (regression)", "v", BLUE, 46, 1.0),
    "residual_only": ("only ACT + residual solves (gain)", "^", VERMILLION, 46, 1.0),
}


class Curve(NamedTuple):
    """Columns of a training's curves that share axes.

    Attributes:
        name: Stem of the figure's files.
        stage: The training that wrote them.
        policy: Whose colour the first column has.
        columns: Column -> label.
        title: Of the figure.
        y_label: With unit.
        scale: `share` goes from 0 to 1.
        limits: Text of a dashed line -> where it is, and how the columns that it is a limit of begin: a training with one of
            them above it is in trouble.
    """

    name: str
    stage: str
    policy: str
    columns: Mapping[str, str]
    title: str
    y_label: str
    scale: Literal["linear", "log", "share"]
    limits: Mapping[str, tuple[float, str]] = MappingProxyType({})


def draw_success(ax: Axes, table: Table) -> None:
    """Draw the success rate of each policy with its interval, 0 to 1."""
    for i, row in enumerate(table):
        rate, low, high = row["success_rate"], row["ci95_low"], row["ci95_high"]
        colour = COLOURS[row["policy"]]
        ax.errorbar(rate, i, xerr=[[rate - low], [high - rate]], fmt="o", color=colour, ms=9, capsize=5, elinewidth=2.4)
        text = f"{100 * rate:.1f} %   [{100 * low:.1f}, {100 * high:.1f}]"
        ax.annotate(text, (rate, i), (0, 11), textcoords="offset points", ha="center")
    ax.set_yticks(range(len(table)), [LABELS[row["policy"]] for row in table])
    ax.set_ylim(len(table) - 0.5, -0.65)
    show_solved(ax, table[0]["n_scenes"], "Success")


def show_solved(ax: Axes, n_scenes: int, title: str, bars: str = "bars: Wilson 95 % interval") -> None:
    """Have x be the share of scenes solved, 0 to 1; `bars` says what the bars are."""
    ax.set_xlim(0.0, 1.0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.set_xlabel(f"scenes solved (n = {n_scenes}; {bars})")
    ax.set_title(title)
    ax.grid(visible=False, axis="y")


def draw_failures(ax: Axes, table: Table, labels: Mapping[str, str]) -> None:
    """Draw how many scenes failed in which way, one bar per policy; `labels` puts outcomes into words."""
    policies, outcomes = _unique(table, "policy"), _unique(table, "outcome")
    height = 0.8 / len(policies)
    for p, policy in enumerate(policies):
        counts = [row["scenes"] for row in table if row["policy"] == policy]
        y = np.arange(len(outcomes)) + (p - (len(policies) - 1) / 2) * height
        bars = ax.barh(y, counts, 0.9 * height, color=COLOURS[policy], label=f"{LABELS[policy]} ({sum(counts)} failures)")
        ax.bar_label(bars, padding=3, fontsize=9, color="#333333")
    ax.set_yticks(range(len(outcomes)), [labels[outcome] for outcome in outcomes])
    ax.invert_yaxis()
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel(f"scenes of {table[0]['n_scenes']}")
    ax.margins(x=0.1)
    ax.set_xlim(0, max(1.0, ax.get_xlim()[1]))
    ax.set_title("How episodes fail")
    ax.grid(visible=False, axis="y")
    _legend_below(ax, 2)


def draw_reached(ax: Axes, table: Table) -> None:
    """Draw the share of scenes that got at least to each stage, 0 to 1, with intervals."""
    policies, stages = _unique(table, "policy"), _unique(table, "stage")
    for p, policy in enumerate(policies):
        rows = [row for row in table if row["policy"] == policy]
        share, low, high = (np.array([row[key] for row in rows]) for key in ("share", "ci95_low", "ci95_high"))
        x = np.arange(len(stages)) + 0.12 * (p - (len(policies) - 1) / 2)
        spread = np.clip([share - low, high - share], 0.0, None)
        ax.errorbar(x, share, yerr=spread, fmt="o-", color=COLOURS[policy], capsize=3, label=LABELS[policy], ms=5)
    ax.set_xticks(range(len(stages)), stages)
    ax.set_ylim(0.0, 1.02)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.set_ylabel("scenes that got there")
    ax.set_xlabel(f"stage (n = {table[0]['n_scenes']}; bars: Wilson 95 % interval)")
    ax.set_title("How far episodes get")
    ax.legend(loc="lower left")


def draw_scenes(ax: Axes, table: Table, columns: tuple[str, str]) -> None:
    """Draw where an object lay at the start, seen from above, by who solved the scene; `columns` hold its x and y [m]."""
    at_x, at_y = columns
    shoulder = -kinematics.SHOULDER_XY_M[1]
    for radius_m in (0.1, 0.2, 0.3, 0.4):
        ax.add_patch(Circle((0.0, shoulder), radius_m, fill=False, color="#dddddd", lw=0.8, zorder=0))
    ax.plot(0.0, shoulder, marker="s", ms=9, color="#222222")
    ax.annotate("arm", (0.0, shoulder), (9, -3), textcoords="offset points", fontsize=9)
    for solved, (label, marker, colour, size, alpha) in _SOLVED.items():
        rows = [row for row in table if row["solved"] == solved]
        x, forward = [row[at_x] for row in rows], [-row[at_y] for row in rows]
        text = f"{label}: {len(rows)}"
        if rows:
            ax.scatter(
                x, forward, s=size, marker=marker, color=colour, alpha=alpha, edgecolors="white", linewidths=0.5, label=text
            )
    ax.set_aspect("equal")
    reach = max(0.1, *(abs(row[at_x]) for row in table)) + 0.03
    ax.set_xlim(reach, -reach)  # seen from above with the arm reaching up the page, x is to the left
    ax.set_ylim(min(0.0, *(-row[at_y] for row in table)), max(-row[at_y] for row in table) + 0.03)
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_xlabel("x [m]; seen from above\n(rings: 10 cm apart, around the shoulder)")
    ax.set_ylabel("forward of the base [m]")
    ax.set_title(f"Where the {at_x.removesuffix('_x_m')} lay (n = {len(table)})")
    ax.grid(visible=False)
    _legend_below(ax, 2)


def draw_times(ax: Axes, table: Table) -> None:
    """Draw the time to success of both policies against each other, one point per scene both solve."""
    base, residual = (np.array([row[key] for row in table]) for key in ("base_s", "residual_s"))
    ends = np.array([min(base.min(), residual.min()), max(base.max(), residual.max())])
    ends += np.array([-0.05, 0.05]) * max(float(np.ptp(ends)), 0.5)
    ax.plot(ends, ends, color=GREY, lw=1.0, ls="--")
    ax.annotate("equally fast", (ends[1], ends[1]), (-4, -14), textcoords="offset points", ha="right", fontsize=9, color=GREY)
    ax.scatter(base, residual, s=24, color=VERMILLION, alpha=0.7, edgecolors="white", linewidths=0.5)
    faster = int((residual < base).sum())
    ax.set_xlim(*ends)
    ax.set_ylim(*ends)
    ax.set_aspect("equal")
    ax.set_xlabel(f"time to success, {LABELS['base']} [s]\n(the residual is faster in {faster} of {len(base)})")
    ax.set_ylabel(f"time to success, {LABELS['residual']} [s]")
    ax.set_title(f"Time to success (n = {len(base)}, both solve)")


def draw_durations(ax: Axes, table: Table) -> None:
    """Draw the distribution of one policy's time to success."""
    seconds = np.array([row["time_to_success_s"] for row in table])
    ax.hist(seconds, bins=20, color=COLOURS["base"], edgecolor="white")
    ax.axvline(float(seconds.mean()), color="#222222", lw=1.2, ls="--", label=f"mean {seconds.mean():.2f} s")
    ax.set_xlabel(f"time to success [s] (n = {len(seconds)} solved scenes)")
    ax.yaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_ylabel("scenes")
    ax.set_title("Time to success")
    ax.legend()


def draw_curves(ax: Axes, table: Table, curve: Curve) -> None:
    """Draw metrics over training steps: rows with `step` and the columns of `curve`, NaN where one was not logged."""
    colours = (COLOURS[curve.policy], "#222222", GREEN, ORANGE, SKY, PURPLE)
    assert len(curve.columns) <= len(colours), f"{curve.name} has more columns than there are colours to tell apart"
    for (column, label), colour in zip(curve.columns.items(), colours, strict=False):
        points = np.array([(row["step"], row[column]) for row in table])
        points = points[np.isfinite(points[:, 1])]
        ax.plot(points[:, 0], points[:, 1], color=colour, label=label, marker="o" if len(points) < 30 else None, ms=3.5)
    if curve.scale == "log":
        ax.set_yscale("log")
        for which in (ax.yaxis.set_major_formatter, ax.yaxis.set_minor_formatter):
            which(ScalarFormatter())  # degrees, not powers of ten
    if curve.scale == "share":
        ax.set_ylim(0.0, 1.02)
        ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    for text, (height, _) in curve.limits.items():
        ax.axhline(height, color=GREY, lw=1.2, ls="--", label=text)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.set_xlabel("training step")
    ax.set_ylabel(curve.y_label)
    ax.set_title(curve.title)
    if len(curve.columns) + len(curve.limits) <= _INSIDE:
        ax.legend()
    else:
        _legend_below(ax, 3 if len(curve.columns) > 2 else 2)


def draw_ceilings(ax: Axes, table: Table) -> None:
    """Draw the success that each reach allows, 0 to 1, against the base's; the reach that was chosen is ringed."""
    (base,) = (row for row in table if row["policy"] == "base")
    rows = [row for row in table if row["policy"] != "base"]
    ax.axhspan(base["ci95_low"], base["ci95_high"], color=COLOURS["base"], alpha=0.12, lw=0)
    ax.axhline(base["success_rate"], color=COLOURS["base"], label=LABELS["base"])
    factor, rate, low, high = (np.array([row[key] for row in rows]) for key in ("factor", *_RATE))
    spread = np.clip([rate - low, high - rate], 0.0, None)
    ax.errorbar(factor, rate, yerr=spread, fmt="o-", color=GREEN, capsize=4, label="ceiling of a residual")
    for row in rows:
        text, foot = f"{100 * row['success_rate']:.1f} %", (row["factor"], row["ci95_low"])
        ax.annotate(text, foot, (0, -13), textcoords="offset points", ha="center", fontsize=9)
        if row["chosen"]:
            ax.plot(row["factor"], row["success_rate"], "o", ms=15, mfc="none", color="#222222", label="chosen")
    ax.set_xlim(0.0, 1.08 * factor.max())
    ax.set_ylim(0.0, 1.04)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.set_ylabel("scenes solved")
    ax.set_xlabel(f"how far the residual reaches, times reach.shape (n = {base['n_scenes']}; Wilson 95 % interval)")
    ax.set_title("What the residual's reach allows")
    ax.legend(loc="lower right")


def draw_gaps(ax: Axes, table: Table) -> None:
    """Draw how far each joint is from where the simulator has it, one bar per way."""
    names, joints = _unique(table, "policy"), _unique(table, "joint")
    width = 0.8 / len(names)
    for k, name in enumerate(names):
        gaps = [row["gap"] for row in table if row["policy"] == name]
        x = np.arange(len(joints)) + (k - (len(names) - 1) / 2) * width
        bars = ax.bar(x, gaps, 0.9 * width, color=COLOURS[name], label=LABELS[name])
        ax.bar_label(bars, fmt="%.2f", padding=2, fontsize=8, color="#333333")
    ax.set_xticks(range(len(joints)), [joint.replace("_", "\n") for joint in joints])
    ax.set_ylabel("mean distance [deg; gripper: percent]")
    ax.set_title("Twin gap: the same targets, where the joints go")
    ax.margins(y=0.12)
    ax.grid(visible=False, axis="x")
    ax.legend(loc="upper left")


def draw_joint_ceilings(ax: Axes, table: Table, whole: float) -> None:
    """Draw the success that is left when one joint reaches less, 0 to 1; `whole` is that of the uncut bound."""
    joints, factors = _unique(table, "joint"), _unique(table, "factor")
    height = 0.8 / len(factors)
    for f, factor in enumerate(factors):
        rows = [row for row in table if row["factor"] == factor]
        rate, low, high = (np.array([row[key] for row in rows]) for key in _RATE)
        y = np.arange(len(joints)) + (f - (len(factors) - 1) / 2) * height
        spread = np.clip([rate - low, high - rate], 0.0, None)
        colour = (GREEN, ORANGE, SKY)[f % 3]
        ax.barh(y, rate, 0.9 * height, color=colour, label=f"{factor:g} of its bound" if factor else "no residual on it")
        ax.errorbar(rate, y, xerr=spread, fmt="none", ecolor="#333333", elinewidth=1.2, capsize=2)
    ax.axvline(whole, color="#222222", lw=1.2, ls="--", label="whole bound")
    ax.set_yticks(range(len(joints)), [joint.replace("_", " ") for joint in joints])
    ax.invert_yaxis()
    ax.set_xlim(0.0, 1.0)
    ax.xaxis.set_major_formatter(PercentFormatter(1.0, symbol=" %"))
    ax.set_xlabel(f"scenes solved (n = {table[0]['n_scenes']}; lines: Wilson 95 % interval)")
    ax.set_title("What one joint's reach is worth")
    ax.grid(visible=False, axis="y")
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, fontsize=9)


_INSIDE = 3
"""Entries of a legend that find room among curves."""
_RATE = ("success_rate", "ci95_low", "ci95_high")


def _legend_below(ax: Axes, n_columns: int) -> None:
    """Put the legend where it covers nothing."""
    canvas = ax.get_figure()
    assert canvas is not None
    canvas.legend(loc="outside lower center", ncols=n_columns, fontsize=9)


def _unique(table: Table, key: str) -> Sequence[Any]:
    return list(dict.fromkeys(row[key] for row in table))
