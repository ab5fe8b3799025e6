"""The environment of push; what holds for every task is in `test_every_task.py`."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from soarm import params as params_file
from soarm.errors import ParamsError
from soarm.recording import RecordParams
from soarm.sim.cubes import CUBE_HALF_M
from soarm.sim.draw import draw_scene
from soarm.sim.env import SimEnv
from soarm.sim.params import SimParams
from soarm.sim.push.draw import is_feasible
from soarm.sim.push.expert import Phase, Pusher, PushExpertParams
from soarm.sim.push.params import PushParams
from soarm.sim.push.rules import PushState, evaluate_progress
from soarm.sim.task import ARRAYS, FLOATS, Progress
from soarm.tasks.push.stages import Stage
from soarm.tasks.push.things import INSIDE_M

Point = tuple[float, float, float]
SQUARE = (0.1, -0.2)
FAR = (0.0, -0.15, 0.1)


@pytest.fixture(scope="session")
def push() -> PushParams:
    """Return the parameters of the simulation."""
    return params_file.load(params_file.packaged(), "push").section("sim", SimParams)


@pytest.fixture(scope="session")
def steady() -> PushExpertParams:
    """Return a demonstrator that always moves alike."""
    return params_file.load(params_file.packaged(), "push").section("record", RecordParams).expert.noiseless()


def progress(cube: Point, tcp: Point = FAR, touch: int = 0, speed: float = 0.0) -> Progress:
    """Return how far things are, and hold floats against arrays on the way."""
    seen = PushState(cube, (speed, 0.0, 0.0), tcp, SQUARE, touch, 0)
    found = evaluate_progress(FLOATS, seen)
    rows = PushState(*([np.array([number]) for number in part] for part in seen[:4]), np.array([touch]), np.array([0]))
    many = evaluate_progress(ARRAYS, rows)

    assert [one[0] for one in (*many.potentials, many.stage, many.done)] == [*found.potentials, found.stage, found.done]
    assert {key: value[0] for key, value in many.info.items()} == found.info
    return found


def beside(dx: float, dy: float = 0.0, height: float = 0.0) -> Point:
    """Return a cube's middle that is off the square's."""
    return SQUARE[0] + dx, SQUARE[1] + dy, CUBE_HALF_M + height


@pytest.mark.parametrize(
    ("cube", "tcp", "touch", "speed", "stage"),
    [
        (beside(0.1), FAR, 0, 0.0, Stage.START),
        (beside(0.1), beside(0.14), 0, 0.0, Stage.REACH),
        (beside(0.1), FAR, 1, 0.0, Stage.TOUCH),
        (beside(0.03), FAR, 1, 0.0, Stage.NEAR),
        (beside(0.03, height=0.02), FAR, 1, 0.0, Stage.TOUCH),
        (beside(INSIDE_M - 1e-4), FAR, 1, 0.0, Stage.INSIDE),
        (beside(INSIDE_M - 1e-4, INSIDE_M + 1e-4), FAR, 0, 0.0, Stage.NEAR),
        (beside(0.0), FAR, 0, 0.1, Stage.INSIDE),
        (beside(0.0, height=0.02), FAR, 0, 0.0, Stage.START),
        (beside(0.0, height=0.005), FAR, 0, 0.0, Stage.REST),
    ],
)
def test_stages(cube: Point, tcp: Point, touch: int, speed: float, stage: Stage) -> None:
    found = progress(cube, tcp, touch, speed)

    assert found.stage == stage
    assert found.done == (stage == Stage.REST)
    assert found.info["inside"] == (stage >= Stage.INSIDE)
    assert found.info["touching"] == (touch == 1)


def test_potentials_rise_on_the_way_to_the_square_and_are_full_in_it() -> None:
    way = [
        progress(beside(0.1)),
        progress(beside(0.1), beside(0.12)),
        progress(beside(0.1), beside(0.12), touch=1),
        progress(beside(0.05), beside(0.07), touch=1),
        progress(beside(0.0)),
    ]
    sums = [sum(one.potentials) for one in way]

    assert (np.diff(sums) > 0).all()
    assert way[-1].potentials == (1.0, 1.0, 1.0, 1.0)
    assert progress(beside(0.0, height=0.03)).potentials[2:] == (0.0, 0.0)  # a lifted cube is not on its way


def test_every_scene_is_a_push_that_the_arm_can_do(push: PushParams) -> None:
    task = push.task
    for seed in range(50):
        scene = draw_scene(push, seed)

        assert task.clearance_m <= math.dist(scene.cube_xy, scene.square_xy) <= task.longest_m
        assert is_feasible(task, scene.cube_xy, scene.square_xy)
        assert np.array_equal(scene.qpos, draw_scene(push, seed).qpos)


def test_ranges_that_allow_no_push_are_refused(push: PushParams) -> None:
    none = dataclasses.replace(push, task=dataclasses.replace(push.task, reach_m=(0.3, 0.31)))

    with pytest.raises(ParamsError, match=r"inside reach_m \(\[0\.3, 0\.31\]\); raise longest_m or widen reach_m"):
        draw_scene(none, 0)


def test_a_cube_moved_aside_is_pushed_again_and_never_lifted(push: PushParams, steady: PushExpertParams) -> None:
    env, expert = SimEnv(push), Pusher(steady, push.control_hz)
    observation, info = env.reset(seed=3)
    phases: list[Phase | None] = []
    while not info["is_success"] and len(phases) < push.max_steps:
        if expert.phase is Phase.BACK and Phase.BACK not in phases:
            env.data.joint("cube").qpos[:2] += 0.03
        phases.append(expert.phase)
        observation, *_, info = env.step(expert.act(observation))

        assert not info["lifted"]
    assert info["is_success"]
    assert Phase.APPROACH in phases[phases.index(Phase.BACK) :]
