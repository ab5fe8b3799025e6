"""The report of a comparison: one page that says what came out, how sure that is, and where to look next."""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from soarm.evaluation.paired import Comparison
from soarm.evaluation.power import SIGNIFICANT
from soarm.evaluation.results import Results
from soarm.evaluation.statistics import Estimate, wilson
from soarm.report import page, video
from soarm.report.clips import Clip
from soarm.report.findings import between, percent
from soarm.report.style import LABELS, Figure, svg

MOST_BYTES = 15_000_000
"""Of the page, so that it can be sent and opened: films that would make it larger stay beside it."""
TITLE = f"{LABELS['base']} against {LABELS['residual']}"


class Origin(NamedTuple):
    """What the rows were made with and by.

    Attributes:
        day: When the page was made.
        revision: Of the code.
        task: Its name.
        profile: Of the parameters.
        seed: Of the run.
        base_rows: Where the base's rows come from; the metric of that name.
    """

    day: datetime.date
    revision: str
    task: str
    profile: str
    seed: int
    base_rows: str


def render(
    base: Results,
    residual: Results,
    comparison: Comparison,
    results: Sequence[Figure],
    training: Sequence[Figure],
    films: Sequence[tuple[Path, Clip]],
    origin: Origin,
    more: Sequence[page.Section] = (),
) -> str:
    """Return the page, of at most `MOST_BYTES` with its films.

    Args:
        base: Rows of the base.
        residual: Rows of the residual on the same scenes.
        comparison: Of the two.
        results: Figures of the comparison.
        training: Figures of the two trainings.
        films: Scenes to watch, and the file of each.
        origin: Of the rows.
        more: Sections that follow what came out.
    """
    scope = f"The same {comparison.base.n_scenes} held-out scenes, each run once by both policies. Intervals are 95 %."
    lead, before = beginning(comparison, scope), sections(base, residual, comparison, results, more)
    after = [page.Section("Training", [_grid(training)])] if training else []
    after.append(page.Section("Where this comes from", [page.paragraph(note) for note in _notes(base, residual, origin)]))

    def whole(watched: Sequence[page.Section]) -> str:
        return page.page(TITLE, lead, [*before, *watched, *after], _facts(origin))

    return _with_films(whole, films)


def beginning(comparison: Comparison, scope: str) -> list[str]:
    """Return what stands before the first section: what was compared, what came out, and the few numbers to it."""
    return [page.paragraph(scope, "soft"), page.paragraph(verdict(comparison), "verdict"), page.cards(_cards(comparison))]


def sections(
    base: Results,
    residual: Results,
    comparison: Comparison,
    results: Sequence[Figure],
    more: Sequence[page.Section] = (),
    scene: str = "scene seed",
) -> list[page.Section]:
    """Return the sections on what came out.

    Args:
        base: Rows of the base.
        residual: Rows of the residual on the same scenes.
        comparison: Of the two.
        results: Its figures.
        more: Sections that follow them.
        scene: What a row's seed is called.
    """
    return [
        page.Section("What came out", [_grid(results)]),
        *more,
        page.Section("Who solved what", [_solved(comparison)]),
        page.Section("In numbers", [_numbers(comparison), _failures(comparison, base.task.outcomes)]),
        page.Section("Scenes the two disagree on", [_disagreements(base, residual, comparison, scene)]),
    ]


def _with_films(whole: Callable[[Sequence[page.Section]], str], films: Sequence[tuple[Path, Clip]]) -> str:
    """Return the page with the films that find room in it, and the names of the others."""
    if not films:
        return whole(())
    room = MOST_BYTES - len(whole(()).encode()) - 1000 * (1 + len(films))  # for the section's own words
    shown, beside = [], []
    for path, clip in films:
        alt = f"Film of scene {clip.seed}: {LABELS['base']} on the left, {LABELS['residual']} on the right."
        poster = page.data_uri(video.last_picture(path), "image/jpeg")
        part = page.film(page.data_uri(path.read_bytes(), "video/mp4"), poster, alt, clip.caption)
        if len(part) <= room:
            room -= len(part)
            shown.append(part)
        else:
            beside.append(f"{path.parent.name}/{path.name}: {clip.caption}")
    parts = [page.grid(shown)]
    if beside:
        words = f"{_count(len(beside), 'film')} would make this page larger than {MOST_BYTES / 1e6:g} MB; beside it:"
        parts += [page.paragraph(line) for line in (words, *beside)]
    return whole([page.Section("To watch", parts)])


def _grid(made: Sequence[Figure]) -> str:
    return page.grid(page.figure(one.name, svg(one), f"{one.how} {one.finding}", one.finding, one.how) for one in made)


def verdict(comparison: Comparison) -> str:
    """Return what came out, in words that claim no more than the test does."""
    gains, regressions, p = comparison.table.residual_only, comparison.table.base_only, comparison.mcnemar_p
    split = f"it gains {_count(gains, 'scene')} and loses {regressions} (exact McNemar p = {_p(p)})"
    scope = "This compares these two trained policies; what the method does on average takes several training seeds."
    if comparison.identical:
        return "Every episode is the same with and without the residual: it is zero, or too small to matter."
    if gains + regressions == 0:
        return f"Both policies solve exactly the same scenes. {scope}"
    if p >= SIGNIFICANT:  # the figure itself is always shown
        return f"The residual changes success by no more than chance would: {split}. {scope}"
    return f"The residual solves {'more' if gains > regressions else 'fewer'} scenes than ACT alone: {split}. {scope}"


