"""How a scene of pick and place is drawn, and written into MuJoCo's data."""

from __future__ import annotations

from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.sim.cubes import write_cube
from soarm.sim.draw import draw_apart, draw_physics, draw_pose, draw_yaw
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.sim.task import Physics


class PickPlaceScene(NamedTuple):
    """A drawn start.

    Attributes:
        qpos: Shape (6,), the arm [rad].
        cube_xy: Shape (2,) [m].
        cube_yaw: [rad].
        bin_xy: Shape (2,) [m].
        physics: What was drawn of `CubePhysics`.
    """

    qpos: NDArray[np.float64]
    cube_xy: NDArray[np.float64]
    cube_yaw: float
    bin_xy: NDArray[np.float64]
    physics: Physics


def draw(rng: np.random.Generator, params: PickPlaceParams) -> PickPlaceScene:
    """Draw a scene: pose, yaw, cube and bin until they are apart, physics."""
    qpos, cube_yaw = draw_pose(rng, params.task), draw_yaw(rng)
    cube_xy, bin_xy = draw_apart(rng, params.task)
    return PickPlaceScene(qpos, cube_xy, cube_yaw, bin_xy, draw_physics(rng, params.physics))


def write(data: mujoco.MjData, scene: PickPlaceScene) -> None:
    """Write where cube and bin are."""
    write_cube(data, 0, scene.cube_xy, scene.cube_yaw, scene.physics)
    data.mocap_pos[0] = (scene.bin_xy[0], scene.bin_xy[1], 0.0)
