"""The study's summary as tables: for a CSV file, and for the figure."""

from __future__ import annotations

from typing import Any

import numpy as np

from soarm.evaluation.statistics import Estimate
from soarm.study.summary import StudySummary


def table(summary: StudySummary) -> list[dict[str, Any]]:
    """Return one mapping per variant, best first, for a CSV file."""
    rows = []
    for row in summary.rows:
        values: dict[str, Any] = {}
        for key, value in row.to_dict().items():
            if key.endswith("_ci95"):
                values |= {f"{key}_low": value[0], f"{key}_high": value[1]}
            else:
                values[key] = " ".join(map(str, value)) if isinstance(value, list) else value
        rows.append(values)
    return rows


def curves(summary: StudySummary) -> list[dict[str, Any]]:
    """Return what the study's figure is drawn from: per variant and step the runs' success, with the variant's row beside it.

    Success on the validation scenes as mean, least and greatest over the runs, between their points as straight lines.
    """
    table = []
    for row in summary.rows:
        runs = summary.runs[row.variant]
        steps = sorted({point.step for run in runs for point in run.curve})
        lines = np.array(
            [np.interp(steps, [p.step for p in run.curve], [p.success_rate for p in run.curve]) for run in runs]
        )  # (runs, steps)
        for i, step in enumerate(steps):
            spread = {"mean": lines[:, i].mean(), "least": lines[:, i].min(), "greatest": lines[:, i].max()}
            table.append(
                {"variant": row.variant, "label": row.label, "method": row.method, "reference": row.reference}
                | {"n_seeds": len(runs), "step": step}
                | {key: float(value) for key, value in spread.items()}
                | _named("success", row.success)
                | _named("auc", row.auc)
                | {"base_success": row.means["base_success"], "n_scenes": row.n_scenes}
            )
    return table


def _named(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