def _facts(origin: Origin) -> list[tuple[str, str]]:
    commit, _, dirty = origin.revision.partition("-")
    return [
        ("made on", f"{origin.day.day} {origin.day:%B %Y}"),
        ("revision", commit[:12] + (f", {dirty}" if dirty else "")),
        ("task", origin.task),
        ("profile", origin.profile),
        ("seed", str(origin.seed)),
    ]


def _notes(base: Results, residual: Results, origin: Origin) -> list[str]:
    read = origin.base_rows == "data/eval_base"
    how = "read from data/eval_base (same seeds, checkpoint and simulator)" if read else "evaluated again"
    return [
        f"Rows of {LABELS['base']}: {how}; rows of {LABELS['residual']}: run for this page. Both are beside it as Parquet and "
        "CSV, figures as SVG and PNG with the CSV each was drawn from. Curves of the trainings are those of data/live.",
        f"Files of {LABELS['base']}: {base.provenance.get('policy', 'unknown')}; of {LABELS['residual']}: "
        f"{residual.provenance.get('policy', 'unknown')}; parameters of the simulator: "
        f"{base.provenance.get('simulator', 'unknown')}; revision of the code: {origin.revision}.",
    ]


def _cards(comparison: Comparison) -> list[tuple[str, str, str]]:
    sides = [(LABELS[key], one) for key, one in (("base", comparison.base), ("residual", comparison.residual))]
    entries = [(label, percent(one.success_rate), f"solved; {between(*one.success_ci95)}") for label, one in sides]
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


def _solved(comparison: Comparison) -> str:
    counts, n = comparison.table, sum(comparison.table)
    kinds = {
        "both": counts.both,
        f"only {LABELS['residual']} (gained)": counts.residual_only,
        f"only {LABELS['base']} (lost)": counts.base_only,
        "neither": counts.neither,
    }
    rows = [(who, str(count), percent(count / n), between(*wilson(count, n))) for who, count in kinds.items()]
    caption = f"Scenes of {n} by who solves them. Only those the two disagree on speak for one or the other."
    return page.table(("solved by", "scenes", "share", "95 % interval (Wilson)"), rows, caption)


def _numbers(comparison: Comparison) -> str:
    def row(label: str, field: str, difference: str, scale: float, digits: int) -> tuple[str, ...]:
        values = (scale * getattr(one, field) for one in (comparison.base, comparison.residual))
        change = comparison.differences[difference]
        paired = (_number(scale * change.value, digits, "+"), _interval(change, scale, digits), str(change.n))
        return (label, *(_number(value, digits) for value in values), *paired)

    rows = [
        row("success [%]", "success_rate", "success_rate", 100.0, 1),
        row("shaped return", "return_mean", "return", 1.0, 3),
        row("time to success [s]", "time_to_success_s", "time_to_success_s", 1.0, 2),
        row(_JERK, "action_jerk_rms_deg_s3", "action_jerk_rms_deg_s3", 1.0, 0),
        row(_ACCELERATION, "action_acceleration_rms_deg_s2", "action_acceleration_rms_deg_s2", 1.0, 0),
        row("steps", "steps_mean", "steps", 1.0, 1),
    ]
    rows = [one for one in rows if one[1:3] != (_NO_NUMBER, _NO_NUMBER)]  # an arm gives no reward
    header = ("mean over scenes", LABELS["base"], LABELS["residual"], "paired difference", "95 % interval", "scenes")
    return page.table(
        header,
        rows,
        "Means and paired differences, with bootstrap intervals over scenes. Time to success: each policy's mean is over its "
        "own solved scenes, the difference over those both solve.",
    )


def _failures(comparison: Comparison, labels: Mapping[str, str]) -> str:
    def share(count: int) -> tuple[str, str]:
        return str(count), between(*wilson(count, comparison.base.n_scenes))

    rows = []
    for outcome, before in comparison.base.failures.items():
        after = comparison.residual.failures[outcome]
        rows.append((labels[outcome], *share(before), *share(after), f"{after - before:+d}" if after != before else "0"))
    header = ("failure class", LABELS["base"], "95 % interval", LABELS["residual"], "95 % interval", "change")
    caption = f"Scenes of {comparison.base.n_scenes} by failure class; Wilson's intervals of their share."
    return page.folded("Failure classes as numbers", page.table(header, rows, caption))


def _disagreements(base: Results, residual: Results, comparison: Comparison, scene: str) -> str:
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
        header = (scene, LABELS["base"], LABELS["residual"], *heads)
        return page.table(header, rows, f"{caption}. A row is one scene: how each policy ended, and where things lay.")

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
    return _NO_NUMBER if math.isnan(value) else f"{value:{sign},.{digits}f}"


def _interval(estimate: Estimate, scale: float = 1.0, digits: int = 1) -> str:
    if math.isnan(estimate.low):
        return _NO_NUMBER
    return f"{_number(scale * estimate.low, digits, '+')} to {_number(scale * estimate.high, digits, '+')}"


_NO_NUMBER = "\u2013"
_JERK = "jerk of the command, RMS [deg/s\u00b3]"
_ACCELERATION = "acceleration of the command, RMS [deg/s\u00b2]"
