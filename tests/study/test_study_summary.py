"""The study's table, from runs whose numbers are known."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from soarm.errors import DatasetError
from soarm.evaluation.results import EpisodeRow, Results
from soarm.evaluation.statistics import welch_p
from soarm.params import build
from soarm.records import plain, write_json
from soarm.study import measures, tables
from soarm.study.method import Point
from soarm.study.summary import summarise
from soarm.study.variants import StudyParams
from soarm.tasks.pick_place import TASK

BUDGET, N = 100, 10


def params(seeds: list[int], **variants: dict[str, Any]) -> StudyParams:
    section = {
        "seeds": seeds,
        "env_steps": BUDGET,
        "test": {"n_scenes": N, "n_rows": 2, "n_threads": 1, "knocked_away_m": 0.03},
        "bootstrap_resamples": 200,
        "common": {
            **{"method": "residual", "residual": {}, "act": {}, "bound_factor": 1.0, "options": {}},
            **{"seeds": None, "env_steps": None, "reference": "residual"},
        },
        "variants": {"residual": {"label": "ours"}, **variants},
    }
    return build(StudyParams, section, "study")


def rows(n_solved: int, n: int = N) -> Results:
    def row(i: int) -> EpisodeRow:
        solved = i < n_solved
        seconds = 3.0 if solved else math.nan
        result = "success" if solved else "dropped"
        own = {column.name: column.kind(0) for column in TASK.columns}
        return EpisodeRow(i, solved, result, "place", 90, seconds, 1.0, 1.0, 5.0, 9.0, own)

    return Results(tuple(row(i) for i in range(n)), TASK)


def write(folder: Path, name: str, n_solved: int, steps_to_90: float = math.inf, budget: int = BUDGET, n: int = N) -> None:
    at = folder / name
    at.mkdir(parents=True)
    base, policy = rows(4, n), rows(n_solved, n)
    policy.save(at, "policy")
    curve = Point(0, (True,) * 4 + (False,) * 6), Point(budget, (True,) * n_solved + (False,) * (N - n_solved))
    measures.write_curve(curve, at / "curve.csv")
    own = {
        "budget": budget,
        "steps_to_90": steps_to_90,
        "seconds_to_90": steps_to_90,
        "env_steps_per_s": 10.0,
        "git_rev": "abc",
    }
    write_json(at / "metrics.json", {**measures.compared(base, policy, 30), **own})


def test_a_variant_s_row_is_over_its_seeds(tmp_path: Path) -> None:
    for name, n_solved, steps in (("residual-0", 9, 60), ("residual-1", 8, math.inf), ("residual-2", 10, 20)):
        write(tmp_path, name, n_solved, steps)
    found = summarise(tmp_path, params([0, 1, 2]), np.random.default_rng(0))
    (row,) = found.rows

    assert row.success.value == pytest.approx(0.9)
    assert row.success.low < 0.9 < row.success.high
    assert (row.success_worst, row.n_scenes, row.seeds) == (0.8, N, (0, 1, 2))
    assert row.auc.value == pytest.approx((0.4 + 0.9) / 2)
    assert row.auc_gain.value == pytest.approx((0.4 + 0.9) / 2 - 0.4)
    assert row.auc_gain.low < row.auc_gain.value < row.auc_gain.high
    assert (row.reached_90, row.steps_to_90) == (2, 60.0)
    assert row.means["gains"] == pytest.approx(0.5)
    assert row.means["regressions"] == 0.0
    assert row.means["base_success"] == pytest.approx(0.4)
    assert found.missing == ()
    assert found.revisions == ("abc",)


def test_the_best_look_is_kept_apart_from_the_last(tmp_path: Path) -> None:
    for seed, solved in enumerate(((1, 4, 2), (0, 3, 3))):
        write(tmp_path, f"residual-{seed}", 9)
        curve = [Point(30 * i, tuple(j < n for j in range(4))) for i, n in enumerate(solved)]
        measures.write_curve(curve, tmp_path / f"residual-{seed}" / "curve.csv")
    (row,) = summarise(tmp_path, params([0, 1]), np.random.default_rng(0)).rows

    assert (row.best_look, row.last_look) == (7 / 8, 5 / 8)


def test_variants_are_compared_with_the_reference_over_the_seeds_both_have(tmp_path: Path) -> None:
    for seed, n_solved in enumerate((9, 10, 8)):
        write(tmp_path, f"residual-{seed}", n_solved)
    for seed, n_solved in enumerate((6, 7)):
        write(tmp_path, f"worse-{seed}", n_solved)
    write(tmp_path, "once-1", 10)
    variants = {"worse": {"label": "w", "seeds": [0, 1]}, "once": {"label": "o", "seeds": [1]}}
    found = summarise(tmp_path, params([0, 1, 2], **variants), np.random.default_rng(0))
    by_name = {row.variant: row for row in found.rows}

    assert [row.variant for row in found.rows] == ["once", "residual", "worse"]
    assert by_name["worse"].success_difference.value == pytest.approx(-0.3)
    assert by_name["worse"].success_difference.high < 0.0
    assert 0.0 < by_name["worse"].success_p < 0.1
    assert by_name["once"].success_difference.value == 0.0
    assert math.isnan(by_name["once"].success.low)
    assert math.isnan(by_name["once"].success_p)
    assert math.isnan(by_name["residual"].success_difference.value)


def test_a_variant_may_have_a_reference_of_its_own(tmp_path: Path) -> None:
    for name, n_solved in (("residual", 9), ("small", 7), ("changed", 6)):
        write(tmp_path, f"{name}-0", n_solved)
        write(tmp_path, f"{name}-1", n_solved)
    variants = {"small": {"label": "s"}, "changed": {"label": "c", "reference": "small"}}
    found = summarise(tmp_path, params([0, 1], **variants), np.random.default_rng(0))
    by_name = {row.variant: row for row in found.rows}

    assert by_name["changed"].reference == "small"
    assert by_name["changed"].success_difference.value == pytest.approx(-0.1)
    assert by_name["small"].success_difference.value == pytest.approx(-0.2)
    assert math.isnan(by_name["residual"].success_difference.value)


def test_p_values_are_corrected_for_the_number_of_variants(tmp_path: Path) -> None:
    solved = {"residual": (8, 9, 10), "one": (5, 6, 6), "two": (6, 7, 8)}
    for name, numbers in solved.items():
        for seed, n_solved in enumerate(numbers):
            write(tmp_path, f"{name}-{seed}", n_solved)
    found = summarise(tmp_path, params([0, 1, 2], one={"label": "1"}, two={"label": "2"}), np.random.default_rng(0))
    by_name = {row.variant: row for row in found.rows}
    less, more = (welch_p(solved[name], solved["residual"]) for name in ("one", "two"))

    assert less < more < 1.0
    for p_value in ("success_p", "auc_p"):  # the area is half of the end's success, and of the base's
        assert getattr(by_name["one"], p_value) == pytest.approx(2 * less)
        assert getattr(by_name["two"], p_value) == pytest.approx(max(2 * less, more))


def test_a_partial_study_names_what_is_missing_and_is_written_all_the_same(tmp_path: Path) -> None:
    write(tmp_path, "residual-1", 9)
    found = summarise(tmp_path, params([0, 1], ppo={"label": "PPO"}), np.random.default_rng(0))
    metrics = plain(found.to_dict())

    assert found.missing == ("residual-0", "ppo-0", "ppo-1")
    assert metrics["complete"] is False
    assert list(metrics["variants"]) == ["residual"]
    assert metrics["variants"]["residual"]["steps_to_90"] is None
    assert metrics["variants"]["residual"]["success_ci95"] == [None, None]
    json.dumps(metrics, allow_nan=False)


def test_every_run_keeps_its_own_numbers(tmp_path: Path) -> None:
    write(tmp_path, "residual-0", 9, 60)
    write(tmp_path, "residual-2", 8)
    found = summarise(tmp_path, params([0, 1, 2]), np.random.default_rng(0))
    runs = json.loads(json.dumps(plain(found.to_dict()), allow_nan=False))["variants"]["residual"]["runs"]

    assert list(runs) == ["0", "2"]
    assert runs["0"] == {
        **{"success": 0.9, "ci95": pytest.approx([0.596, 0.982], abs=1e-3), "gains": 5, "regressions": 0},
        **{"mcnemar_p": 2 * 0.5**5, "time_ratio": 1.0, "jerk_ratio": 1.0, "steps_to_90": 60},
    }
    assert (runs["2"]["success"], runs["2"]["steps_to_90"]) == (0.8, None)


def test_tables_hold_a_line_per_variant_and_per_step(tmp_path: Path) -> None:
    write(tmp_path, "residual-0", 9)
    write(tmp_path, "residual-1", 7)
    found = summarise(tmp_path, params([0, 1]), np.random.default_rng(0))

    (line,) = tables.table(found)
    assert line["seeds"] == "0 1"
    assert line["success_ci95_low"] <= line["success"] == pytest.approx(0.8)
    first, last = tables.curves(found)
    assert (first["step"], first["mean"], last["step"]) == (0, 0.4, BUDGET)
    assert [last[key] for key in ("least", "mean", "greatest")] == pytest.approx([0.7, 0.8, 0.9])


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "scenes", "residual-0", 9)
    write(tmp_path / "scenes", "residual-1", 9, n=8)
    with pytest.raises(DatasetError, match=r"residual-1 has 8 test and 10 validation scenes, residual-0 10 and 10"):
        summarise(tmp_path / "scenes", params([0, 1]), np.random.default_rng(0))
    write(tmp_path / "budget", "residual-0", 9, budget=50)
    with pytest.raises(DatasetError, match=r"residual-0 was run with a budget of 50 environment steps, params\.yaml says 100"):
        summarise(tmp_path / "budget", params([0]), np.random.default_rng(0))


def test_no_run_and_a_damaged_run_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds none of the runs of params\.yaml; make them with `dvc repro study"):
        summarise(tmp_path, params([0]), np.random.default_rng(0))
    write(tmp_path, "residual-0", 9)
    (tmp_path / "residual-0" / "metrics.json").write_text("{")
    with pytest.raises(DatasetError, match=r"residual-0.metrics\.json is not JSON"):
        summarise(tmp_path, params([0]), np.random.default_rng(0))


def test_a_variant_with_a_budget_of_its_own_is_compared_with_nobody(tmp_path: Path) -> None:
    for seed in (0, 1):
        write(tmp_path, f"residual-{seed}", 8)
        write(tmp_path, f"longer-{seed}", 10, budget=3 * BUDGET)
    found = summarise(tmp_path, params([0, 1], longer={"label": "l", "env_steps": 3 * BUDGET}), np.random.default_rng(0))
    longer, ours = found.rows

    assert (longer.variant, longer.budget, ours.budget) == ("longer", 3 * BUDGET, BUDGET)
    assert longer.success.value == 1.0
    assert math.isnan(longer.success_difference.value)
    assert math.isnan(longer.auc_p)
