"""How a scene of stack is drawn, and written into MuJoCo's data."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.sim.cubes import write_cube
from soarm.sim.draw import draw_apart, draw_physics, draw_pose, draw_yaw
from soarm.sim.stack.params import StackParams
from soarm.sim.task import Physics


class StackScene(NamedTuple):
    """A drawn start.

    Attributes:
        qpos: Shape (6,), the arm [rad].
        cube_xy: Shape (2,), the cube that is to be put down [m].
        cube_yaw: [rad].
        base_xy: Shape (2,), the lower cube [m].
        base_yaw: [rad].
        physics: What was drawn of `CubePhysics`.
    """

    qpos: NDArray[np.float64]
    cube_xy: NDArray[np.float64]
    cube_yaw: float
    base_xy: NDArray[np.float64]
    base_yaw: float
    physics: Physics


def draw(rng: np.random.Generator, params: StackParams) -> StackScene:
    """Draw a scene: pose, yaws, both cubes until they are apart, physics."""
    qpos, cube_yaw, base_yaw = draw_pose(rng, params.task), draw_yaw(rng), draw_yaw(rng)
    cube_xy, base_xy = draw_apart(rng, params.task)
    return StackScene(qpos, cube_xy, cube_yaw, base_xy, base_yaw, draw_physics(rng, params.physics))


def write(data: mujoco.MjData, scene: StackScene) -> None:
    """Write where the cubes are."""
    write_cube(data, 0, scene.cube_xy, scene.cube_yaw, scene.physics)
    write_cube(data, 1, scene.base_xy, scene.base_yaw, scene.physics)
