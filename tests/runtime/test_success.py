from __future__ import annotations

import numpy as np
import pytest

from soarm import kinematics
from soarm.runtime.sensors import Stamped
from soarm.runtime.success import SuccessMonitor
from soarm.tasks.pick_place import TASK

HOME = np.array([0.0, 0.0, 5.0, 80.0, -80.0, 40.0])
CLOSED = np.array([0.0, 0.0, 5.0, 80.0, -80.0, 15.6])
BIN = np.array([0.15, -0.1])


def sights(cube, q, n=30, hz=30, bin_xy=BIN):
    """Return at which of n looks success is told, None for never."""
    task = SuccessMonitor(TASK, 0.3)
    for i in range(n):
        place = cube(i) if callable(cube) else cube
        objects = np.array([*place, 1.0, 0.0, *bin_xy], np.float32)
        if task.reached(Stamped(i / hz, objects), q):
            return i
    return None


def test_a_cube_that_lies_in_the_bin_for_long_enough_is_success():
    assert sights([0.16, -0.11, 0.0165], HOME) == 9


@pytest.mark.parametrize(
    "cube",
    [[0.19, -0.1, 0.0165], [0.15, -0.06, 0.0165], [0.15, -0.1, 0.05], [0.0, -0.2, 0.0125]],
    ids=["on the left rim", "on the back rim", "above the walls", "on the table"],
)
def test_a_cube_that_lies_elsewhere_is_none(cube):
    assert sights(cube, HOME) is None


def test_a_cube_that_rolls_is_none_until_it_rests_and_a_tracker_that_is_off_by_two_millimetres_does_not_hinder_it():
    rng = np.random.default_rng(0)

    assert sights(lambda i: [0.13 + 0.002 * min(i, 10), -0.1, 0.0165], HOME) > 15
    assert sights(lambda _: np.array([0.15, -0.1, 0.0165]) + rng.normal(size=3) * 0.001, HOME, n=60) is not None


def test_a_cube_in_the_hand_is_none_however_low_it_is_held_and_one_that_the_open_fingers_surround_is():
    tcp_m, _ = kinematics.forward(CLOSED)
    there = [*tcp_m[:2], 0.02]
    low = np.array([0.0, 25.0, 30.0, 60.0, -80.0, 15.6])
    tcp_m, _ = kinematics.forward(low)

    assert tcp_m[2] < 0.03
    assert sights(tcp_m, low, bin_xy=tcp_m[:2]) is None
    assert sights(tcp_m, np.array([*low[:5], 40.0]), bin_xy=tcp_m[:2]) == 9
    assert sights(there, CLOSED, bin_xy=there[:2]) == 9, "the hand is above"


def test_looks_at_a_sight_that_does_not_change_are_no_time():
    task = SuccessMonitor(TASK, 0.3)
    reading = Stamped(1.0, np.array([0.15, -0.1, 0.0165, 1.0, 0.0, *BIN], np.float32))

    assert not any(task.reached(reading, HOME) for _ in range(100))
