"""Write the tables of docs/results.md from `data/metrics/*.json` and `docs/chains.json`; the rest is prose that people write.

    python docs/results.py

    <!-- begin: claims -->
    (this is replaced)
    <!-- end: claims -->

Run from the root of the repository. It reads metrics files only, which are in git; a test refreshes the page and compares.
"""

from __future__ import annotations

import re
import shutil
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from soarm import entry
from soarm.errors import StageError
from soarm.smallfile import DATASET_BYTES, read_json

Metrics = Mapping[str, Any]
Numbers = Sequence[float | None]
REFERENCE = "residual"
FULL = "full"
"""The variant with the steps of the profile `full`: its final success is the project's claim."""
BASE = "base"
BASELINES = (
    *(BASE, "more_demonstrations", "no_penalty", "no_demonstrations", "no_layer_norm", "no_chunk"),
    *("scratch", "ppo", "filtered_bc"),
)
"""What the method has to be ahead of at the same budget: the base as it is, and these variants."""
NOT_YET = "*Not run yet.*"
DASH = "\u2013"
STUDY = ("study", "study_learning", "study_behaviour")
CHAINS = Path("docs/chains.json")
_FIGURE = "![Learning curves and final success of every variant](images/study.png)"


def main() -> int:
    """Refresh the page, and take over the study's figure where there is one."""
    write_page(Path("docs/results.md"), blocks(Path("data/metrics"), CHAINS))
    figure = Path("data/study_summary/figures/study.png")
    if figure.is_file():
        shutil.copyfile(figure, Path("docs/images/study.png"))
    return 0


def write_page(path: Path, blocks: Mapping[str, str]) -> None:
    """Replace what stands between the markers of each block of a page; the rest stays as it is.

    Raises:
        StageError: The page does not exist, or its markers are not exactly the blocks.
    """
    if not path.is_file():
        raise StageError(f"{path} does not exist; run this from the root of the repository, or `git checkout {path}`")
    path.write_text(filled(path.read_text(encoding="utf-8"), blocks, str(path)), encoding="utf-8")


def filled(text: str, blocks: Mapping[str, str], name: str) -> str:
    """Return a page with its blocks replaced.

    Raises:
        StageError: Its markers are not exactly the blocks.
    """
    marked = re.findall(r"<!-- begin: (\w+) -->.*?<!-- end: \1 -->", text, flags=re.DOTALL)
    if sorted(marked) != sorted(blocks):
        raise StageError(
            f"{name} marks the blocks {sorted(marked)}; there are {sorted(blocks)}. Each is there once, between "
            "<!-- begin: NAME --> and <!-- end: NAME -->, on lines of their own"
        )
    for block, content in blocks.items():
        begin, end = f"<!-- begin: {block} -->", f"<!-- end: {block} -->"
        head, rest = text.split(begin, 1)
        text = f"{head}{begin}\n{content}\n{end}{rest.split(end, 1)[1]}"
    return text


def blocks(folder: Path, chains_file: Path) -> dict[str, str]:
    """Return the blocks of docs/results.md from the metrics files in `folder`, and from what `benchmarks/bench_chain.py` kept.

    What has not been run says so.
    """
    chains = (_read(chains_file) or {}).get("chains", [])
    compare, summary = _read(folder / "compare.json"), _read(folder / "study_summary.json")
    parts = dict.fromkeys(("study_figure", *STUDY), NOT_YET) if summary is None else study(summary) | {"study_figure": _FIGURE}
    own = {"claims": claims(compare, summary), "targets": targets(compare, summary), "chains": chain_table(chains)}
    return own | {FULL: runs(summary, FULL), **parts}


def chain_table(chains: Sequence[Metrics]) -> str:
    """Return a line for each chain, by task and seed, and the spread over the seeds of a task that has several."""
    if not chains:
        return NOT_YET
    lines = [
        (
            f"{row['task']}, {row['seed']}",
            f"{percent(row['base']['success_rate'])}{interval(row['base']['success_ci95'])}",
            f"{percent(row['residual']['success_rate'])}{interval(row['residual']['success_ci95'])}",
            f"{row['gains']} / {row['regressions']}",
            p_value(row["mcnemar_p"]),
            DASH if row["wire_success_rate"] is None else percent(row["wire_success_rate"]),
            _worst_failures(row["residual"]["failures"]),
            _short(row["git_rev"]),
        )
        for row in chains
    ]
    tasks: dict[str, list[float]] = {}
    for row in chains:
        tasks.setdefault(row["task"], []).append(row["residual"]["success_rate"])
    spreads = [
        f"{task}, {len(rates)} seeds: lowest {percent(min(rates))}, median {percent(statistics.median(rates))}."
        for task, rates in tasks.items()
        if len(rates) > 1
    ]
    return "\n\n".join([table(_CHAINS, lines), *spreads])


