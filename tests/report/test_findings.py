"""Captions say what the figure's table says."""

from __future__ import annotations

import math

import pytest

from soarm.report import findings, gallery, tables
from soarm.report.figures import Curve

PERCENT = "\u00a0%"


def test_every_figure_of_a_comparison_says_what_is_seen_on_it(base, residual, comparison) -> None:
    said = {figure.name: figure.finding for figure in gallery.of_comparison(base, residual, comparison)}

    assert said["success"] == (
        f"ACT solves 4 of 8 scenes: 50.0{PERCENT}, 95 % interval 21.5 to 78.5{PERCENT}. "
        f"ACT + residual solves 6 of 8 scenes: 75.0{PERCENT}, 95 % interval 40.9 to 92.9{PERCENT}."
    )
    assert said["failures"] == (
        "ACT fails in 4 of 8 scenes, most often as \u201cdropped\u201d (2). "
        "ACT + residual fails in 2 of 8 scenes, most often as \u201cdropped\u201d (1)."
    )
    assert said["reached"] == (
        "ACT loses most scenes between lift and transport: 2 of 8. "
        "ACT + residual loses most scenes between the start and reach: 1 of 8."
    )
    who, where = said["scenes"].split(". ", 1)
    assert who == "Of 8 scenes, both solve 3, only ACT + residual solves 3, only ACT solves 1, neither solves 1"
    assert where.startswith("Where unsolved, the cube lay 0.1")
    assert said["times"].startswith("ACT + residual is faster in 3 of the 3 scenes that both solve: 4.10 s against 5.10 s")


def test_who_fails_in_no_scene_has_no_usual_failure_and_loses_none(base) -> None:
    row = {"policy": "base", "n_scenes": 5}

    assert findings.failures([{**row, "outcome": "dropped", "scenes": 0}], base.task.outcomes) == "ACT fails in 0 of 5 scenes."
    assert findings.reached([{**row, "stage": "place", "share": 1.0}]) == "ACT loses no scene."


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_a_curve_says_where_it_began_where_it_ended_and_its_best(scale) -> None:
    drawn = Curve("c", "train_act", "base", {"error": "held-out"}, "", "", scale, {"alarm": (2.5, "err")})
    table = [{"step": s, "error": v} for s, v in ((100.0, 3.0), (200.0, math.nan), (3000.0, 1.0), (4000.0, 2.0))]
    best = "highest 3 at step 100" if scale == "linear" else "lowest 1 at step 3,000"

    assert findings.curve(table, drawn) == (
        f"Held-out: 3 at step 100, 2 at step 4,000; {best}. 1 of 3 points above the alarm (2.5)."
    )


def test_many_curves_are_told_by_their_ends_the_largest_first() -> None:
    drawn = Curve("c", "train_residual", "residual", {"a": "left", "b": "right", "c": "middle"}, "", "", "share")
    table = [{"step": 1.0, "a": 0.9, "b": 0.9, "c": 0.9}, {"step": 2.0, "a": 0.1, "b": 0.3, "c": 0.2}]

    assert findings.curve(table, drawn) == f"At step 2: right 30.0{PERCENT}, middle 20.0{PERCENT}, left 10.0{PERCENT}."


def test_durations_and_scenes_of_one_policy_are_told(base) -> None:
    assert findings.durations(tables.durations(base)) == "A solved scene takes 5.15 s (median), from 5.00 to 5.70 s."
    assert findings.scenes(tables.scenes(base), ("cube_x_m", "cube_y_m")).startswith("Of 8 scenes, solved: 4, failed: 4.")
