"""A cube that nobody sees, against a hand that closes, carries and opens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from soarm import kinematics
from soarm import params as params_file
from soarm.errors import ObservationError
from soarm.recording import RecordParams
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.objects import CalledObjects, on_the_table
from soarm.runtime.sensors import FollowsArm
from soarm.sim.env import SimEnv
from soarm.sim.pick_place.expert import Expert
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.tasks.pick_place.things import BIN_WALL_M
from soarm.tasks.tabletop import CUBE_HALF_M

ROOT = Path(__file__).parents[2]
BIN = (0.1, -0.2)
DOWN = [0.0, -0.5, -1.0]


def pose(x, y, z, percent=40.0):
    """Return joints with the fingers down around a point, closing along x."""
    home, opening = [0.0, 0.0, 5.0, 80.0, -80.0, percent], [[1.0, 0.0, 0.0], [-1.0, 0.0, 0.0]]
    found = kinematics.solve_ik([[x, y, z]] * 2, kinematics.gripper_rotation([DOWN] * 2, opening), home, iterations=200)
    best = found.rotation_error_deg.argmin()
    assert found.position_error_m[best] < 0.002, found
    return found.q[best]


def measured(cube, bin_xy=BIN):
    return on_the_table(TASK, {"cube": cube, "bin": bin_xy})


def feel(source, q, percent, told, n=3):
    for _ in range(n):
        source.update([*q[:5], percent], [*q[:5], told])
    return source.read().value


@pytest.fixture
def source():
    return CarriedObjects(TASK, measured((-0.05, -0.22, 0.0)), now=lambda: 5.0)


GRASP, LIFTED, OVER = pose(-0.055, -0.22, 0.013), pose(-0.05, -0.22, 0.1), pose(0.11, -0.2, 0.09)


def test_a_cube_in_the_fingers_goes_with_the_hand_and_falls_into_the_bin(source):
    assert isinstance(source, FollowsArm)
    lying = source.read().value
    np.testing.assert_array_equal(feel(source, GRASP, 40.0, 40.0), lying)
    np.testing.assert_array_equal(feel(source, GRASP, 15.6, 8.0, n=1), lying)
    feel(source, GRASP, 15.6, 8.0)
    lifted = feel(source, LIFTED, 15.6, 8.0)
    over = feel(source, OVER, 15.7, 8.0)
    fallen = feel(source, OVER, 20.0, 30.0)

    tcp_m, _ = kinematics.forward(OVER)
    assert lifted[2] == pytest.approx(0.1, abs=0.005)
    np.testing.assert_allclose(over[:3], tcp_m, atol=0.005)
    np.testing.assert_allclose(fallen[:3], [*tcp_m[:2], BIN_WALL_M + CUBE_HALF_M], atol=0.005)
    assert np.hypot(*fallen[3:5]) == pytest.approx(1.0, abs=1e-6)
    assert source.read().t_s == 5.0


def test_a_cube_that_turns_between_pressing_fingers_stays_in_the_hand(source):
    feel(source, GRASP, 15.6, 8.0)
    feel(source, LIFTED, 17.4, 8.0)
    turned = feel(source, OVER, 17.4, 8.0)
    fallen = feel(source, OVER, 17.4, 18.0)

    tcp_m, _ = kinematics.forward(OVER)
    np.testing.assert_allclose(turned[:3], tcp_m, atol=0.01)
    assert fallen[2] == pytest.approx(BIN_WALL_M + CUBE_HALF_M, abs=0.005)


def test_a_cube_that_is_let_go_beside_the_bin_lies_on_the_table(source):
    feel(source, GRASP, 15.6, 8.0)
    feel(source, LIFTED, 15.6, 8.0)
    fallen = feel(source, LIFTED, 20.0, 30.0)

    assert fallen[2] == np.float32(CUBE_HALF_M)
    np.testing.assert_allclose(feel(source, OVER, 40.0, 40.0), fallen)


def test_fingers_that_slip_off_leave_it_there_and_it_can_be_taken_again(source):
    feel(source, GRASP, 15.6, 8.0)
    feel(source, GRASP, 9.0, 8.0)
    assert feel(source, LIFTED, 9.0, 8.0)[2] == np.float32(CUBE_HALF_M)

    feel(source, GRASP, 40.0, 40.0)
    feel(source, GRASP, 15.6, 8.0)
    assert feel(source, LIFTED, 15.6, 8.0)[2] > 0.09


@pytest.mark.parametrize(
    ("q", "percents", "told"),
    [
        *[(GRASP, [30, 25, 20, 15], 8.0), (GRASP, [15.6] * 5, 15.0), (GRASP, [2.0] * 5, 0.0), (GRASP, [50.0] * 5, 8.0)],
        *[(LIFTED, [15.6] * 5, 8.0), (pose(0.02, -0.22, 0.013), [15.6] * 5, 8.0)],
    ],
    ids=["still closing", "not pressing", "empty", "blocked", "above it", "beside it"],
)
def test_what_is_no_grasp_takes_nothing(source, q, percents, told):
    for percent in percents:
        feel(source, q, percent, told, n=1)

    assert feel(source, LIFTED, percents[-1], told)[2] == np.float32(CUBE_HALF_M)


def test_its_yaw_is_that_of_the_fingers_once_they_hold_it(source):
    crooked = CarriedObjects(TASK, measured((-0.05, -0.22, 10.0)))
    for one in (source, crooked):
        feel(one, GRASP, 15.6, 8.0)

    np.testing.assert_allclose(source.read().value[3:5], crooked.read().value[3:5], atol=1e-6)


def solved(sim, expert, source, seeds):
    """Return how many scenes the scripted demonstrator solves that sees what a source says of the objects of the start."""
    env, n = SimEnv(sim), 0
    for seed in seeds:
        seen, _ = env.reset(seed=seed)
        objects, demonstrator = source(TASK, seen[ENVIRONMENT_STATE]), Expert(expert, sim.control_hz)
        demonstrator.reset(seed)
        told = seen[STATE]
        for _ in range(160):
            if isinstance(objects, FollowsArm):
                objects.update(seen[STATE], told)
            told = demonstrator.act({STATE: seen[STATE], ENVIRONMENT_STATE: objects.read().value})
            seen, _, done, _, _ = env.step(told)
            if done:
                n += 1
                break
    return n


def test_with_objects_that_were_measured_once_the_demonstrator_solves_what_it_never_does_with_ones_that_stay(sim):
    expert = params_file.load(ROOT / "params.yaml", "pick_place").section("record", RecordParams).expert

    assert solved(sim, expert, CarriedObjects, range(10)) >= 8
    assert solved(sim, expert, lambda task, lying: CalledObjects(task, lambda: lying), range(3)) == 0


def test_where_cube_and_bin_cannot_be_is_refused():
    with pytest.raises(ObservationError, match="millimetres"):
        CarriedObjects(TASK, measured((0.0, -200.0, 0.0), (150.0, -150.0)))
