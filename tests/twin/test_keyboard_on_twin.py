"""Keys that are held for seconds, from the pose in which each session begins: no servo is overloaded."""

from __future__ import annotations

import numpy as np
import pytest

from soarm import kinematics
from soarm.hardware.config import DEFAULT, ArmConfig
from soarm.hardware.registers import Status
from soarm.runtime.objects import CalledObjects
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.pick_place import TASK
from soarm.teleop import arms
from soarm.teleop.keyboard import HeldKeys, Keyboard

HZ = 30
CONFIG = ArmConfig(timeout_s=1.0, park_speed=300.0)
FALLEN = "fallen"


def held_down(make_twin, keys, seconds, start):
    """Hold keys and return how far the gripper point went [m], and the greatest load of a joint [%]."""
    twin = make_twin(servo_model="sts3215", hand=start is not FALLEN)
    if start is FALLEN:
        with twin._lock:
            twin._simulated.step(1500)  # limp, as it is at power-up
    else:
        twin._emulators[0].hand.pose = lambda: np.asarray(start)
    clock, loads = [0.0], []
    held = HeldKeys(lambda: clock[0])
    board = Keyboard(held, HZ)
    sensors = {ENVIRONMENT_STATE: CalledObjects(TASK, twin.objects)}
    with arms.follower(twin.ports[0], twin.config.calibration, CONFIG, TASK, sensors, HZ, deadman=False) as follower:
        follower.reset(0)
        first = follower.observe()
        board.start(first)
        for i in range(int(seconds * HZ)):
            clock[0] = i / HZ
            held.hear(keys)
            seen = follower.observe()
            follower.act(board.action(seen))
            loads.append([abs(servo.get("present_load")) / 10 for servo in twin.servos.values()])
            assert not any(servo.get("status") & Status.OVERLOAD for servo in twin.servos.values())
        follower.stop()
    way = kinematics.forward(seen[STATE])[0] - kinematics.forward(first[STATE])[0]
    return way, np.max(loads)


@pytest.mark.parametrize(
    ("keys", "start", "seconds"),
    [("w", FALLEN, 2.6), ("k", FALLEN, 2.6), ("wf", DEFAULT.park, 2.6), ("a", DEFAULT.park, 3.4)],
    ids=["w, fallen", "k, fallen", "wf, parked", "a, parked"],
)
def test_no_key_that_is_held_overloads_a_servo(make_twin, keys, start, seconds):
    _, load = held_down(make_twin, keys, seconds, start)

    assert load < 80.0


@pytest.mark.slow
@pytest.mark.parametrize("start", [DEFAULT.park, FALLEN], ids=["parked", "fallen"])
@pytest.mark.parametrize("keys", ["w", "s", "a", "d", "r", "f", "i", "k", "j", "l", "wf", "sf", "wr", "ak", "df"])
def test_no_key_or_pair_of_keys_overloads_a_servo_in_8_seconds(make_twin, keys, start):
    held_down(make_twin, keys, 8.0, start)  # a finger that rolls on the table levers the base aside for a moment, at full load


def test_the_arm_still_goes_where_it_is_sent(make_twin):
    way, _ = held_down(make_twin, "w", 1.5, DEFAULT.park)

    assert way[1] < -0.1
    assert abs(way[0]) < 0.01
