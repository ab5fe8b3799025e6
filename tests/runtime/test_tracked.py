"""Things that a tracker sees, with the one in the hand following the hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from soarm import kinematics
from soarm.errors import ObservationError
from soarm.runtime.objects import FileObjects, on_the_table
from soarm.runtime.placed import sensor
from soarm.runtime.sensors import FollowsArm, Stamped
from soarm.runtime.tracked import HIDDEN_S, STANDING_S, TrackedObjects
from soarm.tasks.pick_place import TASK
from soarm.tasks.registry import find

DOWN, AT, BIN = [0.0, -0.5, -1.0], (-0.05, -0.22), (0.1, -0.2)


def joints(x, y, z, percent):
    """Return joints with the fingers down around a point, closing along x."""
    rotation, home = kinematics.gripper_rotation([DOWN], [[-1.0, 0.0, 0.0]]), [0.0, 0.0, 5.0, 80.0, -80.0, percent]
    found = kinematics.solve_ik([[x, y, z]], rotation, home, iterations=200)
    assert found.position_error_m[0] < 0.002
    return found.q[0]


def told(cube, bin_xy=BIN, z=None):
    objects = on_the_table(TASK, {"cube": (*cube, 0.0), "bin": bin_xy})
    if z is not None:
        objects[2] = z
    return objects.astype(np.float32)


class Desk:
    """A tracker, its clock, and the sensor under test."""

    camera_m = np.array([0.36, -0.66, 0.42])

    def __init__(self, task=TASK):
        self.t_s, self.objects, self.hidden = 0.0, told(AT), {}
        self.sensor = TrackedObjects(task, self, now=lambda: self.t_s)

    def read(self):
        return Stamped(self.t_s, self.objects)

    def step(self, q=None, commanded=None, n=1):
        for _ in range(n):
            self.t_s += 1 / 30
            if q is not None:
                self.sensor.update(q, q if commanded is None else commanded)
            value = self.sensor.read()
        return value

    def grasp(self):
        """Close on the cube, which the hand then hides, and lift it."""
        self.hidden = {"cube": 0.0}
        q = joints(*AT, 0.013, 15.6)
        self.step(q, [*q[:5], 8.0], n=3)
        up = joints(*AT, 0.1, 15.6)
        return self.step(up, [*up[:5], 8.0])


def test_what_is_seen_is_where_the_tracker_says():
    desk = Desk()
    assert isinstance(desk.sensor, FollowsArm)
    np.testing.assert_array_equal(desk.step().value, told(AT))
    desk.objects = told((0.0, -0.25))

    np.testing.assert_array_equal(desk.step(joints(0.1, -0.2, 0.1, 40.0)).value, told((0.0, -0.25)))


def test_a_cube_in_the_hand_moves_with_it_and_falls_into_the_bin_unseen():
    desk = Desk()
    desk.step()
    lifted = desk.grasp()
    over = joints(*BIN, 0.09, 15.6)
    carried = desk.step(over, [*over[:5], 8.0])
    fallen = desk.step([*over[:5], 40.0], n=2)

    assert lifted.value[2] == pytest.approx(0.1, abs=0.005)
    np.testing.assert_allclose(carried.value[:3], kinematics.forward(over)[0], atol=0.006)
    np.testing.assert_allclose(fallen.value[:3], [*BIN, 0.0165], atol=0.008)
    assert fallen.t_s == desk.t_s


def test_a_cube_that_is_seen_again_after_it_was_let_go_is_where_it_is_seen():
    desk = Desk()
    desk.step()
    desk.grasp()
    up = joints(*AT, 0.1, 15.6)
    desk.step([*up[:5], 40.0], n=2)
    desk.objects, desk.hidden = told((-0.03, -0.2)), {}

    np.testing.assert_array_equal(desk.step(up).value, told((-0.03, -0.2)))


def test_a_cube_in_the_hand_that_seems_to_lie_behind_it_stays_in_the_hand():
    desk = Desk()
    desk.step()
    desk.grasp()
    up = joints(*AT, 0.1, 15.6)
    hand_m = kinematics.forward(up)[0]
    share = desk.camera_m[2] / (desk.camera_m[2] - hand_m[2])  # where the line of sight meets the table
    desk.objects, desk.hidden = told(desk.camera_m[:2] + share * (hand_m - desk.camera_m)[:2]), {}

    assert desk.step(up, [*up[:5], 8.0], n=40).value[2] == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("says_camera", [True, False])
def test_a_cube_that_slipped_out_of_the_hand_is_where_it_is_seen_after_half_a_second(says_camera, caplog):
    desk = Desk()
    desk.step()
    desk.grasp()
    desk.camera_m = Desk.camera_m if says_camera else None
    up = joints(*AT, 0.1, 15.6)
    desk.objects, desk.hidden = told((0.1, -0.28)), {}
    early = desk.step(up, [*up[:5], 8.0], n=8)
    late = desk.step(up, [*up[:5], 8.0], n=12)

    assert early.value[2] > 0.09
    assert (late.value[2] < 0.02) == says_camera
    assert ("slipped out of the hand" in caplog.text) == says_camera


def test_what_is_hidden_stays_for_a_while_and_then_grows_old():
    desk = Desk()
    desk.step()
    desk.hidden = {"cube": 0.0}
    desk.t_s += HIDDEN_S - 0.1
    fresh = desk.step()
    desk.t_s += 1.0
    old = desk.step()

    assert fresh.t_s == desk.t_s - 1.0 - 1 / 30
    assert 0.8 < desk.t_s - old.t_s < 1.1
    np.testing.assert_array_equal(old.value, told(AT))


def test_what_stands_still_may_be_hidden_for_longer():
    desk = Desk()
    desk.step()
    desk.hidden = {"bin": 0.0}
    desk.t_s += STANDING_S - 1.0
    assert desk.step().t_s == desk.t_s
    desk.t_s += 3.0

    assert desk.step().t_s < desk.t_s - 1.0


def test_a_thing_that_was_hidden_when_the_run_began_is_as_old_as_the_tracker_says():
    desk = Desk()
    desk.hidden = {"cube": HIDDEN_S + 2.0}

    assert desk.t_s - desk.step().t_s == pytest.approx(2.0, abs=0.1)


def test_a_tracker_that_follows_everything_itself_is_believed():
    desk = Desk()
    desk.hidden = None
    desk.step()
    q = joints(*AT, 0.013, 15.6)
    desk.step(q, [*q[:5], 8.0], n=3)
    desk.objects = told((0.0, -0.25), z=0.2)

    np.testing.assert_array_equal(desk.step(q, [*q[:5], 8.0]).value, told((0.0, -0.25), z=0.2))


def test_a_task_that_pushes_is_tracked_as_well(tmp_path):
    task = find("push")
    file = tmp_path / "objects.json"
    file.write_text(json.dumps({"objects": [0.0, -0.2, 0.0125, 1.0, 0.0, 0.1, -0.2], "hidden": {"cube": 0.5}}))
    source = sensor(task, file, ())
    source.update(joints(*AT, 0.1, 15.6), joints(*AT, 0.1, 15.6))

    np.testing.assert_allclose(source.read().value[:2], [0.0, -0.2])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"hidden": ["cube"]}, '"hidden" is .* names things of cube, bin'),
        ({"hidden": {"mug": 1.0}}, '"hidden" is'),
        ({"hidden": {"cube": -1.0}}, '"hidden" is'),
        ({"hidden": {"cube": True}}, '"hidden" is'),
        ({"camera": [1, 2]}, '"camera" is .* x, y and z'),
    ],
)
def test_a_file_that_says_nonsense_of_what_it_sees_is_not_believed(tmp_path, more, message):
    path = tmp_path / "objects.json"
    path.write_text(json.dumps({"objects": told(AT).tolist(), **more}))
    with pytest.raises(ObservationError, match=message):
        FileObjects(TASK, path).read()
