"""How a scene of pick and place is drawn, and written into MuJoCo's data."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.errors import ParamsError
from soarm.sim.draw import draw_physics, draw_place, draw_pose
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.tasks.pick_place.things import CUBE_HALF_M

FIELDS = {"cube_friction": ("geom_friction",), "cube_mass_kg": ("body_mass", "body_inertia")}
"""Physics parameter of the cube -> the model fields it is written to."""


class PickPlaceScene(NamedTuple):
    """A drawn start.

    Attributes:
        qpos: Shape (6,), the arm [rad].
        cube_xy: Shape (2,) [m].
        cube_yaw: [rad].
        bin_xy: Shape (2,) [m].
        physics: `PickPlacePhysics` field -> value.
    """

    qpos: NDArray[np.float64]
    cube_xy: NDArray[np.float64]
    cube_yaw: float
    bin_xy: NDArray[np.float64]
    physics: dict[str, float]


def draw(rng: np.random.Generator, params: PickPlaceParams) -> PickPlaceScene:
    """Draw a scene: pose, yaw, cube and bin until they are apart, physics."""
    task = params.task
    qpos = draw_pose(rng, task)
    cube_yaw = float(rng.uniform(-math.pi, math.pi))
    for _ in range(1000):
        cube_xy = draw_place(rng, task.cube_radius_m, task.cube_angle_deg)
        bin_xy = draw_place(rng, task.bin_radius_m, task.bin_angle_deg)
        if math.dist(cube_xy, bin_xy) >= task.clearance_m:
            break
    else:
        raise ParamsError(f"no room for cube and bin {task.clearance_m} m apart in the ranges of sim.task; lower clearance_m")
    return PickPlaceScene(qpos, cube_xy, cube_yaw, bin_xy, draw_physics(rng, params.physics))


def write(data: mujoco.MjData, scene: PickPlaceScene) -> None:
    """Write where cube and bin are."""
    data.qpos[6:8] = scene.cube_xy
    data.qpos[8] = CUBE_HALF_M
    data.qpos[9:13] = (math.cos(scene.cube_yaw / 2), 0.0, 0.0, math.sin(scene.cube_yaw / 2))
    data.mocap_pos[0] = (scene.bin_xy[0], scene.bin_xy[1], 0.0)


def write_physics(model: mujoco.MjModel, fields: Mapping[str, NDArray[np.float64]], physics: Mapping[str, float]) -> None:
    """Write friction and mass of the cube into those model fields that `fields` holds, as views."""
    if "geom_friction" in fields:
        fields["geom_friction"][model.geom("cube").id, 0] = physics["cube_friction"]
    if "body_mass" in fields:
        mass, cube = physics["cube_mass_kg"], model.body("cube").id
        fields["body_mass"][cube] = mass
        fields["body_inertia"][cube] = mass * (2 * CUBE_HALF_M) ** 2 / 6
