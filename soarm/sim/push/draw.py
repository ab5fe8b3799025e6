"""How a scene of the push is drawn, and written into MuJoCo's data."""

from __future__ import annotations

import math
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm import kinematics
from soarm.errors import ParamsError
from soarm.sim.cubes import write_cube
from soarm.sim.draw import draw_apart, draw_physics, draw_pose, draw_yaw
from soarm.sim.push.params import PushParams, PushTaskParams
from soarm.sim.task import Physics

BEHIND_M = 0.035
"""From the cube's middle to where the fingers come down behind it, whatever its yaw."""


class PushScene(NamedTuple):
    """A drawn start.

    Attributes:
        qpos: Shape (6,), the arm [rad].
        cube_xy: Shape (2,) [m].
        cube_yaw: [rad].
        square_xy: Shape (2,), the square's middle [m].
        physics: What was drawn of `CubePhysics`.
    """

    qpos: NDArray[np.float64]
    cube_xy: NDArray[np.float64]
    cube_yaw: float
    square_xy: NDArray[np.float64]
    physics: Physics


def draw(rng: np.random.Generator, params: PushParams) -> PushScene:
    """Draw a scene: pose, yaw, cube and square until the push is feasible, physics."""
    task = params.task
    qpos, cube_yaw = draw_pose(rng, task), draw_yaw(rng)
    for _ in range(1000):
        cube_xy, square_xy = draw_apart(rng, task)
        if is_feasible(task, cube_xy, square_xy):
            return PushScene(qpos, cube_xy, cube_yaw, square_xy, draw_physics(rng, params.physics))
    raise ParamsError(
        f"no push of at most {task.longest_m} m in the ranges of sim.task begins with the fingers inside reach_m "
        f"({list(task.reach_m)}); raise longest_m or widen reach_m"
    )


def is_feasible(task: PushTaskParams, cube_xy: NDArray[np.float64], square_xy: NDArray[np.float64]) -> bool:
    """Whether a push is short enough and begins where the fingers get to, behind the cube."""
    length = math.dist(cube_xy, square_xy)
    behind_xy = cube_xy - BEHIND_M / length * (square_xy - cube_xy)
    nearest, farthest = task.reach_m
    return length <= task.longest_m and nearest <= math.dist(behind_xy, kinematics.SHOULDER_XY_M) <= farthest


def write(data: mujoco.MjData, scene: PushScene) -> None:
    """Write where cube and square are."""
    write_cube(data, 0, scene.cube_xy, scene.cube_yaw, scene.physics)
    data.mocap_pos[0] = (scene.square_xy[0], scene.square_xy[1], 0.0)
