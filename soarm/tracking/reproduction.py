"""What MLflow says of a reproduction as a whole: the figures that a person compares, and a description in words.

Knows the metrics that the chain's stages write, and no MLflow.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from soarm.tracking.tracker import Provenance, flatten

Metrics = Mapping[str, Any]

_OF_COMPARE = {
    "success_base": "base.success_rate",
    "success_base_low": "base.success_ci95.0",
    "success_base_high": "base.success_ci95.1",
    "success_residual": "residual.success_rate",
    "success_residual_low": "residual.success_ci95.0",
    "success_residual_high": "residual.success_ci95.1",
    "success_difference": "differences.success_rate.mean",
    "success_difference_low": "differences.success_rate.ci95.0",
    "success_difference_high": "differences.success_rate.ci95.1",
    "gains": "gains",
    "losses": "regressions",
    "mcnemar_p": "mcnemar_p",
    "test_scenes": "n_scenes",
}
"""Metric of a reproduction -> metric of `compare`."""
_OF_EVAL_BASE = {
    "success_base": "success_rate",
    "success_base_low": "success_ci95.0",
    "success_base_high": "success_ci95.1",
    "test_scenes": "n_scenes",
}
_SHOWN = 10
"""How many parameters the description lists; the run has all of them."""


def figures(results: Mapping[str, Metrics]) -> dict[str, float]:
    """Return what reproductions are compared by.

    Args:
        results: Metrics of the stages whose results stand.

    Returns:
        Rates of success in 0..1 with their 95 % intervals (`_low`, `_high`), scenes, p, and `wall_s`: what all these results
        took to make, whenever they were made [s].
    """
    found: dict[str, float] = {}
    for stage, names in (("eval_base", _OF_EVAL_BASE), ("compare", _OF_COMPARE)):
        flat = dict(flatten(results.get(stage, {})))
        found |= {name: float(flat[key]) for name, key in names.items() if flat.get(key) is not None}
    walls = [float(metrics["wall_s"]) for metrics in results.values() if "wall_s" in metrics]
    return found | ({"wall_s": round(sum(walls), 3)} if walls else {})


def describe(provenance: Provenance, results: Mapping[str, Metrics], ran: Collection[str], links: Collection[str]) -> str:
    """Return a reproduction in words, as Markdown.

    Args:
        provenance: What it is identified by.
        results: Metrics of the stages whose results stand, in the order of the chain.
        ran: Stages that ran in it; the others were up to date.
        links: To the report and to models, as Markdown.
    """
    paragraphs = [
        " ".join(_what(provenance, results)),
        _differences(provenance),
        "\n".join(_table(results)),
        " · ".join(links),
        "\n".join(_stages(results, ran)),
    ]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def _what(provenance: Provenance, results: Mapping[str, Metrics]) -> Iterator[str]:
    yield f"Task **{provenance.task}**, profile **{provenance.profile}**, seed {provenance.seed}."
    if (record := results.get("record")) and provenance.dataset == "data/record":
        taught = f"demonstrations of the bundle `{record['bundle']}`" if "bundle" in record else "scripted demonstrations"
        yield f"Trained on {record['episodes']} {taught} ({record['frames']} frames)."
    else:
        yield f"Trained on the demonstrations in `{provenance.dataset}`."
    if act := results.get("train_act"):
        yield f"ACT: {act['parameters']} parameters, {act['val_l1_deg']:.1f}° off on held-out episodes."
    if residual := results.get("train_residual"):
        yield f"Residual TD3+BC: {residual['env_steps']} environment steps, weights of step {residual['kept_step']} kept."


def _table(results: Mapping[str, Metrics]) -> Iterator[str]:
    found = figures(results)
    rows = [
        f"| {label} | {found[key]:.1%} | {found[f'{key}_low']:.1%} to {found[f'{key}_high']:.1%} |"
        for key, label in (("success_base", "ACT alone"), ("success_residual", "ACT + residual"))
        if key in found
    ]
    if rows:
        yield f"| {found['test_scenes']:.0f} held-out scenes | solved | 95 % interval |"
        yield "|---|---|---|"
        yield from rows
    if "gains" in found:
        yield ""
        yield (
            f"The residual gains {found['gains']:.0f} scenes and loses {found['losses']:.0f}; "
            f"exact McNemar test on the pairs: p = {found['mcnemar_p']:.2g}."
        )


def _differences(provenance: Provenance) -> str:
    found = [f"`{key}` = {value}" for key, value in flatten(provenance.changes)]
    if not found:
        return "No parameter differs from the committed profile `default`."
    more = f", and {len(found) - _SHOWN} more (see Parameters)" if len(found) > _SHOWN else ""
    return f"Differs from the committed profile `default` in {', '.join(found[:_SHOWN])}{more}."


def _stages(results: Mapping[str, Metrics], ran: Collection[str]) -> Iterator[str]:
    if results:
        yield "| stage | seconds | made |"
        yield "|---|---|---|"
    for stage, metrics in results.items():
        made = "here" if stage in ran else f"before, by code {metrics['git_rev'][:7]}; up to date"
        yield f"| {stage} | {metrics['wall_s']:.1f} | {made} |"
