"""How far a push is, and what its bodies tell of themselves; over floats and arrays alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm import kinematics
from soarm.sim import cubes
from soarm.sim.cubes import AT_REST2, CUBE_HALF_M
from soarm.sim.task import Number, Ops, Progress, StateView
from soarm.tasks.push.things import INSIDE_M, LIFTED_M

REACHED2_M2 = 0.05**2
"""Gripper point within 50 mm of the cube's middle, as it is behind the cube: reached (squared)."""
NEAR2_M2 = 0.04**2
"""Cube's middle within 40 mm of the square's: near (squared)."""
_AXIS_X, _AXIS_Y = kinematics.SHOULDER_XY_M.tolist()


class PushState(NamedTuple):
    """What progress is evaluated on, floats or arrays of a row each: positions [m], velocity [m/s], touches (found or not)."""

    cube: Sequence[Number]
    cube_velocity: Sequence[Number]
    tcp: Sequence[Number]
    square: Sequence[Number]
    gripper_touch: Number
    jaw_touch: Number


def state(view: StateView) -> PushState:
    """Return what progress is evaluated on: the square is the first mocap body."""
    return PushState(
        cubes.position(view, 0), cubes.velocity(view, 0), view.tcp, view.mocap[0][:2], view.sensors[0], view.sensors[1]
    )


def objects(view: StateView) -> list[Number]:
    """Return cube and square in the order of the task's objects feature."""
    return [*cubes.pose(view, 0), *view.mocap[0][:2]]


def evaluate_progress(ops: Ops, seen: PushState) -> Progress:
    """Return how far things are.

    A lifted cube is neither near nor inside, wherever it is carried. One that is laid down in the square counts as one that
    was pushed there: only the present state is known.
    """
    cx, cy, cz = seen.cube
    vx, vy, vz = seen.cube_velocity
    tx, ty, tz = seen.tcp
    dx, dy, dz = cx - tx, cy - ty, cz - tz
    ox, oy = cx - seen.square[0], cy - seen.square[1]
    ax, ay = cx - _AXIS_X, cy - _AXIS_Y
    dx2, dy2, dz2, ox2, oy2 = dx * dx, dy * dy, dz * dz, ox * ox, oy * oy
    touching = (seen.gripper_touch > 0) | (seen.jaw_touch > 0)
    lifted = cz - CUBE_HALF_M > LIFTED_M
    on_table = lifted == 0
    inside = on_table & (ox2 < INSIDE_M * INSIDE_M) & (oy2 < INSIDE_M * INSIDE_M)
    done = inside & (touching == 0) & (vx * vx + vy * vy + vz * vz < AT_REST2)
    in_square, maximum = inside * 1.0, ops.maximum
    potentials = (
        maximum(cubes.nearness(dx2, dy2, dz2), in_square),
        (touching | inside) * 1.0,
        maximum(cubes.nearness(ox2, oy2) * on_table, in_square),
        done * 1.0,
    )
    reached, near = dx2 + dy2 + dz2 < REACHED2_M2, on_table & (ox2 + oy2 < NEAR2_M2)
    stage = maximum(reached * 1, touching * 2, near * 3, inside * 4, done * 5)
    info = {"touching": touching, "lifted": lifted, "inside": inside, "radius_m": ops.sqrt(ax * ax + ay * ay)}
    return Progress(potentials, stage, done, (cx, cy), info)
