"""The report of a comparison: one page that says what came out, how sure that is, and where to look next."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from soarm.evaluation.paired import Comparison
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import Estimate
from soarm.report import page
from soarm.report.style import LABELS

SIGNIFICANT = 0.05
"""Below this p-value the page speaks of a difference; the figure itself is always shown."""

Shown = Sequence[tuple[str, str, str]]
"""Figures as `soarm.report.gallery.save_all` returns them."""


def render(
    base: Results,
    residual: Results,
    comparison: Comparison,
    results: Shown,
    training: Shown,
    films: Sequence[tuple[str, str]],
    notes: Iterable[str],
) -> str:
    """Return the page.

    Args:
        base: Rows of the base.
        residual: Rows of the residual on the same scenes.
        comparison: Of the two.
        results: Figures of the comparison.
        training: Figures of the two trainings.
        films: Scenes to watch: file, relative to the page, and caption.
        notes: Sentences about where things come from.
    """
    n = comparison.base.n_scenes
    lead = [
        page.paragraph(f"The same {n} held-out scenes, each run once by both policies. Intervals are 95 %.", "soft"),
        page.paragraph(verdict(comparison), "verdict"),
        page.cards(_cards(comparison)),
        _grid(results),
    ]
    sections = [
        page.Section("Who solved what", [_two_by_two(comparison)]),
        page.Section("In numbers", [_numbers(comparison), _failures(comparison, base.task.outcomes)]),
        page.Section("Scenes the two disagree on", [_disagreements(base, residual, comparison)]),
    ]
    if films:
        sections.append(page.Section("To watch", [page.grid(page.film(src, text, text) for src, text in films)]))
    if training:
        sections.append(page.Section("Training", [_grid(training)]))
    sections.append(page.Section("Where this comes from", [page.paragraph(note, "soft") for note in notes]))
    return page.page(f"{LABELS['base']} against {LABELS['residual']}", lead, sections)


def _grid(shown: Shown) -> str:
    return page.grid(page.figure(name, svg, caption, caption) for name, svg, caption in shown)


def verdict(comparison: Comparison) -> str:
    """Return what came out, in words that claim no more than the test does."""
    gains, regressions, p = comparison.table.residual_only, comparison.table.base_only, comparison.mcnemar_p
    split = f"it gains {_count(gains, 'scene')} and loses {regressions} (exact McNemar p = {_p(p)})"
    scope = "This compares these two trained policies; what the method does on average takes several training seeds."
    if comparison.identical:
        return "Every episode is the same with and without the residual: it is zero, or too small to matter."
    if gains + regressions == 0:
        return f"Both policies solve exactly the same scenes. {scope}"
    if p >= SIGNIFICANT:
        return f"The residual changes success by no more than chance would: {split}. {scope}"
    return f"The residual solves {'more' if gains > regressions else 'fewer'} scenes than ACT alone: {split}. {scope}"


def provenance_notes(base_rows: str, base: Results, residual: Results) -> list[str]:
    """Return the sentences that say where the rows come from.

    Args:
        base_rows: What the metric of that name says.
        base: Rows of the base.
        residual: Rows of the residual.
    """
    read = base_rows == "data/eval_base"
    how = "read from data/eval_base (same seeds, checkpoint and simulator)" if read else "evaluated again"
    return [
        f"Rows of {LABELS['base']}: {how}; rows of {LABELS['residual']}: run for this page. Both are beside it as Parquet and "
        "CSV, figures as SVG and PNG with the CSV each was drawn from.",
        f"Files of {LABELS['base']}: {base.provenance.get('policy', 'unknown')}; of {LABELS['residual']}: "
        f"{residual.provenance.get('policy', 'unknown')}; parameters of the simulator: "
        f"{base.provenance.get('simulator', 'unknown')}. "
        "Revision, profile and seed are in data/metrics/compare.json.",
    ]


def _cards(comparison: Comparison) -> list[tuple[str, str, str]]:
    sides = [(LABELS[key], one) for key, one in (("base", comparison.base), ("residual", comparison.residual))]
    entries = [(label, f"{100 * one.success_rate:.1f} %", f"solved; {_range(*one.success_ci95)}") for label, one in sides]
    success = comparison.differences["success_rate"]
    entries.append(("difference", f"{100 * success.value:+.1f} points", f"paired bootstrap {_interval(success, 100)}"))
    entries.append(
        (
            "gained / lost",
            f"{comparison.table.residual_only} / {comparison.table.base_only}",
            f"scenes; p = {_p(comparison.mcnemar_p)}",
        )
    )
    return entries


def _two_by_two(comparison: Comparison) -> str:
    counts = comparison.table
    rows = [
        (f"{LABELS['base']} solves", str(counts.both), str(counts.base_only), str(counts.both + counts.base_only)),
        (
            f"{LABELS['base']} fails",
            str(counts.residual_only),
            str(counts.neither),
            str(counts.residual_only + counts.neither),
        ),
        ("all", str(counts.both + counts.residual_only), str(counts.base_only + counts.neither), str(sum(counts))),
    ]
    header = ("scenes", f"{LABELS['residual']} solves", f"{LABELS['residual']} fails", "all")
    return page.table(header, rows, "Only the scenes the two disagree on speak for one or the other.")


def _numbers(comparison: Comparison) -> str:
    def row(label: str, field: str, difference: str, scale: float, digits: int) -> tuple[str, ...]:
        values = (scale * getattr(one, field) for one in (comparison.base, comparison.residual))
        change = comparison.differences.get(difference)
        if change is None:
            return (label, *(_number(value, digits) for value in values), "", "", "")
        paired = (_number(scale * change.value, digits, "+"), _interval(change, scale, digits), str(change.n))
        return (label, *(_number(value, digits) for value in values), *paired)

    rows = [
        row("success [%]", "success_rate", "success_rate", 100.0, 1),
        row("shaped return", "return_mean", "return", 1.0, 3),
        row("time to success [s]", "time_to_success_s", "time_to_success_s", 1.0, 2),
        row("jerk of the command, RMS [deg/s\u00b3]", "action_jerk_rms_deg_s3", "action_jerk_rms_deg_s3", 1.0, 0),
        row("acceleration of the command, RMS [deg/s\u00b2]", "action_acceleration_rms_deg_s2", "", 1.0, 0),
        row("steps", "steps_mean", "", 1.0, 1),
    ]
    header = ("mean over scenes", LABELS["base"], LABELS["residual"], "paired difference", "95 % interval", "scenes")
    return page.table(
        header,
        rows,
        "Time to success: each policy's mean is over its own solved scenes, the difference over those both solve.",
    )


def _failures(comparison: Comparison, labels: Mapping[str, str]) -> str:
    rows = [
        (
            labels[outcome],
            str(count),
            str(comparison.residual.failures[outcome]),
            f"{comparison.residual.failures[outcome] - count:+d}",
        )
        for outcome, count in comparison.base.failures.items()
    ]
    return page.folded(
        "Failure classes as numbers",
        page.table(("failures", LABELS["base"], LABELS["residual"], "change"), rows, "Scenes by failure class."),
    )


def _disagreements(base: Results, residual: Results, comparison: Comparison) -> str:
    places = [column.name for column in base.task.scene_columns]

    def listing(seeds: Sequence[int], caption: str) -> str:
        pairs = zip(base.select(seeds).rows, residual.select(seeds).rows, strict=True)
        rows = [
            (
                str(b.seed),
                base.task.outcomes[b.outcome],
                base.task.outcomes[r.outcome],
                *(f"{b.value(name):{'+.0f' if name.endswith('_deg') else '+.3f'}}" for name in places),
            )
            for b, r in pairs
        ]
        heads = [f"{words.replace('_', ' ')} [{unit}]" for words, _, unit in (name.rpartition("_") for name in places)]
        return page.table(("scene seed", LABELS["base"], LABELS["residual"], *heads), rows, caption)

    parts = []
    for word, seeds in (("Gained", comparison.gained), ("Lost", comparison.regressed)):
        summary = f"{word}: {_count(len(seeds), 'scene')}"
        parts.append(page.folded(summary, listing(seeds, summary)) if seeds else page.paragraph(summary))
    return "".join(parts)


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _p(p: float) -> str:
    return f"{p:.3f}" if p >= 0.001 else f"{p:.1e}"


def _number(value: float, digits: int, sign: str = "") -> str:
    return "\u2013" if math.isnan(value) else f"{value:{sign},.{digits}f}"


def _range(low: float, high: float) -> str:
    return f"{100 * low:.1f} to {100 * high:.1f} %"


def _interval(estimate: Estimate, scale: float = 1.0, digits: int = 1) -> str:
    if math.isnan(estimate.low):
        return "\u2013"
    return f"{_number(scale * estimate.low, digits, '+')} to {_number(scale * estimate.high, digits, '+')}"