def _worst_failures(failures: Mapping[str, int]) -> str:
    most = sorted(((n, name) for name, n in failures.items() if n), reverse=True)[:2]
    return ", ".join(f"{name.replace('_', ' ')} {n}" for n, name in most) or "none"


def claims(compare: Metrics | None, summary: Metrics | None) -> str:
    """Return what the seed document claims beside what was measured, and whether all that was measured bears it out."""
    found = (summary or {}).get("variants", {})
    mean = found.get(FULL, found.get(REFERENCE))
    by_study = "measured, study" if mean is None else f"measured, study ({len(mean['seeds'])} seeds)"
    rows = []
    for (what, claimed, met), (one, first), (several, second) in zip(_CLAIMS, _chain(compare), _several(mean), strict=True):
        numbers = [*first, *second]
        borne_out = all(number is not None and met(number) for number in numbers) if numbers else None
        rows.append((what, claimed, one, several, verdict(borne_out)))
    return table(("", "claimed", "measured, `dvc repro` (one seed)", by_study, "met"), rows)


def targets(compare: Metrics | None, summary: Metrics | None) -> str:
    """Return what the project set out to reach beside what was measured."""
    rows: list[tuple[str, str, str]] = []
    if compare is None:
        rows.append(("`dvc repro`: +15 points on held-out scenes, McNemar p < 0.01, base 45-80 %", DASH, DASH))
    else:
        base, after = compare["base"]["success_rate"], compare["residual"]["success_rate"]
        met = after - base >= 0.15 and compare["mcnemar_p"] < 0.01 and 0.45 <= base <= 0.8
        what = f"`dvc repro`: +15 points on {compare['n_scenes']} scenes, McNemar p < 0.01, base 45-80 %"
        text = f"{100 * (after - base):+.1f} points from {percent(base)}, p = {compare['mcnemar_p']:.1e}"
        rows.append((what, text, verdict(met)))
    found = (summary or {}).get("variants", {})
    row = found.get(REFERENCE)
    for what, measured in _TARGETS:
        by = found.get(FULL, row) if measured in _AT_THE_END else row
        measured_text, reached = (DASH, None) if by is None else measured(by, found)
        rows.append((what, measured_text, verdict(reached)))
    return table(("target", "measured", "met"), rows)


def runs(summary: Metrics | None, name: str) -> str:
    """Return the runs of a variant, a line per training seed."""
    row = (summary or {}).get("variants", {}).get(name)
    if row is None or not row.get("runs"):
        return NOT_YET
    lines = [
        (
            seed,
            f"{percent(run['success'])}{interval(run['ci95'])}",
            *(f"{run[key]}" for key in ("gains", "regressions")),
            p_value(run["mcnemar_p"]),
            *(signed(run[f"{key}_ratio"]) for key in ("time", "jerk")),
            count(run["steps_to_90"]),
        )
        for seed, run in row["runs"].items()
    ]
    return f"{table(_RUNS, lines)}\n\n{row['n_scenes']} test scenes, of which the base solves {percent(row['base_success'])}."


