"""The page of an evaluation: that of `soarm rl-eval`, with what the servos and the safety chain went through."""

from __future__ import annotations

import datetime
import json
from collections import Counter
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from soarm import arm
from soarm.errors import ProofError
from soarm.evaluation.paired import Comparison, compare
from soarm.evaluation.results import Results
from soarm.proof import tally, verdict
from soarm.proof.attempt import Attempt
from soarm.proof.folder import ProofFolder
from soarm.proof.plan import BOTH
from soarm.records import plain
from soarm.report import comparison as pages
from soarm.report import gallery, page
from soarm.report.style import LABELS
from soarm.runtime.onnx_policy import Which
from soarm.smallfile import write_atomically

_RESAMPLES = 10_000
TITLE = f"On the arm: {LABELS['base']} against {LABELS['residual']}"


class Written(NamedTuple):
    """The page, and what came out in sentences."""

    page: Path
    finding: str


def write(folder: ProofFolder) -> Written:
    """Write rows, figures, numbers and the page into an evaluation's folder.

    Raises:
        ProofError: No spot has two outcomes yet, or a file cannot be written.
    """
    if len(folder.pairs()) < 2:
        raise ProofError(f"{folder.path} has {len(folder.pairs())} spots on which both policies are done; a report needs 2")
    base, residual = (verdict.results(folder, which) for which in BOTH)
    result = compare(base, residual, np.random.default_rng(folder.plan.seed), _RESAMPLES)
    figures = gallery.of_comparison(base, residual, result)
    try:
        for rows, which in ((base, BOTH[0]), (residual, BOTH[1])):
            rows.save(folder.path, which)
        gallery.save_all(figures, folder.path / "figures")
    except OSError as error:
        raise ProofError(
            f"{error.filename} cannot be written ({error.strerror}); make room, and ask for the report again"
        ) from None
    numbers = {**result.to_dict(), "discarded": tally.discards(folder), "servos": _servos(folder), "safety": _safety(folder)}
    numbers["looks"] = [vars(look) for look in folder.looks()]
    write_atomically(folder.path / "report.json", json.dumps(plain(numbers), indent=2, allow_nan=False) + "\n", ProofError)
    lead = pages.beginning(result, _scope(folder, result))
    sections = [
        *pages.sections(base, residual, result, figures, scene="spot"),
        page.Section("Servos and safety chain", [_servo_table(folder), _safety_table(folder)]),
        page.Section("How it was done", [page.paragraph(note) for note in _notes(folder)]),
    ]
    target = folder.path / "report.html"
    write_atomically(target, page.page(TITLE, lead, sections, _facts(folder, base)), ProofError)
    return Written(target, f"{figures[0].finding} {pages.verdict(result)}")


def _scope(folder: ProofFolder, result: Comparison) -> str:
    n, planned = result.base.n_scenes, len(folder.plan.spots)
    part = "" if n == planned else f" This is an early look: {planned} spots were planned."
    return (
        f"{n} spots that were drawn beforehand, each tried once by both policies, one right after the other, in an order "
        f"that was drawn and not shown. A scene is a spot. Intervals are 95 %.{part}"
    )


def _facts(folder: ProofFolder, base: Results) -> list[tuple[str, str]]:
    day = datetime.datetime.now(datetime.UTC)
    return [
        ("made on", f"{day.day} {day:%B %Y}"),
        ("task", base.task.name),
        ("spots", str(len(folder.plan.spots))),
        ("seed", str(folder.plan.seed)),
        ("plan", folder.plan.seal[:8]),
        ("soarm", metadata.version("soarm")),
    ]


