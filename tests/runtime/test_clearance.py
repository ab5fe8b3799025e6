from __future__ import annotations

import dataclasses
import itertools
import math
import types

import mujoco
import numpy as np
import pytest

from soarm import arm, kinematics
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.runtime import clearance
from soarm.runtime.limits import Limits
from soarm.runtime.safety import lowest_m
from soarm.runtime.standing import boxes
from soarm.sim.draw import draw_scene
from soarm.sim.scene import build_model
from soarm.tasks.pick_place import TASK

ARM = Calibration.nominal()
LIMITS = Limits.usual(ARM.lower, ARM.upper)
PARK = np.clip(ArmConfig().park, ARM.lower, ARM.upper)
START = np.array([0.0, 0.0, 5.0, 85.0, -85.0, 30.0])
STEPS = 40
"""From one stop of a way to the next."""


def lowest_between(*poses):
    share = np.linspace(0, 1, 300)[:, None]
    return min(float(lowest_m(a + (b - a) * share).min()) for a, b in itertools.pairwise(poses))


def poses_low_over_the_table(n):
    poses = np.random.default_rng(3).uniform(ARM.lower, ARM.upper, (40 * n, 6))
    heights = lowest_m(poses)
    return poses[(heights > 0.0) & (heights < 0.1)][:n]


@pytest.mark.parametrize("goal", [PARK, START], ids=["park", "start"])
def test_no_way_to_start_or_park_dips_under_the_table(goal):
    poses = poses_low_over_the_table(150)
    straight = [lowest_between(pose, goal) for pose in poses]
    lifted = [clearance.waypoints(pose, goal, LIMITS) for pose in poses]
    found = [lowest_between(p, *w, goal) for p, w in zip(poses, lifted, strict=True)]

    assert min(straight) < -0.02
    assert min(found) > -0.015, "the table lies at -0.01, and the way is looked at in steps"
    assert sum(bool(w) for w in lifted) < len(poses) / 4, "most ways are straight"
    assert all((w[0][[0, 4, 5]] == p[[0, 4, 5]]).all() for p, w in zip(poses, lifted, strict=True) if w)


def test_where_there_is_no_table_every_way_is_straight():
    free = dataclasses.replace(LIMITS, table_m=None)

    assert all(clearance.waypoints(pose, PARK, free) == [] for pose in poses_low_over_the_table(20))


def in_bin_or_over_cube(sim, n):
    """Yield poses with the fingers in the bin or around the cube, and the objects."""
    rng = np.random.default_rng(0)
    for seed in range(n):
        scene = draw_scene(sim, seed)
        for place, z, cube_m in ((scene.bin_xy, 0.06, 0.0165), (scene.cube_xy, 0.0125, 0.0125)):
            away = np.array([place[0], place[1] + 0.0452])
            fingers = [*(0.3 * away / np.linalg.norm(away)), -1.0]
            start = np.clip(sim.task.home, LIMITS.lower, LIMITS.upper)
            start[0] = np.degrees(np.arctan2(place[0], -place[1] - 0.0452))
            rotation = kinematics.gripper_rotation([fingers], [[*rng.normal(size=2), 0]])
            found = kinematics.solve_ik([[*place, z]], rotation, start)
            if found.position_error_m[0] < 0.004:
                q = np.clip([*found.q[0][:5], 40.0], LIMITS.lower, LIMITS.upper)
                yield q, np.array([*place, cube_m, math.cos(4 * scene.cube_yaw), math.sin(4 * scene.cube_yaw), *scene.bin_xy])


def poses_on(*stops):
    share = np.linspace(0, 1, STEPS)[:, None]
    return np.concatenate([a + (b - a) * share for a, b in itertools.pairwise(stops)])


@pytest.fixture(scope="module")
def depth(sim):
    """Return how deep the arm is in bin and cube, in MuJoCo's eyes: (pose, objects) -> [m]."""
    model = build_model(sim)
    data = mujoco.MjData(model)
    objects = {model.body("bin").id, model.body("cube").id}

    def look(q, seen):
        yaw = math.atan2(seen[4], seen[3]) / 4
        data.qpos[:6], data.qpos[6:9] = arm.to_radians(q), seen[:3]
        data.qpos[9:13], data.mocap_pos[0, :2] = (math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)), seen[5:]
        mujoco.mj_fwdPosition(model, data)  # contacts, without forces
        pairs = [(set(model.geom_bodyid[one.geom].tolist()), one.dist) for one in data.contact]
        return max([-dist for pair, dist in pairs if len(pair & objects) == 1 and 0 not in pair], default=0.0)

    return look


def test_no_way_from_bin_or_cube_to_park_or_start_touches_them(sim, depth):
    straight, beats = [], []
    for q, seen in in_bin_or_over_cube(sim, 7):
        around = boxes(TASK, seen)
        rest = np.array(clearance.turned_clear(tuple(PARK), LIMITS, around))
        for goal in (rest, START):
            stops = q, *clearance.waypoints(q, goal, LIMITS, around, lambda: beats.append(1)), goal
            at_first = depth(q, seen)
            way = poses_on(*stops)
            depths = [depth(pose, seen) for pose in way]
            assert max(depths) < at_first + 0.002
            assert max(depths[-STEPS:]) == 0.0, "above, and from there on, nothing"
            assert min(lowest_m(way)) > -0.015
        straight.append(max(depth(pose, seen) for pose in poses_on(q, PARK)) - depth(q, seen))

    assert np.mean(np.array(straight) > 0.002) > 0.3, "the straight way goes through them"
    assert beats, "a long look for a way goes on beating"


def test_where_the_bin_stands_in_the_place_of_rest_the_arm_rests_beside_it(depth):
    seen = np.array([0.15, -0.2, 0.0125, 1.0, 0.0, 0.0, -0.2])
    rest = clearance.turned_clear(tuple(PARK), LIMITS, boxes(TASK, seen))

    assert depth(PARK, seen) > 0.002
    assert depth(rest, seen) == 0.0
    assert 20 < abs(rest[0]) < 60
    assert rest[1:] == tuple(PARK[1:])
    assert clearance.turned_clear(tuple(PARK), LIMITS, ()) == tuple(PARK)


def test_an_arm_whose_way_dips_is_lifted_first_and_another_is_not():
    moves = []
    low = min(poses_low_over_the_table(150), key=lambda one: lowest_between(one, PARK))
    for pose in (low, START):
        driven = types.SimpleNamespace(
            observe=lambda pose=pose: types.SimpleNamespace(q=pose), move_to=lambda q, each: moves.append(q)
        )
        clearance.move_clear(driven, PARK, LIMITS, lambda: None)

    assert lowest_between(low, PARK) < -0.02
    assert len(moves) == 1
    assert lowest_between(low, moves[0], PARK) > -0.015
