"""The environment of stack; what holds for every task is in `test_every_task.py`."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from soarm import params as params_file
from soarm.recording import RecordParams
from soarm.sim.batch_env import BatchSim
from soarm.sim.cubes import CUBE_HALF_M
from soarm.sim.draw import draw_scene
from soarm.sim.env import SimEnv
from soarm.sim.grasping import Phase
from soarm.sim.params import SimParams
from soarm.sim.stack.expert import Expert
from soarm.sim.stack.rules import StackState, evaluate_progress
from soarm.sim.task import ARRAYS, FLOATS
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.stack.stages import Stage

LOADED = params_file.load(Path(__file__).parents[2] / "params.yaml", "stack")
STILL, FAR = (0.0, 0.0, 0.0), (0.0, -0.1, 0.2)
ON_TOP = 3 * CUBE_HALF_M
STACKED = StackState((0.0, -0.2, ON_TOP), STILL, (0.0, -0.2, CUBE_HALF_M), STILL, FAR, 0.0, 0.0)


@pytest.fixture(scope="module")
def stack() -> SimParams:
    """Return the environment of stack."""
    return LOADED.section("sim", SimParams)


@pytest.mark.parametrize(
    ("change", "done"),
    [
        ({}, True),
        ({"cube": (0.012, -0.2, ON_TOP)}, True),
        ({"cube": (0.013, -0.2, ON_TOP)}, False),
        ({"cube": (0.0, -0.2, ON_TOP + 0.004)}, False),
        ({"cube": (0.0, -0.2, CUBE_HALF_M)}, False),
        ({"base": (0.0, -0.2, CUBE_HALF_M + 0.004), "cube": (0.0, -0.2, ON_TOP + 0.004)}, False),
        ({"gripper_touch": 1.0}, False),
        ({"jaw_touch": 1.0}, False),
        ({"cube_velocity": (0.0, 0.0, -0.04)}, False),
        ({"base_velocity": (0.04, 0.0, 0.0)}, False),
    ],
    ids=["stacked", "aside", "too far aside", "in the air", "beside", "base on edge", "held", "touched", "falling", "pushed"],
)
def test_it_is_done_when_the_cube_rests_on_the_base_released(change: dict[str, object], done: bool) -> None:
    state = STACKED._replace(**change)
    in_rows = StackState(*(np.asarray(part) if np.ndim(part) == 0 else np.reshape(part, (3, 1)) for part in state))
    one, rows = evaluate_progress(FLOATS, state), evaluate_progress(ARRAYS, in_rows)

    assert one.done == done == rows.done
    assert (one.stage == Stage.STACK) == done
    assert one.potentials == pytest.approx([float(np.squeeze(potential)) for potential in rows.potentials])
    assert (one.potentials == (1.0, 1.0, 1.0, 1.0, 1.0)) == (done or "velocity" in str(change))


@given(seed=st.integers(0, 10**8))
def test_every_scene_keeps_its_promises(stack: SimParams, seed: int) -> None:
    scene = draw_scene(stack, seed)
    radius = math.hypot(scene.base_xy[0], scene.base_xy[1] + 0.0452)

    assert stack.task.base_radius_m[0] - 1e-9 <= radius <= stack.task.base_radius_m[1] + 1e-9
    assert math.dist(scene.cube_xy, scene.base_xy) >= stack.task.clearance_m
    assert scene.cube_yaw != scene.base_yaw


def test_both_cubes_are_where_the_scene_says_and_physics_is_written_to_both(stack: SimParams) -> None:
    physics = dataclasses.replace(stack.physics, cube_mass_kg=(0.01, 0.03), cube_friction=(0.5, 1.5))
    params = dataclasses.replace(stack, physics=physics)
    env, scene = SimEnv(params), draw_scene(params, 4)
    objects = env.reset(seed=4)[0][ENVIRONMENT_STATE]

    assert objects[:3] == pytest.approx([*scene.cube_xy, CUBE_HALF_M])
    assert objects[5:] == pytest.approx(
        [*scene.base_xy, CUBE_HALF_M, math.cos(4 * scene.base_yaw), math.sin(4 * scene.base_yaw)], abs=1e-6
    )
    for name in ("cube", "base_cube"):
        assert env.model.body(name).mass == scene.physics["cube_mass_kg"]
        assert env.model.geom(name).friction[0] == scene.physics["cube_friction"]


def test_a_cube_that_fell_off_is_picked_up_again(stack: SimParams) -> None:
    env, rows = BatchSim(stack, 1), np.array([0])
    seen = {key: value[0] for key, value in env.reset(rows, [3]).items()}
    expert = Expert(LOADED.section("record", RecordParams).expert.noiseless(), stack.control_hz)
    phases = []
    for _ in range(110):
        if expert.phase is Phase.RETREAT:  # somebody moved the cube
            seen[ENVIRONMENT_STATE] = seen[ENVIRONMENT_STATE] + np.float32([0.05, 0, -0.025, 0, 0, 0, 0, 0, 0, 0])
        phases.append(expert.phase)
        seen = {key: value[0] for key, value in env.step(expert.act(seen)[None], rows).observation.items()}

    assert Phase.APPROACH in phases[phases.index(Phase.RETREAT) :]
    assert seen[STATE].shape == (6,)