def study(summary: Metrics) -> dict[str, str]:
    """Return the study's three tables, best variant first, from the metrics of `study_summary`."""
    found = summary["variants"]
    rows = list(found.values())
    partial = bool(summary["missing"])
    note = f"\n\nRevisions: {', '.join(sorted({_short(one) for one in summary['run_revisions']}))}."
    if partial:
        note += f" **Partial:** {_count(summary['missing'])} not been run."
    seeds = {row["variant"]: f"{row['label']} ({len(row['seeds'])})" for row in rows}
    success = [
        (
            seeds[row["variant"]],
            percent(row["base_success"]),
            f"{percent(row['success'])}{interval(row['success_ci95'])}",
            f"{percent(row['success_iqm'])}{interval(row['success_iqm_ci95'])}",
            percent(row["success_worst"]),
            _difference(row, "success", found),
            p_value(row["success_p"]),
            f"{percent(row['gains'])} / {percent(row['regressions'])}",
            p_value(row["mcnemar_p_worst"]),
        )
        for row in rows
    ]
    learning = [
        (
            seeds[row["variant"]],
            f"{percent(row['auc'])}{interval(row['auc_ci95'])}",
            _difference(row, "auc", found),
            p_value(row["auc_p"]),
            f"{row['reached_90']} of {len(row['seeds'])}",
            count(row["steps_to_90"]),
            count(row["seconds_to_90"]),
            f"{percent(row['best_look'])} / {percent(row['last_look'])}",
        )
        for row in rows
    ]
    behaviour = [
        (
            seeds[row["variant"]],
            *(signed(row[f"{key}_ratio"]) for key in ("time", "steps", "jerk", "acceleration")),
            *(signed(ratio_of(row[key], row[f"base_{key}"])) for key in ("return", "return_discounted")),
        )
        for row in rows
    ]
    parts = table(_SUCCESS, success), table(_LEARNING, learning), table(_BEHAVIOUR, behaviour)
    notes = note, *(["\n\n**Partial**, see above." if partial else ""] * 2)
    return {name: part + note for name, part, note in zip(STUDY, parts, notes, strict=True)}


def _difference(row: Metrics, key: str, found: Metrics) -> str:
    """Return the difference to a variant's reference, which is named where it is not the method."""
    text = points(row[f"{key}_difference"], row[f"{key}_difference_ci95"])
    own = row["reference"] not in (REFERENCE, row["variant"]) and row["reference"] in found
    return f"{text} (from {found[row['reference']]['label']})" if own else text


_SUCCESS = (
    *("variant (seeds)", "base", "success", "IQM", "worst seed", "to reference", "p", "gained / lost"),
    "McNemar p, worst",
)
_LEARNING = (
    "variant (seeds)",
    "area",
    "to reference",
    "p",
    "runs at 90 %",
    "steps to 90 %",
    "seconds to 90 %",
    "best / last look",
)
_BEHAVIOUR = ("variant (seeds)", "time to success", "episode", "jerk", "acceleration", "return", "discounted return")
_CHAINS = (
    *("task, seed", "ACT", "ACT + residual", "gained / lost", "McNemar p", "through the wire", "most frequent failures"),
    "revision",
)
_RUNS = ("training seed", "success", "gained", "lost", "McNemar p", "time to success", "jerk", "steps to 90 %")

_CLAIMS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("success of the base", "45-70 %", lambda share: 0.45 <= share <= 0.7),
    ("success with the residual", "70-90 %", lambda share: share >= 0.7),
    ("return", "+50-80 %", lambda ratio: ratio >= 1.5),
    ("length of an episode", "20-30 % shorter", lambda ratio: ratio <= 0.8),
)
"""What is claimed, and what of a measured number bears it out; more than was claimed does, but for the base."""


def _chain(compare: Metrics | None) -> list[tuple[str, Numbers]]:
    if compare is None:
        return [(DASH, ())] * len(_CLAIMS)
    base, after = compare["base"], compare["residual"]
    rates = [(one["success_rate"], one["success_ci95"]) for one in (base, after)]
    ratios = [ratio_of(after[key], base[key]) for key in ("return_mean", "steps_mean")]
    return [
        *((f"{percent(rate)}{interval(ends)}", (rate,)) for rate, ends in rates),
        *((signed(ratio), (ratio,)) for ratio in ratios),
    ]


def _several(mean: Metrics | None) -> list[tuple[str, Numbers]]:
    if mean is None:
        return [(DASH, ())] * len(_CLAIMS)
    returns = [ratio_of(mean[key], mean[f"base_{key}"]) for key in ("return", "return_discounted")]
    lengths = [ratio_of(mean["episode_s"], mean["base_episode_s"]), mean["time_ratio"]]
    return [
        (percent(mean["base_success"]), (mean["base_success"],)),
        (f"{percent(mean['success'])}{interval(mean['success_ci95'])}", (mean["success"],)),
        *((" / ".join(map(signed, ratios)), ratios) for ratios in (returns, lengths)),
    ]


def _worst(row: Metrics, found: Metrics) -> tuple[str, bool]:
    worst, middle = row["success_worst"], row["success_iqm"]
    text = f"worst {percent(worst)}, IQM {percent(middle)}, {len(row['seeds'])} seeds, {row['n_scenes']} scenes"
    return text, worst >= 0.93 and middle >= 0.96 and len(row["seeds"]) >= 5 and row["n_scenes"] >= 500


