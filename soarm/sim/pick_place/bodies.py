"""The bin as a MuJoCo body, beside the cube."""

from __future__ import annotations

import mujoco

from soarm.sim.cubes import add_cube, add_touch_sensors
from soarm.sim.pick_place.params import PickPlaceParams
from soarm.sim.scene import ARM_BIT, OBJECT_BIT
from soarm.tasks.pick_place.things import BIN_HALF_M, BIN_WALL_HEIGHT_M, BIN_WALL_M


def add_to(spec: mujoco.MjSpec, params: PickPlaceParams) -> None:
    """Add cube, bin and one touch sensor per finger."""
    add_cube(spec, "cube", params.physics, params.widest_physics["cube_edge_m"][1])
    _add_bin(spec)
    add_touch_sensors(spec, "cube")


def _add_bin(spec: mujoco.MjSpec) -> None:
    body = spec.worldbody.add_body(name="bin", pos=[0.2, -0.2, 0], mocap=True)
    inner, thick, height = BIN_HALF_M, BIN_WALL_M / 2, BIN_WALL_HEIGHT_M / 2
    walls = [("floor", [0, 0, thick], [inner, inner, thick])]
    for name, x, y in (("left", -1, 0), ("right", 1, 0), ("back", 0, 1), ("front", 0, -1)):
        size = [thick if x else inner + 2 * thick, thick if y else inner + 2 * thick, height]
        walls.append((name, [x * (inner + thick), y * (inner + thick), height], size))
    for name, pos, size in walls:
        body.add_geom(
            name=f"bin_{name}",
            type=mujoco.mjtGeom.mjGEOM_BOX,
            pos=pos,
            size=size,
            rgba=[0.36, 0.70, 0.46, 1],
            contype=OBJECT_BIT,
            conaffinity=OBJECT_BIT | ARM_BIT,
        )
