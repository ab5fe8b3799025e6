"""What runs are measured by, on curves and rows whose numbers are known."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from soarm.errors import DatasetError
from soarm.evaluation.results import EpisodeRow, Results
from soarm.study import measures
from soarm.study.method import Point
from soarm.tasks.pick_place import TASK

CURVE = (Point(0, (False, True)), Point(50, (True, False)), Point(100, (True, True)))


def rows(successes: list[bool], steps: list[int], jerk: float = 900.0) -> Results:
    made = [
        EpisodeRow(
            seed=i,
            success=success,
            outcome="success" if success else "dropped",
            furthest_stage="place",
            steps=n,
            time_to_success_s=n / 30 if success else math.nan,
            return_shaped=1.0 if success else 0.5,
            return_sparse=float(success),
            action_acceleration_rms_deg_s2=50.0,
            action_jerk_rms_deg_s3=jerk,
            of_task={},
        )
        for i, (success, n) in enumerate(zip(successes, steps, strict=True))
    ]
    return Results(tuple(made), dataclasses.replace(TASK, ending_columns=(), scene_columns=()))


def test_the_area_is_that_of_straight_lines_per_scene() -> None:
    np.testing.assert_allclose(measures.area(CURVE, 100), [0.75, 0.5])


def test_behind_the_last_point_success_stays_and_behind_the_budget_nothing_counts() -> None:
    np.testing.assert_allclose(measures.area(CURVE, 200), [0.875, 0.75])
    np.testing.assert_allclose(measures.area(CURVE, 75), [(25 + 25) / 75, (25 + 0.5 * 25 * 0.5) / 75])


def test_the_target_is_reached_at_the_first_of_some_points_in_a_row_that_have_it() -> None:
    assert measures.steps_to_target(CURVE, 0.5, evaluations=1) == 0
    assert measures.steps_to_target(CURVE, evaluations=1) == 100
    assert measures.steps_to_target(CURVE[:2], evaluations=1) == math.inf


def test_a_lucky_point_is_not_the_target() -> None:
    heights = (0.5, 0.9, 0.8, 1.0, 0.9, 0.9)
    curve = [Point(10 * i, tuple(scene < round(10 * height) for scene in range(10))) for i, height in enumerate(heights)]

    assert measures.steps_to_target(curve) == 30
    assert measures.steps_to_target(curve[:-1]) == math.inf


def test_a_policy_is_compared_with_its_base_on_the_same_scenes() -> None:
    base, policy = rows([True, True, False, False], [100, 200, 300, 300]), rows([True, False, True, True], [50, 300, 100, 101])
    found = measures.compared(base, policy, 30)

    assert (found["gains"], found["regressions"], found["mcnemar_p"]) == (2, 1, 1.0)
    assert (found["base_success"], found["success"]) == (0.5, 0.75)
    assert found["time_ratio"] == 0.5
    assert found["n_both_solve"] == 1
    assert found["steps_ratio"] == pytest.approx(551 / 900)
    assert found["base_return_discounted"] == pytest.approx((0.99**99 + 0.99**199) / 4)
    assert (found["base_return"], found["return"]) == (0.75, 0.875)
    assert found["jerk_ratio"] == 1.0


def test_without_a_scene_both_solve_there_is_no_ratio_of_times() -> None:
    found = measures.compared(rows([True, False], [100, 300]), rows([False, True], [300, 100]), 30)

    assert math.isnan(found["time_ratio"])


def test_a_curve_is_read_as_it_was_written(tmp_path: Path) -> None:
    measures.write_curve(CURVE, tmp_path / "curve.csv")

    assert measures.read_curve(tmp_path / "curve.csv") == CURVE
    assert (tmp_path / "curve.csv").read_text().splitlines()[:2] == ["step,n_solved,n_scenes,solved", "0,1,2,s01"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"curve\.csv holds 0 points"),
        ("step,n_solved,n_scenes,solved\n5,1,2,s01\n", r"a curve starts at step 0"),
        ("step,n_solved,n_scenes,solved\n0,1,2,s01\n5,1,1,s1\n", r"every point has the same scenes"),
        ("step,n_solved,n_scenes,solved\n0,1\n", r"curve\.csv is no curve of a run .*dvc repro -f study"),
        ("step,success\n0,1\n", r"curve\.csv is no curve of a run"),
    ],
)
def test_a_damaged_curve_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "curve.csv").write_text(text)

    with pytest.raises(DatasetError, match=message):
        measures.read_curve(tmp_path / "curve.csv")
