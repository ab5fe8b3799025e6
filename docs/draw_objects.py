"""Draw where cube and bin may be, from above: docs/images/objects.png.

    python docs/draw_objects.py [--out docs/images/objects.png]

Run from the root of the repository; sizes come from `soarm.tasks`, where the policy saw them from params.yaml.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle, Wedge

from soarm import kinematics, params
from soarm.runtime.plausible import REACH_M, SIDEWAYS_DEG
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.tasks.pick_place.things import BIN_HALF_M, BIN_WALL_HEIGHT_M, BIN_WALL_M
from soarm.tasks.tabletop import CUBE_HALF_M

BLUE, GREEN, GREY, RED = "#0072B2", "#009E73", "#8a8f98", "#D55E00"
CUBE, YAW_DEG, BIN = (-0.1, -0.2), 25.0, (0.13, -0.16)
SHOULDER = kinematics.CHAIN[0][0][:2]


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/images/objects.png"))
    options = parser.parse_args()
    task = params.load(Path("params.yaml")).section("sim", PickPlaceParams).task
    mpl.rcParams.update({"font.size": 9, "font.family": "DejaVu Sans"})
    figure, ax = plt.subplots(figsize=(7.2, 6.0), dpi=130)
    _sector(ax, (0.0, REACH_M), (-SIDEWAYS_DEG, SIDEWAYS_DEG), {"facecolor": "#f2f3f5"})
    _sector(ax, task.bin_radius_m, task.bin_angle_deg, {"facecolor": GREEN, "alpha": 0.16})
    _sector(ax, task.cube_radius_m, task.cube_angle_deg, {"facecolor": BLUE, "alpha": 0.16})
    _arm(ax)
    _objects(ax)
    _axes(ax)
    _note(ax, "the arm's reach", (-0.3, -0.04), GREY)
    _note(ax, "training: cube", (0.0, -0.28), BLUE)
    _note(ax, "training: bin", (0.26, -0.105), GREEN)
    ax.set(xlim=(-0.48, 0.48), ylim=(-0.52, 0.2), aspect="equal", xlabel="x [m]", ylabel="y [m]")
    ax.set_title("Cube and bin from above, in the frame of the arm's base")
    figure.savefig(options.out, bbox_inches="tight", metadata={"Software": None})


def _sector(ax: Axes, radius_m: tuple[float, float], angle_deg: tuple[float, float], look: dict[str, object]) -> None:
    low, high = radius_m
    ax.add_patch(Wedge(SHOULDER, high, 270 + angle_deg[0], 270 + angle_deg[1], width=high - low, **look))


def _arm(ax: Axes) -> None:
    ax.add_patch(Rectangle((-0.0555, -0.071), 0.111, 0.096, color="#3b3f46"))
    ax.plot(*SHOULDER, "o", color="white", markersize=4)
    ax.text(0.0, 0.002, "base", color="white", ha="center", va="center")
    ax.annotate("axis of the\nshoulder", SHOULDER, (-0.2, 0.06), color=GREY, arrowprops={"arrowstyle": "-", "color": GREY})


def _objects(ax: Axes) -> None:
    outer = BIN_HALF_M + BIN_WALL_M
    ax.add_patch(Rectangle((BIN[0] - outer, BIN[1] - outer), 2 * outer, 2 * outer, color=GREEN))
    ax.add_patch(Rectangle((BIN[0] - BIN_HALF_M, BIN[1] - BIN_HALF_M), 2 * BIN_HALF_M, 2 * BIN_HALF_M, color="white"))
    corner = np.array([-CUBE_HALF_M, -CUBE_HALF_M])
    turn = math.radians(YAW_DEG)
    turned = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ corner
    ax.add_patch(Rectangle(CUBE + turned, 2 * CUBE_HALF_M, 2 * CUBE_HALF_M, angle=YAW_DEG, color=BLUE))
    for place, name, at in ((CUBE, "cube.x, cube.y", (-0.33, -0.3)), (BIN, "bin.x, bin.y", (0.24, -0.3))):
        ax.plot(*place, "+", color="black", markersize=7)
        ax.annotate(name, place, at, arrowprops={"arrowstyle": "-", "color": "black"})
    ax.plot([CUBE[0], CUBE[0] + 0.06], [CUBE[1]] * 2, ":", color=BLUE)
    end = CUBE[0] + 0.06 * math.cos(turn), CUBE[1] + 0.06 * math.sin(turn)
    ax.plot([CUBE[0], end[0]], [CUBE[1], end[1]], "-", color=BLUE)
    ax.text(CUBE[0] + 0.064, CUBE[1] + 0.006, f"yaw {YAW_DEG:g}°", color=BLUE)
    edge_mm, inner_mm = 2000 * CUBE_HALF_M, 2000 * BIN_HALF_M
    ax.text(-0.33, -0.325, f"{edge_mm:g} mm cube, z of its\nmiddle {CUBE_HALF_M:g} on the table", va="top", color=GREY)
    ax.text(
        0.24,
        -0.325,
        f"{inner_mm:g} mm inside,\nwalls {1000 * BIN_WALL_M:g} mm,\n{1000 * BIN_WALL_HEIGHT_M:g} mm high",
        va="top",
        color=GREY,
    )


def _axes(ax: Axes) -> None:
    for tip, name in (((0.13, 0.0), "x: to your right, if you face the arm"), ((0.0, 0.13), "y: backwards")):
        ax.annotate("", tip, (0.0, 0.0), arrowprops={"arrowstyle": "-|>", "color": RED, "linewidth": 2})
        ax.text(tip[0] + 0.012, tip[1], name, color=RED, va="center")
    ax.plot(0, 0, "o", color=RED, markersize=6)
    ax.text(0.142, 0.04, "z: up, out of the picture;\n0 is the table", color=RED)
    ax.annotate("the arm reaches\ntowards -y", (0.0, -0.44), (0.0, -0.5), color=GREY, ha="center")


def _note(ax: Axes, text: str, at: tuple[float, float], colour: str) -> None:
    ax.text(*at, text, color=colour, ha="center", va="center")


if __name__ == "__main__":
    main()
