"""A batched environment in memory whose episodes are written down beforehand, and rows made by hand."""

import dataclasses
import math

import numpy as np
import pytest

from soarm.evaluation.results import EpisodeRow, Results
from soarm.rollout import StepResult
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.pick_place.stages import Stage


@dataclasses.dataclass(frozen=True)
class Script:
    """What an episode does: the furthest stage after each step, whether it holds the cube, and how it ends."""

    stages: tuple[Stage, ...]
    holding: tuple[bool, ...]
    success: bool
    cube_moved_m: float = 0.0


class ScriptedEnv:
    """A `BatchEnv` that plays `scripts[seed % len(scripts)]` in a row, whatever the actions."""

    control_hz, task = 30, TASK

    def __init__(self, scripts, n_rows, observe_objects=True):
        self.scripts, self.n_rows, self._observe_objects = scripts, n_rows, observe_objects
        self._seed, self._t = np.zeros(n_rows, int), np.zeros(n_rows, int)

    def reset(self, rows, seeds):
        self._seed[rows], self._t[rows] = list(seeds), 0
        return self._observe(rows)

    def step(self, actions, rows):
        assert actions.shape == (len(rows), 6)
        scripts = [self.scripts[self._seed[row] % len(self.scripts)] for row in rows]
        at = self._t[rows]
        self._t[rows] += 1
        done = np.array([t + 1 == len(script.stages) for script, t in zip(scripts, at, strict=True)])
        success = np.array([script.success for script in scripts]) & done
        info = {
            "is_success": success,
            "stage": np.array([int(script.stages[t]) for script, t in zip(scripts, at, strict=True)]),
            "holding": np.array([script.holding[t] for script, t in zip(scripts, at, strict=True)]),
            "moved_m": np.array([script.cube_moved_m for script in scripts]),
            "shaped_return": 0.25 * (at + 1.0),
        }
        return StepResult(self._observe(rows), success.astype(float), success, done & ~success, info)

    def _observe(self, rows):
        seed, t = self._seed[rows], self._t[rows]
        observation = {STATE: np.tile(t[:, None], (1, 6)).astype(np.float32)}
        if self._observe_objects:
            yaw4 = np.radians(4.0 * (seed % 45))
            x, y = 0.01 * (seed % 10), -0.2 - 0.001 * (seed % 7) - 0.01 * t
            columns = [x, y, 0.0125 + 0 * x, np.cos(yaw4), np.sin(yaw4), 0.1 + 0 * x, -0.25 + 0 * x]
            observation[ENVIRONMENT_STATE] = np.stack(columns, axis=1).astype(np.float32)
        return observation


class Cubic:
    """A `BatchPolicy` that commands t^3 / 6 degrees at step t, so that its jerk is known: 1 degree per step cubed."""

    def reset(self, rows, seeds):
        pass

    def act(self, observation, rows):
        return observation[STATE] ** 3 / 6.0


SCRIPTS = (
    Script((Stage.REACH, Stage.LIFT, Stage.TRANSPORT, Stage.PLACE, Stage.PLACE), (False, True, True, False, False), True),
    Script((Stage.START,) * 6, (False,) * 6, False),
    Script((Stage.REACH, Stage.LIFT, Stage.LIFT), (False, True, False), False, 0.1),
    Script((Stage.REACH,) * 7, (False,) * 7, False, 0.2),
)


@pytest.fixture
def scripted_env():
    return ScriptedEnv(SCRIPTS, n_rows=3)


@pytest.fixture
def cubic():
    return Cubic()


@pytest.fixture
def make_env():
    return ScriptedEnv


@pytest.fixture
def make_results():
    """Return a function that makes results from successes, with everything else plausible and fixed by the seed."""

    def make(successes, first_seed=100, **columns):
        rows = []
        for i, success in enumerate(successes):
            values = {
                "seed": first_seed + i,
                "success": bool(success),
                "outcome": "success" if success else "dropped",
                "furthest_stage": "place" if success else "lift",
                "steps": 120 + i if success else 300,
                "time_to_success_s": (120 + i) / 30 if success else math.nan,
                "return_shaped": 1.0 + 0.01 * i if success else 0.5,
                "return_sparse": float(success),
                "action_acceleration_rms_deg_s2": 50.0 + i,
                "action_jerk_rms_deg_s3": 900.0 + i,
                "holding_at_end": False,
                "cube_moved_m": 0.1,
                "cube_x_m": 0.01 * (i % 10),
                "cube_y_m": -0.2 - 0.01 * (i // 10),
                "cube_yaw_deg": float(i % 45),
                "bin_x_m": 0.15,
                "bin_y_m": -0.2,
            }
            rows.append(EpisodeRow.of(values | {name: column[i] for name, column in columns.items()}))
        return Results(tuple(rows), TASK)

    return make
