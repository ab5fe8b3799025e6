"""The rows of `soarm rl-eval` from an evaluation on an arm: one per policy and spot. Needs pyarrow and SciPy.

A person sees how a trial ended, and not how far it got meanwhile, nor a reward: those numbers do not exist here.
"""

from __future__ import annotations

import math

import numpy as np

from soarm import arm
from soarm.errors import LogError
from soarm.evaluation.evaluator import difference_rms
from soarm.evaluation.results import UNSEEN, EpisodeRow, Results
from soarm.policy import Array
from soarm.proof.attempt import Attempt
from soarm.proof.folder import ProofFolder
from soarm.proof.plan import Spot
from soarm.runtime import log
from soarm.runtime.onnx_policy import Which
from soarm.tasks.registry import find
from soarm.tasks.task import SUCCESS, Task


def results(folder: ProofFolder, which: Which) -> Results:
    """Return the rows of a policy on the spots that both policies are done with, in their order; a row's seed is its spot."""
    task = find(folder.plan.task)
    rows = []
    for number, trials in folder.pairs().items():
        attempt = folder.attempts(trials[which])[-1]
        actions, control_hz = _actions(folder, attempt)
        rows.append(_row(task, folder.plan.spots[number - 1], attempt, actions, control_hz))
    bundle = folder.plan.bundle
    provenance = {
        "policy": bundle.get("act.onnx" if which == "base" else "residual.onnx", "unknown")[:16],
        "plan": folder.plan.seal[:16],
    }
    return Results(tuple(rows), task, provenance)


def _row(task: Task, spot: Spot, attempt: Attempt, actions: Array, control_hz: int) -> EpisodeRow:
    assert attempt.outcome is not None, "pairs are judged"
    success = attempt.outcome == SUCCESS
    objects = dict(zip(task.objects.names, spot.objects(task).tolist(), strict=True))
    seen_s = attempt.ran.success_s
    return EpisodeRow(
        seed=spot.number,
        success=success,
        outcome=attempt.outcome,
        furthest_stage=UNSEEN,
        steps=len(actions),
        time_to_success_s=seen_s if success and seen_s is not None else math.nan,
        return_shaped=math.nan,
        return_sparse=float(success),
        action_acceleration_rms_deg_s2=difference_rms(actions, control_hz, order=2),
        action_jerk_rms_deg_s3=difference_rms(actions, control_hz, order=3),
        of_task={
            **{column.name: math.nan for column in task.ending_columns},
            **{column.name: column.kind(column.read(objects)) for column in task.scene_columns},
        },
    )


def _actions(folder: ProofFolder, attempt: Attempt) -> tuple[Array, int]:
    """Return what a trial was sent once per control step, shape (T, 6), and the rate [Hz]; nothing where its log is gone."""
    try:
        read = log.read(folder.path / "logs" / attempt.log)
    except LogError:
        return np.zeros((0, arm.N_JOINTS), np.float32), 1
    sent = read.records[read.records["control"] == 1]
    return np.asarray(sent["q_sent"], np.float32), int(read.header["control_hz"])
