"""Figures that people wrote into README and docs are those of the metrics in git; and README stays short."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
CHAINS = json.loads((ROOT / "docs" / "chains.json").read_text())["chains"]


def metrics(stage: str) -> Any:
    return json.loads((ROOT / "data" / "metrics" / f"{stage}.json").read_text())


def rate(summary: Any) -> str:
    low, high = summary["success_ci95"]
    return f"{100 * summary['success_rate']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"


def spread(values: list[float], form: str) -> str:
    return f"{min(values):{form}} to {max(values):{form}}"


def test_the_readme_says_what_the_chains_gave() -> None:
    seeds = [row for row in CHAINS if row["task"] == "pick_place"]
    base, residual = ([100 * row[key]["success_rate"] for row in seeds] for key in ("base", "residual"))
    counts = " / ".join(spread([row[key] for row in seeds], "d") for key in ("gains", "regressions"))
    shown = f"| {spread(base, '.1f')} % | {spread(residual, '.1f')} %, median {statistics.median(residual):.1f} % | {counts} |"
    others = [
        f"| {100 * row['base']['success_rate']:.1f} % | {100 * row['residual']['success_rate']:.1f} % "
        f"| {row['gains']} / {row['regressions']} |"
        for row in CHAINS
        if row["task"] != "pick_place"
    ]

    assert shown in README
    assert f"ACT: {spread(base, '.1f')} % | ACT + residual RL: **{spread(residual, '.1f')} %**" in README
    assert [row for row in others if row not in README] == []


def test_the_page_of_results_says_what_the_reproduction_gave() -> None:
    page = (ROOT / "docs" / "results.md").read_text()
    compare, check = metrics("compare"), metrics("deploy_check")
    low, high = (100 * end for end in compare["differences"]["success_rate"]["ci95"])
    shown = [
        rate(summary) for summary in (compare["base"], compare["residual"], check["direct"], check["wire"], check["servo"])
    ]
    shown += [f"{100 * compare['differences']['success_rate']['mean']:+.1f} points ({low:.1f} to {high:.1f})"]
    shown += [f"| {compare['base']['time_to_success_s']:.2f} s | {compare['residual']['time_to_success_s']:.2f} s |"]
    shown += [f"| {compare['base']['return_mean']:.3f} | {compare['residual']['return_mean']:.3f} |"]

    assert [text for text in shown if text not in page] == []


def test_the_first_screen_shows_the_picture_the_gain_and_the_commands() -> None:
    lines = README.splitlines()
    first = "\n".join(lines[:45])

    assert len(lines) < 150
    assert all(text in first for text in ("docs/images/pick_place.gif", "LeRobot alone", "&& dvc repro", "&& pytest"))