def _regressions(row: Metrics, found: Metrics) -> tuple[str, bool]:
    return percent(row["regressions"]), row["regressions"] <= 0.02


def _shorter(row: Metrics, found: Metrics) -> tuple[str, bool | None]:
    """Judge by scenes both solve: over all of them, an episode is shorter wherever one more is solved."""
    ratio, over_all = row["time_ratio"], ratio_of(row["episode_s"], row["base_episode_s"])
    return f"{signed(ratio)} where both solve, {signed(over_all)} over all scenes", None if ratio is None else ratio <= 0.8


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
    """Judge by the intervals of the differences, baseline minus method, each over the scenes and seeds both have."""
    differences = {name: _to_reference(name, row, found) for name in BASELINES}
    missing = [name for name, one in differences.items() if one is None]
    behind = [f"{one[0]} ({points(*one[1:])})" for one in differences.values() if one and not (one[2][1] or 0.0) < 0.0]
    parts = [f"ahead of {len(BASELINES) - len(missing) - len(behind)} of {len(BASELINES)}"]
    parts += [f"not of {', '.join(behind)}"] if behind else []
    parts += [f"not run: {', '.join(missing)}"] if missing else []
    return "; ".join(parts), False if behind else None if missing else True


def _to_reference(name: str, row: Metrics, found: Metrics) -> tuple[str, float | None, Numbers] | None:
    """Return label, difference in area and interval of a baseline; None where there is none of the same budget."""
    if name == BASE:  # its curve is flat, so what the method has gained over its first point is its lead
        gain, (low, high) = row.get("auc_gain"), row.get("auc_gain_ci95", (None, None))
        return None if gain is None else ("the base itself", -gain, [None if end is None else -end for end in (high, low)])
    other = found.get(name)
    if other is None or other["budget"] != row["budget"]:
        return None
    return other["label"], other["auc_difference"], other["auc_difference_ci95"]


_TARGETS: tuple[tuple[str, Callable[[Metrics, Metrics], tuple[str, bool | None]]], ...] = (
    ("five seeds, 500 scenes: every seed at least 93 %, IQM at least 96 %", _worst),
    ("regressions on at most 2 % of the scenes", _regressions),
    ("20 % less time to success than the base where both solve", _shorter),
    (
        "90 %, the first of three evaluations in a row that have it, within 100,000 environment steps (median) or 10 minutes",
        _early,
    ),
    ("ahead of every baseline in area under the success curve, interval of the paired difference included", _ahead),
)
_AT_THE_END = (_worst, _regressions, _shorter)
"""Targets of the whole budget; the others are of the budget that all methods have."""


def _read(path: Path) -> Metrics | None:
    if not path.is_file():
        return None
    found: Metrics = read_json(path, StageError, "Bring it back from git, or run its stage again", most_bytes=DATASET_BYTES)
    return found


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


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def percent(share: float) -> str:
    """Return a share of 1."""
    return f"{100 * share:.1f} %"


def interval(ends: Sequence[float | None]) -> str:
    """Return the interval of a share, with a blank in front; nothing where there is none."""
    low, high = ends
    return "" if low is None or high is None else f" [{100 * low:.1f}, {100 * high:.1f}]"


def points(value: float | None, ends: Sequence[float | None]) -> str:
    """Return a difference of shares with its interval, where it has one, in points."""
    low, high = ends
    if value is None:
        return DASH
    return f"{100 * value:+.1f}" + ("" if low is None or high is None else f" [{100 * low:+.1f}, {100 * high:+.1f}]")


def signed(ratio: float | None) -> str:
    """Return a ratio as a change."""
    return DASH if ratio is None else f"{100 * (ratio - 1.0):+.1f} %"


def ratio_of(after: float, before: float) -> float | None:
    """Return a ratio, or None of what does not start above 0."""
    return after / before if before > 0 else None


def count(number: float | None) -> str:
    """Return a whole number of things."""
    return DASH if number is None else f"{number:,.0f}"


def p_value(p: float | None) -> str:
    """Return a p-value."""
    return DASH if p is None else f"{p:.3f}" if p >= 0.001 else f"{p:.0e}"


def verdict(met: bool | None) -> str:
    """Return whether something was reached; None is not known."""
    return DASH if met is None else "yes" if met else "no"


if __name__ == "__main__":
    sys.exit(entry.guarded(main))
