"""What holds for the robot's side of every task of soarm/tasks: where its scenes lie can be, and the robot sees success."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from soarm import params as params_file
from soarm.recording import RecordParams
from soarm.runtime.carried import CarriedObjects
from soarm.runtime.drive import DriveConfig, success_monitor
from soarm.runtime.objects import CalledObjects, measured, on_the_table
from soarm.runtime.plausible import require_plausible
from soarm.runtime.sensors import Stamped
from soarm.runtime.standing import boxes
from soarm.runtime.success import SuccessMonitor
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.registry import TASKS

PARAMS_FILE = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture(params=TASKS)
def loaded(request):
    return params_file.load(PARAMS_FILE, request.param)


def test_what_the_simulator_draws_can_be_and_stands_on_the_table(loaded):
    env = SimEnv(loaded.section("sim", SimParams))
    task = env.params.sim_task.task
    for seed in range(20):
        objects = env.reset(seed=seed)[0][ENVIRONMENT_STATE]
        require_plausible(task, objects, "scene")
        for box, thing in zip(boxes(task, objects), [one for one in task.things if one.height_m], strict=True):
            assert box.height_m == pytest.approx(thing.height_m, abs=1e-3)


def test_the_robot_says_that_a_task_is_done_when_the_simulator_does(loaded):
    env = SimEnv(loaded.section("sim", SimParams))
    task, hold_s = env.params.sim_task.task, env.params.task.success_hold_s
    for seed in range(2):
        seen, _ = env.reset(seed=seed)
        expert = env.params.sim_task.expert(loaded.section("record", RecordParams).expert.noiseless(), env.params.control_hz)
        expert.reset(seed)
        monitor, said_s, done = SuccessMonitor(task, hold_s), None, False
        for i in range(300):
            if said_s is None and monitor.reached(Stamped(i / 30, seen[ENVIRONMENT_STATE]), seen[STATE]):
                said_s = i / 30
            if done or said_s is not None:
                break
            seen, _, done, _, _ = env.step(expert.act(seen))

        assert done or said_s is not None
        for _ in range(12):
            i += 1
            seen, _, over, _, _ = env.step(expert.act(seen))
            done = done or over
            said_s = said_s or (i / 30 if monitor.reached(Stamped(i / 30, seen[ENVIRONMENT_STATE]), seen[STATE]) else None)
        assert done, "the simulator says so at most 0.4 s later"
        assert said_s is not None, "the robot says so at most 0.4 s later"


def test_things_of_one_name_are_measured_alike(loaded):
    task = TASKS[loaded.task]
    for thing in task.things:
        for other in TASKS.values():
            assert all(measured(other, one) == measured(task, thing) for one in other.things if one.name == thing.name)

    assert np.isfinite(on_the_table(task, {thing.name: (0.0, -0.2, 0.0) for thing in task.things})).all()


def test_what_may_fall_off_unseen_tells_of_no_success(loaded, caplog):
    task = TASKS[loaded.task]
    if task.goal.thing not in [thing.name for thing in task.things if thing.grip is not None]:
        pytest.skip("the hand cannot follow it")
    bundle = SimpleNamespace(task=task, training_arm=SimpleNamespace(success_hold_s=0.3))
    by_ruler = CarriedObjects(
        task, on_the_table(task, {thing.name: (0.1 * i, -0.2, 0.0) for i, thing in enumerate(task.things)})
    )
    seen = CalledObjects(task, lambda: by_ruler.read().value)
    unwalled = any(thing.surface is not None and not thing.surface.walled for thing in task.things)

    assert success_monitor(DriveConfig(bundle, "base", {ENVIRONMENT_STATE: seen}, 1.0)) is not None
    assert (success_monitor(DriveConfig(bundle, "base", {ENVIRONMENT_STATE: by_ruler}, 1.0)) is None) == unwalled
    assert ("nobody sees it" in caplog.text) == unwalled
