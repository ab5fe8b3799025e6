"""Rows of two policies that differ in a known way, and their comparison."""

import math

import numpy as np
import pytest

from soarm.evaluation.paired import compare
from soarm.evaluation.results import EpisodeRow, Results
from soarm.tasks.pick_place import TASK

# outcome -> furthest stage
KINDS = {"success": "place", "dropped": "lift", "missed_grasp": "reach", "never_reached": "start"}


def rows(outcomes, seconds):
    made = []
    for i, outcome in enumerate(outcomes):
        success = outcome == "success"
        made.append(
            EpisodeRow(
                seed=100 + i,
                success=success,
                outcome=outcome,
                furthest_stage=KINDS[outcome],
                steps=round(30 * (seconds + 0.1 * i)) if success else 300,
                time_to_success_s=seconds + 0.1 * i if success else math.nan,
                return_shaped=1.0 if success else 0.2,
                return_sparse=float(success),
                action_acceleration_rms_deg_s2=50.0,
                action_jerk_rms_deg_s3=900.0 * seconds,
                of_task={
                    "holding_at_end": False,
                    "cube_moved_m": 0.01,
                    "cube_x_m": 0.02 * i - 0.1,
                    "cube_y_m": -0.2 - 0.01 * (i % 3),
                    "cube_yaw_deg": 5.0 * i,
                    "bin_x_m": 0.15,
                    "bin_y_m": -0.2,
                },
            )
        )
    return Results(tuple(made), TASK)


@pytest.fixture(scope="session")
def base():
    return rows(["success", "success", "success", "dropped", "dropped", "missed_grasp", "never_reached", "success"], 5.0)


@pytest.fixture(scope="session")
def residual():
    return rows(["success", "success", "dropped", "success", "success", "success", "never_reached", "success"], 4.0)


@pytest.fixture(scope="session")
def hopeless():
    return rows(["never_reached"] * 8, 5.0)


@pytest.fixture(scope="session")
def comparison(base, residual):
    return compare(base, residual, np.random.default_rng(0), 200)
