import math

import pytest

from soarm.errors import StageError
from soarm.evaluation.statistics import wilson
from soarm.report import tables


@pytest.fixture
def policies(comparison):
    return {"base": comparison.base, "residual": comparison.residual}


def test_success_has_a_row_per_policy_with_its_interval(policies):
    first, second = tables.success(policies)

    assert (first["policy"], first["success_rate"], first["n_scenes"]) == ("base", 0.5, 8)
    assert (second["policy"], second["success_rate"]) == ("residual", 0.75)
    assert (second["ci95_low"], second["ci95_high"]) == wilson(6, 8)


def test_failures_list_every_class_of_every_policy(policies):
    table = tables.failures(policies)

    assert len(table) == 14
    assert {(row["policy"], row["outcome"]): row["scenes"] for row in table if row["scenes"]} == {
        ("base", "dropped"): 2,
        ("base", "missed_grasp"): 1,
        ("base", "never_reached"): 1,
        ("residual", "dropped"): 1,
        ("residual", "never_reached"): 1,
    }


def test_reached_never_rises_from_stage_to_stage(policies):
    shares = [row["share"] for row in tables.reached(policies) if row["policy"] == "base"]

    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0.5


def test_scenes_say_who_solved_them(base, residual):
    both = [row["solved"] for row in tables.scenes(base, residual)]
    alone = [row["solved"] for row in tables.scenes(base)]

    assert both == ["both", "both", "base_only", "residual_only", "residual_only", "residual_only", "neither", "both"]
    assert alone == ["success"] * 3 + ["failure"] * 4 + ["success"]


def test_times_are_those_of_scenes_both_solve(base, residual):
    assert [row["seed"] for row in tables.times(base, residual)] == [100, 101, 107]


def test_curves_read_numbers_and_leave_gaps(tmp_path):
    (tmp_path / "val").mkdir()
    (tmp_path / "loss.tsv").write_text("step\tloss\n1\t0.5\n2\t0.4\n")
    (tmp_path / "val" / "l1.tsv").write_text("step\tl1\n2\t3.5\n")
    first, second = tables.curves(tmp_path)

    assert (first["step"], first["loss"]) == (1.0, 0.5)
    assert math.isnan(first["val/l1"])
    assert second == {"step": 2.0, "loss": 0.4, "val/l1": 3.5}


@pytest.mark.parametrize("line", ["2\toops", "2", "2\t1\t1"])
def test_curves_that_hold_other_things_are_refused_with_the_line(tmp_path, line):
    folder = tmp_path / "train_act" / "plots" / "metrics"
    folder.mkdir(parents=True)
    (folder / "loss.tsv").write_text(f"step\tloss\n1\t0.5\n{line}\n")

    with pytest.raises(StageError, match=r"loss.tsv, line 3: .* a step and a number. Train again: `dvc repro -f train_act`"):
        tables.curves(folder)
