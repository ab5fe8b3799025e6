"""docs/results.md: its tables say what the metrics say, and are those of the metrics in git."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from soarm.errors import StageError

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("results_page", ROOT / "docs" / "results.py")
assert _SPEC is not None
assert _SPEC.loader is not None
results = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(results)


def variant(name: str, method: str = "residual", **changes: Any) -> dict[str, Any]:
    return {
        "variant": name,
        "label": name.upper(),
        "method": method,
        "reference": "residual",
        "seeds": [0, 1, 2, 3, 4],
        "budget": 100_000,
        "n_scenes": 500,
        "base_success": 0.52,
        "success": 0.965,
        "success_ci95": [0.95, 0.98],
        "success_iqm": 0.97,
        "success_iqm_ci95": [0.96, 0.98],
        "success_worst": 0.94,
        "success_difference": None,
        "success_difference_ci95": [None, None],
        "success_p": None,
        "auc": 0.8,
        "auc_ci95": [0.78, 0.82],
        "auc_gain": 0.25,
        "auc_gain_ci95": [0.2, 0.3],
        "auc_difference": None,
        "auc_difference_ci95": [None, None],
        "auc_p": None,
        "reached_90": 5,
        "steps_to_90": 90000.0,
        "seconds_to_90": 200.0,
        "best_look": 0.98,
        "last_look": 0.95,
        "mcnemar_p_worst": 4e-5,
        "gains": 0.46,
        "regressions": 0.01,
        "time_ratio": 0.75,
        "steps_ratio": 0.6,
        "jerk_ratio": 1.05,
        "acceleration_ratio": 1.0,
        "return": 0.5,
        "base_return": 0.25,
        "return_discounted": 0.4,
        "base_return_discounted": 0.2,
        "episode_s": 3.5,
        "base_episode_s": 6.5,
    } | changes


BEHIND = {"success": 0.6, "auc_difference": -0.2, "auc_difference_ci95": [-0.25, -0.1], "auc_p": 0.0004}


def baselines(**changes: dict[str, Any]) -> list[dict[str, Any]]:
    """All that the method has to beat, behind by more than its interval but for the changes."""
    names = [name for name in results.BASELINES if name != results.BASE]
    return [variant(name, **BEHIND | changes.get(name, {})) for name in names]


def summary(*variants: dict[str, Any], missing: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "variants": {one["variant"]: one for one in variants},
        "missing": list(missing),
        "run_revisions": ["0123456789-dirty"],
    }


def verdicts(table: str) -> list[str]:
    return [line.split(" | ")[-1].removesuffix(" |") for line in table.splitlines()[2:]]


def test_the_page_s_tables_are_those_of_the_metrics_in_git() -> None:
    page = ROOT / "docs" / "results.md"
    found = results.blocks(ROOT / "data" / "metrics", ROOT / results.CHAINS)
    made = results.filled(page.read_text(encoding="utf-8"), found, "docs/results.md")

    assert made == page.read_text(encoding="utf-8"), "run `python docs/results.py`"


def test_what_was_not_run_says_so(tmp_path: Path) -> None:
    blocks = results.blocks(tmp_path, tmp_path / "chains.json")

    assert {blocks[name] for name in (*results.STUDY, "study_figure", "full", "chains")} == {results.NOT_YET}
    assert set(verdicts(blocks["claims"])) == {results.DASH}
    assert set(verdicts(blocks["targets"])) == {results.DASH}
    assert "| return | +50-80 % | \u2013 | \u2013 | \u2013 |" in blocks["claims"]


def chain(task: str, seed: int, rate: float, **changes: Any) -> dict[str, Any]:
    base = {"success_rate": 0.5, "success_ci95": [0.43, 0.57]}
    failures = {"dropped": 5, "missed_grasp": 1, "timed_out": 2, "never_reached": 0}
    residual = {"success_rate": rate, "success_ci95": [0.9, 1.0], "failures": failures}
    counts = {"gains": 90, "regressions": 1, "mcnemar_p": 3e-25, "wire_success_rate": None}
    return {"task": task, "seed": seed, "git_rev": "0123456789", "base": base, "residual": residual, **counts, **changes}


def test_chains_of_several_seeds_and_tasks_are_a_line_each_with_the_spread_over_seeds() -> None:
    made = results.chain_table(
        [*(chain("lift", seed, rate) for seed, rate in enumerate((0.97, 0.93, 0.99))), chain("turn", 0, 0.8)]
    )
    lines = made.splitlines()

    assert lines[2] == (
        "| lift, 0 | 50.0 % [43.0, 57.0] | 97.0 % [90.0, 100.0] | 90 / 1 | 3e-25 | \u2013 | dropped 5, timed out 2 | 0123456 |"
    )
    assert lines[-1] == "lift, 3 seeds: lowest 93.0 %, median 97.0 %."
    without_failures = {"success_rate": 1.0, "success_ci95": [0.98, 1.0], "failures": {"dropped": 0}}
    assert "| 96.0 % | none |" in results.chain_table(
        [chain("turn", 0, 1.0, residual=without_failures, wire_success_rate=0.96)]
    )


def test_claims_and_measurements_stand_side_by_side() -> None:
    compare = {
        "base": {"success_rate": 0.51, "success_ci95": [0.44, 0.58], "return_mean": 0.2, "steps_mean": 200.0},
        "residual": {"success_rate": 0.825, "success_ci95": [0.77, 0.87], "return_mean": 0.5, "steps_mean": 130.0},
    }
    lines = results.claims(compare, summary(variant("residual"))).splitlines()

    assert lines[0] == "|  | claimed | measured, `dvc repro` (one seed) | measured, study (5 seeds) | met |"
    assert lines[3] == "| success with the residual | 70-90 % | 82.5 % [77.0, 87.0] | 96.5 % [95.0, 98.0] | yes |"
    assert lines[4] == "| return | +50-80 % | +150.0 % | +100.0 % / +100.0 % | yes |"
    assert lines[5] == "| length of an episode | 20-30 % shorter | -35.0 % | -46.2 % / -25.0 % | yes |"


@pytest.mark.parametrize(
    ("line", "changes"),
    [
        (0, {"base_success": 0.72}),
        (0, {"base_success": 0.44}),
        (1, {"success": 0.69}),
        (2, {"return_discounted": 0.29}),
        (2, {"base_return": 0.0}),
        (3, {"time_ratio": 0.81}),
        (3, {"episode_s": 5.3}),
    ],
)
def test_a_claim_is_met_by_all_that_was_measured_or_not_at_all(line: int, changes: dict[str, float]) -> None:
    expected = ["yes"] * 4
    expected[line] = "no"

    assert verdicts(results.claims(None, summary(variant("residual", **changes)))) == expected


def test_targets_are_met_or_not() -> None:
    good = summary(variant("residual"), *baselines())
    bad = summary(
        variant("residual", success_worst=0.92, regressions=0.03, time_ratio=0.81, steps_to_90=None, reached_90=2),
        *baselines(no_chunk={"auc_difference_ci95": [-0.2, 0.01]}),
    )

    assert verdicts(results.targets(None, good))[1:] == ["yes"] * 5
    assert verdicts(results.targets(None, bad))[1:] == ["no"] * 5
    assert "2 of 5 runs reach 90 %" in results.targets(None, bad)


def test_episodes_that_are_shorter_because_more_are_solved_are_not_enough() -> None:
    longer, shorter, unknown = (
        results.targets(None, summary(variant("residual", time_ratio=ratio, episode_s=3.25))) for ratio in (0.9, 0.8, None)
    )

    assert "| -10.0 % where both solve, -50.0 % over all scenes | no |" in longer
    assert "| -20.0 % where both solve, -50.0 % over all scenes | yes |" in shorter
    assert "| \u2013 where both solve, -50.0 % over all scenes | \u2013 |" in unknown


@pytest.mark.parametrize("name", [name for name in results.BASELINES if name != results.BASE])
def test_every_baseline_counts_whatever_its_method(name: str) -> None:
    level = {"auc_difference": -0.05, "auc_difference_ci95": [-0.1, 0.0]}
    last = results.targets(None, summary(variant("residual"), *baselines(**{name: level}))).splitlines()[-1]

    assert last.endswith(f"| ahead of 8 of 9; not of {name.upper()} (-5.0 [-10.0, +0.0]) | no |")


def test_the_base_is_a_baseline_too() -> None:
    gains = {"auc_gain": 0.02, "auc_gain_ci95": [-0.01, 0.05]}
    last = results.targets(None, summary(variant("residual", **gains), *baselines())).splitlines()[-1]

    assert last.endswith("| ahead of 8 of 9; not of the base itself (-2.0 [-5.0, +1.0]) | no |")


def test_a_baseline_that_was_not_run_is_named_and_leaves_it_open() -> None:
    there = [one for one in baselines(ppo={"budget": 500_000}) if one["variant"] != "scratch"]
    old = {key: value for key, value in variant("residual").items() if not key.startswith("auc_gain")}
    last = results.targets(None, summary(old, *there)).splitlines()[-1]

    assert last.endswith("| ahead of 6 of 9; not run: base, scratch, ppo | \u2013 |")


def test_one_seed_is_ahead_of_nobody() -> None:
    once = {"auc_difference_ci95": [None, None]}
    last = results.targets(None, summary(variant("residual"), *baselines(ppo=once))).splitlines()[-1]

    assert last.endswith("| ahead of 8 of 9; not of PPO (-20.0) | no |")


def test_ninety_percent_within_ten_minutes_may_take_more_steps() -> None:
    short = variant("residual", steps_to_90=None, reached_90=2)
    tables = [
        results.targets(None, summary(short, variant("full", steps_to_90=140_000, seconds_to_90=seconds)))
        for seconds in (200, 700)
    ]

    assert "2 of 5 runs reach 90 %; `full`: 140,000 steps, 200 s | yes" in tables[0]
    assert "2 of 5 runs reach 90 %; `full`: 140,000 steps, 700 s | no" in tables[1]


def test_the_study_s_tables_show_intervals_and_what_is_missing() -> None:
    tables = results.study(summary(variant("residual"), variant("ppo", "ppo", **BEHIND), missing=("scratch-0",)))

    first = tables["study"].splitlines()
    assert first[2].startswith(
        "| RESIDUAL (5) | 52.0 % | 96.5 % [95.0, 98.0] | 97.0 % [96.0, 98.0] | 94.0 % | \u2013 | \u2013 |"
    )
    assert first[2].endswith("| 46.0 % / 1.0 % | 4e-05 |")
    assert "**Partial:** 1 run (scratch 0) has not been run." in first[-1]
    assert "Revisions: 0123456-dirty." in first[-1]
    assert tables["study_learning"].endswith("**Partial**, see above.")
    assert "| -20.0 [-25.0, -10.0] | 4e-04 | 5 of 5 | 90,000 | 200 | 98.0 % / 95.0 % |" in tables["study_learning"]


def test_a_difference_to_another_variant_than_the_method_names_it() -> None:
    of_small = variant("changed", reference="small", **BEHIND)
    tables = results.study(summary(variant("residual"), variant("small", **BEHIND), of_small))
    small, changed = tables["study_learning"].splitlines()[3:5]

    assert "| -20.0 [-25.0, -10.0] |" in small
    assert "| -20.0 [-25.0, -10.0] (from SMALL) |" in changed


def test_the_runs_of_a_variant_stand_one_by_one() -> None:
    run = {"success": 0.958, "ci95": [0.937, 0.972], "gains": 223, "regressions": 3, "mcnemar_p": 3e-61}
    run |= {"time_ratio": 0.747, "jerk_ratio": 1.102, "steps_to_90": 120000.0}
    slow = run | {"steps_to_90": None, "time_ratio": None, "mcnemar_p": 0.25}
    found = summary(variant("full", runs={"0": run, "3": slow}))

    assert results.runs(found, "full").splitlines()[2:] == [
        "| 0 | 95.8 % [93.7, 97.2] | 223 | 3 | 3e-61 | -25.3 % | +10.2 % | 120,000 |",
        "| 3 | 95.8 % [93.7, 97.2] | 223 | 3 | 0.250 | \u2013 | +10.2 % | \u2013 |",
        "",
        "500 test scenes, of which the base solves 52.0 %.",
    ]
    assert results.runs(found, "residual") == results.NOT_YET
    assert results.runs(summary(variant("full")), "full") == results.NOT_YET


def test_missing_runs_are_listed_by_variant_and_one_seed_has_no_interval() -> None:
    once = variant("residual", seeds=[0], success_ci95=[None, None])
    first = results.study(summary(once, missing=("no_penalty-0", "no_penalty-2", "ppo-1")))["study"].splitlines()

    assert "**Partial:** 3 runs (no_penalty 0, 2; ppo 1) have not been run." in first[-1]
    assert "| 96.5 % | 97.0 % [96.0, 98.0] |" in first[2]


def test_only_what_is_between_the_markers_changes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- begin: a -->\nold\n<!-- end: a -->\nafter\n")
    results.write_page(page, {"a": "new"})
    results.write_page(page, {"a": "newer"})

    assert page.read_text() == "before\n<!-- begin: a -->\nnewer\n<!-- end: a -->\nafter\n"


def test_a_page_with_other_markers_is_refused_and_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- begin: a -->\n<!-- end: b -->\n")
    with pytest.raises(StageError, match=r"page\.md marks the blocks \[\]; there are \['a'\]"):
        results.write_page(page, {"a": "new"})
    with pytest.raises(StageError, match=r"other\.md does not exist"):
        results.write_page(tmp_path / "other.md", {"a": "new"})

    assert page.read_text() == "<!-- begin: a -->\n<!-- end: b -->\n"


def test_the_command_refreshes_the_page_and_takes_the_figure_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("docs/images", "data/metrics", "data/study_summary/figures"):
        Path(folder).mkdir(parents=True)
    Path("docs/results.md").write_text((ROOT / "docs" / "results.md").read_text(encoding="utf-8"), encoding="utf-8")
    Path("data/metrics/study_summary.json").write_text(json.dumps(summary(variant("residual"))))
    Path("data/study_summary/figures/study.png").write_bytes(b"png")

    assert results.main() == 0
    assert "| RESIDUAL (5) |" in Path("docs/results.md").read_text(encoding="utf-8")
    assert Path("docs/images/study.png").read_bytes() == b"png"
