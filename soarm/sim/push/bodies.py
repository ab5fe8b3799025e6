"""The marked square as a MuJoCo body, beside the cube."""

from __future__ import annotations

import mujoco

from soarm.sim.cubes import add_cube, add_touch_sensors
from soarm.sim.push.params import PushParams
from soarm.tasks.push.things import SQUARE_HALF_M

_THICK_M = 0.0002


def add_to(spec: mujoco.MjSpec, params: PushParams) -> None:
    """Add the cube, the mark, which nothing touches, and one touch sensor per finger."""
    add_cube(spec, "cube", params.physics, params.widest_physics["cube_edge_m"][1])
    spec.geom("cube").priority = 1  # MuJoCo takes the cube's friction on the table and at the fingers, not the larger of two
    square = spec.worldbody.add_body(name="square", pos=[0.1, -0.2, 0.0], mocap=True)
    square.add_geom(
        name="square",
        type=mujoco.mjtGeom.mjGEOM_BOX,
        pos=[0.0, 0.0, _THICK_M],
        size=[SQUARE_HALF_M, SQUARE_HALF_M, _THICK_M],
        rgba=[0.36, 0.70, 0.46, 1],
        contype=0,
        conaffinity=0,
    )
    add_touch_sensors(spec, "cube")
