"""Sizes and shapes of the robot's side against the simulator's."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from soarm import arm
from soarm.runtime import standing, success
from soarm.sim import cubes, scene
from soarm.tasks.pick_place import TASK, things

RNG = np.random.default_rng(0)
OBJECTS = np.array([0.02, -0.3, 0.0125, 1.0, 0.0, -0.05, -0.24])


@pytest.fixture(scope="module")
def model(sim):
    return scene.build_model(sim)


def touching_geoms(model):
    base = model.body("base").id
    return [g for g in range(model.ngeom) if model.geom_contype[g] == 1 and model.geom_bodyid[g] != base]


def test_the_bin_and_the_rule_of_rest_are_those_of_the_simulator(model):
    assert 2 * model.geom("bin_floor").size[2] == things.BIN_WALL_M
    assert model.geom("cube").size.tolist() == [cubes.CUBE_HALF_M] * 3
    assert success.AT_REST_M / 0.3 < cubes.AT_REST2**0.5


def test_balls_surround_what_of_the_arm_can_touch_to_a_centimetre(model):
    data, outside_m = mujoco.MjData(model), []
    corners = np.array([[x, y, z] for x in (-1, 0, 1) for y in (-1, 0, 1) for z in (-1, 0, 1)])
    for q in RNG.uniform(arm.LOWER, arm.UPPER, (40, 6)):
        data.qpos[:6] = arm.to_radians(q)
        mujoco.mj_kinematics(model, data)
        middles = standing.balls(q)
        for g in touching_geoms(model):
            points = corners * model.geom_size[g] @ data.geom_xmat[g].reshape(3, 3).T + data.geom_xpos[g]
            gaps = np.linalg.norm(points[:, None] - middles, axis=-1) - standing.RADIUS_M
            outside_m.append(gaps.min(axis=1).max())

    assert max(outside_m) < 0.01


def test_a_pose_that_is_a_centimetre_clear_touches_nothing_in_the_simulator(model):
    data = mujoco.MjData(model)
    data.mocap_pos[0, :2], data.qpos[6:9] = OBJECTS[5:], OBJECTS[:3]
    poses = RNG.uniform(arm.LOWER, arm.UPPER, (2000, 6))
    near = poses[np.abs(standing.clearance_m(poses, standing.boxes(TASK, OBJECTS))) < 0.02]
    assert len(near) > 20
    objects = {model.body("cube").id, model.body("bin").id}
    for q in near:
        data.qpos[:6] = arm.to_radians(q)
        mujoco.mj_forward(model, data)
        pairs = [set(model.geom_bodyid[contact.geom].tolist()) for contact in data.contact]
        touched = any(pair & objects and not pair <= {*objects, 0} for pair in pairs)

        assert not touched or standing.clearance_m(q, standing.boxes(TASK, OBJECTS)) < 0.01


def test_a_cube_in_the_air_counts_as_lying_below():
    held = OBJECTS.copy()
    held[2] = 0.09

    assert standing.boxes(TASK, held) == standing.boxes(TASK, OBJECTS)


def test_nothing_stands_where_nothing_is_known():
    assert standing.clearance_m(np.zeros(6), ()) == np.inf
