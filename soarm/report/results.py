"""docs/results.md: prose that people write, and between markers tables that are made from `data/metrics/*.json`.

    <!-- begin: claims -->
    (this is replaced)
    <!-- end: claims -->

Knows metrics files only and needs the standard library only: what is in git is enough to refresh the page (`soarm results`),
and a test refreshes it and compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from soarm.errors import StageError

Metrics = Mapping[str, Any]
REFERENCE = "residual"
FULL = "full"
"""The variant with the steps of the profile `full`: its final success is the project's claim."""
NOT_YET = "*Not run yet.*"
DASH = "\u2013"
STUDY = ("study", "study_learning", "study_behaviour")
_FIGURE = "![Learning curves and final success of every variant](images/study.png)"


def write_page(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace what stands between the markers of each block of a page; the rest stays as it is.

    Raises:
        StageError: The page does not exist, or its markers are not exactly the blocks.
    """
    if not path.is_file():
        raise StageError(f"{path} does not exist; it comes with the repository: `git checkout {path}`")
    path.write_text(filled(path.read_text(encoding="utf-8"), blocks, str(path)), encoding="utf-8")


def filled(text: str, blocks: Mapping[str, str], name: str) -> str:
    """Return a page with its blocks replaced.

    Raises:
        StageError: Its markers are not exactly the blocks.
    """
    marked = re.findall(r"<!-- begin: (\w+) -->.*?<!-- end: \1 -->", text, flags=re.DOTALL)
    if sorted(marked) != sorted(blocks):
        raise StageError(
            f"{name} marks the blocks {sorted(marked)}; there are {sorted(blocks)}. Each stands once, between "
            "<!-- begin: NAME --> and <!-- end: NAME -->, on lines of their own"
        )
    for block, content in blocks.items():
        begin, end = f"<!-- begin: {block} -->", f"<!-- end: {block} -->"
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"
    return text


def blocks(folder: Path) -> dict[str, str]:
    """Return the blocks of docs/results.md from the metrics files in `folder`; what has not been run says so."""
    compare, summary = _read(folder / "compare.json"), _read(folder / "study_summary.json")
    parts = dict.fromkeys(("study_figure", *STUDY), NOT_YET) if summary is None else study(summary) | {"study_figure": _FIGURE}
    return {"claims": claims(compare, summary), "targets": targets(compare, summary), **parts}


def claims(compare: Metrics | None, summary: Metrics | None) -> str:
    """Return what the seed document claims beside what was measured."""
    one = _chain(compare)
    found = (summary or {}).get("variants", {})
    mean = found.get(FULL, found.get(REFERENCE))
    several = [DASH] * 4
    if mean is not None:
        returns = " / ".join(_change(mean[key], mean[f"base_{key}"]) for key in ("return", "return_discounted"))
        several = [
            _percent(mean["base_success"]),
            f"{_percent(mean['success'])}{_interval(mean['success_ci95'])}",
            returns,
            f"{_change(mean['episode_s'], mean['base_episode_s'])} / {_signed(mean['time_ratio'])}",
        ]
    claimed = ["45-70 %", "70-90 %", "+50-80 %", "20-30 % shorter"]
    what = ["success of the base", "success with the residual", "return", "length of an episode"]
    n = len(mean["seeds"]) if mean is not None else 0
    header = ("", "claimed", "measured, `dvc repro` (one seed)", f"measured, study ({n} seeds)" if n else "measured, study")
    return _table(header, zip(what, claimed, one, several, strict=True))


def targets(compare: Metrics | None, summary: Metrics | None) -> str:
    """Return what the project set out to reach beside what was measured."""
    rows: list[tuple[str, str, str]] = []

    def add(what: str, measured: str, met: bool | None) -> None:
        rows.append((what, measured, DASH if met is None else "yes" if met else "no"))

    if compare is None:
        add("`dvc repro`: +15 points on held-out scenes, McNemar p < 0.01, base 45-80 %", DASH, None)
    else:
        base, after = compare["base"]["success_rate"], compare["residual"]["success_rate"]
        met = after - base >= 0.15 and compare["mcnemar_p"] < 0.01 and 0.45 <= base <= 0.8
        text = f"{100 * (after - base):+.1f} points from {_percent(base)}, p = {compare['mcnemar_p']:.1e}"
        add(f"`dvc repro`: +15 points on {compare['n_scenes']} scenes, McNemar p < 0.01, base 45-80 %", text, met)
    found = (summary or {}).get("variants", {})
    row = found.get(REFERENCE)
    for what, measured in _TARGETS:
        by = found.get(FULL, row) if measured in _AT_THE_END else row
        text, met = (DASH, None) if by is None else measured(by, found)
        add(what, text, met)
    return _table(("target", "measured", "met"), rows)


def study(summary: Metrics) -> dict[str, str]:
    """Return the study's three tables, best variant first, from the metrics of `study_summary`."""
    rows = list(summary["variants"].values())
    partial = bool(summary["missing"])
    note = f"\n\nRevisions: {', '.join(sorted({_short(one) for one in summary['run_revisions']}))}."
    if partial:
        note += f" **Partial:** {_count(summary['missing'])} not been run."
    seeds = {row["variant"]: f"{row['label']} ({len(row['seeds'])})" for row in rows}
    success = [
        (
            seeds[row["variant"]],
            _percent(row["base_success"]),
            f"{_percent(row['success'])}{_interval(row['success_ci95'])}",
            f"{_percent(row['success_iqm'])}{_interval(row['success_iqm_ci95'])}",
            _percent(row["success_worst"]),
            _points(row["success_difference"], row["success_difference_ci95"]),
            _p(row["success_p"]),
            f"{_percent(row['gains'])} / {_percent(row['regressions'])}",
        )
        for row in rows
    ]
    learning = [
        (
            seeds[row["variant"]],
            f"{_percent(row['auc'])}{_interval(row['auc_ci95'])}",
            _points(row["auc_difference"], row["auc_difference_ci95"]),
            _p(row["auc_p"]),
            f"{row['reached_90']} of {len(row['seeds'])}",
            DASH if row["steps_to_90"] is None else f"{row['steps_to_90']:,.0f}",
            DASH if row["seconds_to_90"] is None else f"{row['seconds_to_90']:,.0f}",
        )
        for row in rows
    ]
    behaviour = [
        (
            seeds[row["variant"]],
            *(_signed(row[f"{key}_ratio"]) for key in ("time", "steps", "jerk", "acceleration")),
            _change(row["return"], row["base_return"]),
            _change(row["return_discounted"], row["base_return_discounted"]),
        )
        for row in rows
    ]
    parts = _table(_SUCCESS, success), _table(_LEARNING, learning), _table(_BEHAVIOUR, behaviour)
    notes = note, *(["\n\n**Partial**, see above." if partial else ""] * 2)
    return {name: part + note for name, part, note in zip(STUDY, parts, notes, strict=True)}


_SUCCESS = ("variant (seeds)", "base", "success", "IQM", "worst seed", "to reference", "p", "gained / lost")
_LEARNING = ("variant (seeds)", "area", "to reference", "p", "runs at 90 %", "steps to 90 %", "seconds to 90 %")
_BEHAVIOUR = ("variant (seeds)", "time to success", "episode", "jerk", "acceleration", "return", "discounted return")


def _chain(compare: Metrics | None) -> list[str]:
    if compare is None:
        return [DASH] * 4
    base, after = compare["base"], compare["residual"]
    return [
        *(f"{_percent(one['success_rate'])}{_interval(one['success_ci95'])}" for one in (base, after)),
        _change(after["return_mean"], base["return_mean"]),
        _change(after["steps_mean"], base["steps_mean"]),
    ]


def _worst(row: Metrics, found: Metrics) -> tuple[str, bool]:
    worst, middle = row["success_worst"], row["success_iqm"]
    text = f"worst {_percent(worst)}, IQM {_percent(middle)}, {len(row['seeds'])} seeds, {row['n_scenes']} scenes"
    return text, worst >= 0.93 and middle >= 0.96 and len(row["seeds"]) >= 5 and row["n_scenes"] >= 500


def _regressions(row: Metrics, found: Metrics) -> tuple[str, bool]:
    return _percent(row["regressions"]), row["regressions"] <= 0.02


def _shorter(row: Metrics, found: Metrics) -> tuple[str, bool]:
    change = row["episode_s"] / row["base_episode_s"] - 1.0
    return f"{100 * change:+.1f} % over all scenes, {_signed(row['time_ratio'])} where both solve", change <= -0.2


def _early(row: Metrics, found: Metrics) -> tuple[str, bool]:
    """Judge by steps first; by seconds, of this budget or of the whole one, where steps are not enough."""
    steps = row["steps_to_90"]
    if steps is None:
        text, met = f"{row['reached_90']} of {len(row['seeds'])} runs reach 90 %", False
    else:
        text, met = f"{steps:,.0f} steps, {row['seconds_to_90']:,.0f} s", steps <= 100_000 or row["seconds_to_90"] <= 600
    longer = found.get(FULL)
    if met or longer is None or longer["steps_to_90"] is None:
        return text, met
    seconds = longer["seconds_to_90"]
    return f"{text}; `{FULL}`: {longer['steps_to_90']:,.0f} steps, {seconds:,.0f} s", seconds <= 600


def _ahead(row: Metrics, found: Metrics) -> tuple[str, bool | None]:
    others = [other for other in found.values() if other["method"] != row["method"] and other["budget"] == row["budget"]]
    behind = [
        other["label"] for other in others if other["auc_difference_ci95"][1] is None or other["auc_difference_ci95"][1] >= 0
    ]
    if not others:
        return DASH, None
    return f"not ahead of {', '.join(behind)}" if behind else f"ahead of all {len(others)}", not behind


_TARGETS: tuple[tuple[str, Callable[[Metrics, Metrics], tuple[str, bool | None]]], ...] = (
    ("five seeds, 500 scenes: every seed at least 93 %, IQM at least 96 %", _worst),
    ("regressions on at most 2 % of the scenes", _regressions),
    ("episodes 20 % shorter than the base's", _shorter),
    ("90 % within 100,000 environment steps (median), or within 10 minutes", _early),
    ("ahead of every baseline in area under the success curve, interval included", _ahead),
)
_AT_THE_END = (_worst, _regressions, _shorter)
"""Targets of the whole budget; the others are of the budget that all methods have."""


def _read(path: Path) -> Metrics | None:
    if not path.is_file():
        return None
    found: Metrics = json.loads(path.read_text(encoding="utf-8"))
    return found


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _count(missing: Sequence[str]) -> str:
    """Return runs, named `<variant>-<seed>`, as a sentence's subject and its first word of predicate."""
    seeds: dict[str, list[str]] = {}
    for run in missing:
        variant, seed = run.rsplit("-", 1)
        seeds.setdefault(variant, []).append(seed)
    listing = "; ".join(f"{variant} {', '.join(some)}" for variant, some in seeds.items())
    return f"1 run ({listing}) has" if len(missing) == 1 else f"{len(missing)} runs ({listing}) have"


def _short(revision: str) -> str:
    return revision[:7] + ("-dirty" if revision.endswith("-dirty") else "")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _interval(ends: Sequence[float | None]) -> str:
    low, high = ends
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"


def _points(value: float | None, ends: Sequence[float | None]) -> str:
    low, high = ends
    if value is None:
        return DASH
    return f"{100 * value:+.1f}" + ("" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]")


def _signed(ratio: float | None) -> str:
    return DASH if ratio is None else f"{100 * (ratio - 1.0):+.1f} %"


def _change(after: float, before: float) -> str:
    return DASH if not before > 0 else _signed(after / before)


def _p(p: float | None) -> str:
    return DASH if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"
