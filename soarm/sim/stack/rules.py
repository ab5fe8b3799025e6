"""How far a stacking is; over floats and arrays alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm.sim import cubes
from soarm.sim.cubes import AT_REST2, CUBE_HALF_M
from soarm.sim.task import Number, Ops, Progress, StateView
from soarm.tasks.stack.things import ON_TOP_M

ON_TOP2_M2 = ON_TOP_M**2
"""A cube's centre this close to the base's, seen from above, can rest on it (squared)."""
HEIGHT_ERROR_M = 0.003
"""A cube lies flat on the base, and the base on the table, when its centre is no further from where it then is in height."""


class StackState(NamedTuple):
    """What progress is evaluated on, floats or arrays of a row each: positions [m], velocities [m/s], touches (found or not).

    The base is the lower cube; its body is `base_cube`, because the arm has a base as well.
    """

    cube: Sequence[Number]
    cube_velocity: Sequence[Number]
    base: Sequence[Number]
    base_velocity: Sequence[Number]
    tcp: Sequence[Number]
    gripper_touch: Number
    jaw_touch: Number


def state(view: StateView) -> StackState:
    """Return what progress is evaluated on."""
    moving = (cubes.position(view, 0), cubes.velocity(view, 0), cubes.position(view, 1), cubes.velocity(view, 1))
    return StackState(*moving, view.tcp, *view.sensors[:2])


def objects(view: StateView) -> list[Number]:
    """Return both cubes in the order of the task's objects feature."""
    return [*cubes.pose(view, 0), *cubes.pose(view, 1)]


def evaluate_progress(ops: Ops, seen: StackState) -> Progress:
    """Return how far things are. Where the cube lies on the base, everything that led there counts as done."""
    (cx, cy, cz), (bx, by, bz) = seen.cube, seen.base
    (cu, cv, cw), (bu, bv, bw) = seen.cube_velocity, seen.base_velocity
    tx, ty, tz = seen.tcp
    dx, dy, dz = cx - tx, cy - ty, cz - tz
    to_cube2 = dx * dx + dy * dy + dz * dz
    ox, oy = cx - bx, cy - by
    height, gap = cz - CUBE_HALF_M, cz - bz - 2 * CUBE_HALF_M  # above the table, above the base
    tilt = bz - CUBE_HALF_M  # the centre of a cube that stands on an edge is higher
    gripper_touch, jaw_touch = seen.gripper_touch > 0, seen.jaw_touch > 0
    holding = gripper_touch & jaw_touch
    over = (ox * ox + oy * oy < ON_TOP2_M2) & (gap > -HEIGHT_ERROR_M)
    on_base = over & (gap < HEIGHT_ERROR_M) & (tilt * tilt < HEIGHT_ERROR_M * HEIGHT_ERROR_M)
    placed = on_base & ((gripper_touch | jaw_touch) == 0)
    at_rest = (cu * cu + cv * cv + cw * cw < AT_REST2) & (bu * bu + bv * bv + bw * bw < AT_REST2)
    done = placed & at_rest
    potentials, stage = cubes.carrying(ops, to_cube2, (ox * ox, oy * oy), height, holding, over, on_base)
    stage, info = ops.maximum(stage, done * 5), {"holding": holding, "on_base": on_base}
    return Progress((*potentials, placed * 1.0), stage, done, (cx, cy), info)
