"""Which figures there are: of one policy, of a comparison, of a training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from soarm import arm
from soarm.evaluation.paired import Comparison
from soarm.evaluation.results import Results
from soarm.evaluation.summary import Summary
from soarm.report import figures, findings, tables
from soarm.report.style import LABELS, Figure, Table, save
from soarm.tasks.task import Task

_WILSON = "Bars: Wilson 95 % interval."


CURVES: tuple[figures.Curve, ...] = (
    figures.Curve(
        name="act_error",
        stage="train_act",
        policy="base",
        columns={"val_l1_deg": "held-out demonstrations"},
        title="ACT: error of the predicted chunk",
        y_label="mean absolute error, arm joints [deg]",
        scale="log",
    ),
    figures.Curve(
        name="residual_success",
        stage="train_residual",
        policy="residual",
        columns={"success_rate": "training episodes, exploring", "validation_success": "validation scenes"},
        title="Residual: success during training",
        y_label="episodes solved",
        scale="share",
    ),
    figures.Curve(
        name="residual_value",
        stage="train_residual",
        policy="residual",
        columns={"q_start": "mean Q of first steps", "mc_start": "mean return"},
        title="Residual: value of the start",
        y_label="discounted return",
        scale="linear",
    ),
    figures.Curve(
        name="residual_calibration",
        stage="train_residual",
        policy="residual",
        columns={"q_gap_mean": "value minus return, mean", "q_return_corr": "their correlation"},
        title="Residual: critics against whole recent episodes",
        y_label="discounted return; correlation",
        scale="linear",
        limits={"alarm of the mean (over-estimation)": (0.1, "q_gap")},
    ),
    figures.Curve(
        name="residual_loss",
        stage="train_residual",
        policy="residual",
        columns={"critic_loss": "mean temporal difference of all heads", "critic_loss_max": "worst batch"},
        title="Residual: loss of the critics",
        y_label="squared error of the value",
        scale="log",
    ),
    figures.Curve(
        name="residual_gain",
        stage="train_residual",
        policy="residual",
        columns={"q_gain": "of the residual over the base"},
        title="Residual: gain that the critics predict",
        y_label="discounted return",
        scale="linear",
    ),
    figures.Curve(
        name="residual_size",
        stage="train_residual",
        policy="residual",
        columns={"residual_abs": "mean size", "saturated": "share of joints at the bound"},
        title="Residual: how much of its bound it uses",
        y_label="share of the bound",
        scale="share",
        limits={"alarm of the size": (0.8, "residual_abs"), "alarm of the share": (0.3, "saturated")},
    ),
    figures.Curve(
        name="residual_size_per_joint",
        stage="train_residual",
        policy="residual",
        columns={f"residual_abs_{joint}": joint for joint in arm.JOINT_NAMES},
        title="Residual: mean size per joint",
        y_label="share of the bound",
        scale="share",
        limits={"alarm": (0.8, "residual_abs")},
    ),
    figures.Curve(
        name="residual_saturation_per_joint",
        stage="train_residual",
        policy="residual",
        columns={f"saturated_{joint}": joint for joint in arm.JOINT_NAMES},
        title="Residual: time each joint spends at its bound",
        y_label="share of the states met",
        scale="share",
        limits={"alarm": (0.3, "saturated")},
    ),
    figures.Curve(
        name="residual_smoothness",
        stage="train_residual",
        policy="residual",
        columns={"acceleration_rms_deg_s2": "training episodes, exploring"},
        title="Residual: second difference of the command",
        y_label="RMS, arm joints [deg/s\u00b2]",
        scale="linear",
    ),
)
"""Curves of the two trainings; a column that was not logged is left out."""


def of_policy(results: Results, summary: Summary) -> list[Figure]:
    """Return the figures of one policy, the base; without a solved scene there is none of times."""
    policies = {"base": summary}
    made = [*_of_summaries(policies, results.task, (6, 1.9)), _map(tables.scenes(results), results.task, (6, 5.8))]
    if durations := tables.durations(results):
        how = "Bars: solved scenes by time to success."
        made.append(Figure("times", how, durations, figures.draw_durations, finding=findings.durations(durations)))
    return made


def of_comparison(base: Results, residual: Results, comparison: Comparison) -> list[Figure]:
    """Return the figures of a comparison; without a scene both solve there is none of times."""
    policies = {"base": comparison.base, "residual": comparison.residual}
    success, failures, *reached = _of_summaries(policies, base.task, (6, 2.6), (6, 4.4))
    made = [success, failures, _map(tables.scenes(base, residual), base.task, (6, 6.0)), *reached]
    if times := tables.times(base, residual):
        how = "A point per scene that both solve; below the line the residual is faster."
        made.append(Figure("times", how, times, figures.draw_times, (5, 4.8), findings.times(times)))
    return made


def _of_summaries(
    policies: tables.Policies,
    task: Task,
    success_in: tuple[float, float],
    failures_in: tuple[float, float] = (6.0, 3.6),
) -> list[Figure]:
    """Return success, failures and, where somebody saw them, stages of policies on the same scenes; two sizes [inch]."""
    n = next(iter(policies.values())).n_scenes
    success, failures, reached = tables.success(policies), tables.failures(policies), tables.reached(policies)
    draw = partial(figures.draw_failures, labels=task.outcomes)
    made = [
        Figure(
            "success",
            f"Points: share of {n} held-out scenes solved. {_WILSON}",
            success,
            figures.draw_success,
            success_in,
            findings.success(success),
        ),
        Figure(
            "failures",
            f"Bars: scenes of {n} by failure class.",
            failures,
            draw,
            failures_in,
            findings.failures(failures, task.outcomes),
        ),
    ]
    if all(one.reached for one in policies.values()):
        how = f"Points: share of {n} scenes that got at least to each stage. {_WILSON}"
        made.append(Figure("reached", how, reached, figures.draw_reached, finding=findings.reached(reached)))
    return made


def _map(scenes: Table, task: Task, size_in: tuple[float, float]) -> Figure:
    at_x, at_y, *_ = (column.name for column in task.scene_columns)
    draw = partial(figures.draw_scenes, columns=(at_x, at_y))
    how = f"A mark per scene, seen from above: where the {at_x.removesuffix('_x_m')} lay at the start."
    return Figure("scenes", how, scenes, draw, size_in, findings.scenes(scenes, (at_x, at_y)))


def of_reach(ceilings: Table, joints: Table) -> list[Figure]:
    """Return the figures of how far a residual must reach; with an empty table of joints there is none of them."""
    n, whole = ceilings[0]["n_scenes"], next(row["success_rate"] for row in ceilings if row["chosen"])
    text = f"Share of {n} validation scenes solved by the best residual inside a bound. {_WILSON}"
    made = [Figure("ceilings", text, ceilings, figures.draw_ceilings)]
    if joints:
        draw = partial(figures.draw_joint_ceilings, whole=whole)
        made.append(Figure("joints", f"The same with one joint's bound cut. {_WILSON}", joints, draw, (6, 4.2)))
    return made


def of_deployment(policies: Mapping[str, Summary], gaps: Mapping[str, Mapping[str, float]]) -> list[Figure]:
    """Return the figures of a bundle on an emulated arm: success by way, and the gap per joint."""
    text = f"Share of held-out scenes solved by the same bundle. {_WILSON}"
    rows = [{"policy": name, "joint": joint, "gap": gap} for name, one in gaps.items() for joint, gap in one.items()]
    return [
        Figure("success", text, tables.success(policies), figures.draw_success, (6, 3.2)),
        Figure("gaps", "The same actions, played through the wire and in the simulator.", rows, figures.draw_gaps, (7, 3.8)),
    ]


def of_trials(policies: Mapping[str, Summary]) -> list[Figure]:
    """Return the figure of a policy's success through its eye and in other ways; none where there are no other ways."""
    if len(policies) < 2:
        return []
    counts = ", ".join(f"{LABELS[name]} {one.n_scenes}" for name, one in policies.items())
    how = f"Points: share of held-out scenes solved ({counts}). Bars: Wilson 95 % interval."
    return [Figure("eye_success", how, tables.success(policies), figures.draw_success, (6.0, 3.2))]


def of_training(curves: Mapping[str, Table]) -> list[Figure]:
    """Return the training curves that were logged; `curves` maps the stage to its table."""
    made = []
    for curve in CURVES:
        table = curves.get(curve.stage, [])
        columns = {
            key: label for key, label in curve.columns.items() if any(math.isfinite(row.get(key, math.nan)) for row in table)
        }
        if columns:
            drawn = curve._replace(columns=columns)
            kept = [{"step": row["step"], **{key: row[key] for key in columns}} for row in table]
            draw, how = partial(figures.draw_curves, curve=drawn), f"Logged by {curve.stage}, one training."
            size_in = (6.0, 3.6 if len(columns) <= 2 else 4.2)  # their legend stands below them
            made.append(Figure(curve.name, how, kept, draw, size_in, findings.curve(kept, drawn)))
    return made


def save_all(made: Sequence[Figure], folder: Path) -> None:
    """Save figures into a folder, see `soarm.report.style.save`."""
    for figure in made:
        save(figure, folder)