def _notes(folder: ProofFolder) -> list[str]:
    looks, dropped = folder.looks(), tally.discards(folder)
    corrected = sum(len(one.before) for one in _attempts(folder))
    n = len(folder.plan.trials)
    seen = [f"Somebody looked at results on {look.at[:10]}, after {look.trials} of {n} trials." for look in looks]
    return [
        " ".join(seen) + " What came after it was not blind, and p is too small for results that were looked at early."
        if looks
        else "Nobody looked at results before the last trial.",
        f"Discarded and done again at the end: {dropped['base']} runs of {LABELS['base']}, {dropped['residual']} of "
        f"{LABELS['residual']}. Judgements that were corrected: {corrected}.",
        f"Conditions, the same in every session: {', '.join(f'{what} {how}' for what, how in folder.conditions().items())}.",
        f"Before it began: {tally.can_show(len(folder.plan.spots))}.",
        f"Every run has a log in logs/. Rows are in base.csv and residual.csv, numbers in report.json. Bundle: "
        f"{', '.join(f'{name} {hashed[:12]}' for name, hashed in sorted(folder.plan.bundle.items()))}.",
    ]


def _attempts(folder: ProofFolder, which: Which | None = None) -> list[Attempt]:
    trials = range(len(folder.plan.trials))
    return [one for trial in trials if which in (None, folder.which(trial)) for one in folder.attempts(trial)]


def _servos(folder: ProofFolder) -> dict[str, Any]:
    """Return policy -> joint -> mean rise in a trial, and greatest temperature [C]; and the least supply [V]."""
    found: dict[str, Any] = {}
    for which in BOTH:
        runs = [one.ran for one in _attempts(folder, which)]
        temperatures = {name: [run.celsius[name] for run in runs if run.celsius.get(name)] for name in arm.JOINT_NAMES}
        found[which] = {
            name: {"rise_c": float(np.mean([end - begin for begin, end, _ in of])), "most_c": max(most for *_, most in of)}
            for name, of in temperatures.items()
            if of
        }
        found[which]["least_volts"] = min((run.least_volts for run in runs), default=0.0)
    return found


def _safety(folder: ProofFolder) -> dict[str, Any]:
    """Return policy -> share of the commands that the safety chain cut, in all and by reason; and faults that ended runs."""
    found: dict[str, Any] = {}
    for which in BOTH:
        runs = [one.ran for one in _attempts(folder, which)]
        ticks = max(sum(run.ticks for run in runs), 1)
        reasons: Counter[str] = sum((Counter(run.reasons) for run in runs), Counter())
        found[which] = {
            "clamped": sum(run.clamped for run in runs) / ticks,
            "by": {name.lower(): n / ticks for name, n in sorted(reasons.items())},
            "faults": sorted({run.cause for run in runs if not run.ended_well}),
        }
    return found


def _servo_table(folder: ProofFolder) -> str:
    of = _servos(folder)
    rows = [(name, *(text for which in BOTH for text in _celsius(of[which].get(name)))) for name in arm.JOINT_NAMES]
    heads = [f"{LABELS[which]}: {what}" for which in BOTH for what in ("mean rise [\u00b0C]", "most [\u00b0C]")]
    volts = ", ".join(f"{LABELS[which]} {of[which]['least_volts']:.1f} V" for which in BOTH)
    caption = f"Temperature of the servos over a trial, from before the arm moved until it was parked. Least supply: {volts}."
    return page.table(("joint", *heads), rows, caption)


def _celsius(of: dict[str, float] | None) -> Sequence[str]:
    return ("\u2013", "\u2013") if of is None else (f"{of['rise_c']:+.1f}", f"{of['most_c']:.0f}")


def _safety_table(folder: ProofFolder) -> str:
    of = _safety(folder)
    names = sorted({name for which in BOTH for name in of[which]["by"]})
    rows = [("any", *(f"{100 * of[which]['clamped']:.1f} %" for which in BOTH))]
    rows += [(name, *(f"{100 * of[which]['by'].get(name, 0.0):.1f} %" for which in BOTH)) for name in names]
    faults = "; ".join(f"{LABELS[which]}: {cause}" for which in BOTH for cause in of[which]["faults"]) or "none"
    caption = f"Share of the commands that the safety chain changed. Runs that ended by a fault: {faults}."
    return page.table(("cut by", *(LABELS[which] for which in BOTH)), rows, caption)
