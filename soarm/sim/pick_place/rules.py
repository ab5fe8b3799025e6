"""How far a pick and place is, and what its bodies tell of themselves; over floats and arrays alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm.sim import cubes
from soarm.sim.cubes import AT_REST2, CUBE_HALF_M
from soarm.sim.task import Number, Ops, Progress, StateView
from soarm.tasks.pick_place.things import INSIDE_HEIGHT_M, INSIDE_M

INSIDE2_M2 = INSIDE_M**2


class TaskState(NamedTuple):
    """What progress is evaluated on, floats or arrays of a row each: positions [m], velocity [m/s], touches (found or not)."""

    cube: Sequence[Number]
    cube_velocity: Sequence[Number]
    tcp: Sequence[Number]
    bin: Sequence[Number]
    gripper_touch: Number
    jaw_touch: Number


def state(view: StateView) -> TaskState:
    """Return what progress is evaluated on; the bin is the first mocap body."""
    return TaskState(cubes.position(view, 0), cubes.velocity(view, 0), view.tcp, view.mocap[0][:2], *view.sensors[:2])


def objects(view: StateView) -> list[Number]:
    """Return cube and bin in the order of the task's objects feature."""
    return [*cubes.pose(view, 0), *view.mocap[0][:2]]


def evaluate_progress(ops: Ops, seen: TaskState) -> Progress:
    """Return how far things are. Where the cube lies in the bin, everything that led there counts as done."""
    cx, cy, cz = seen.cube
    vx, vy, vz = seen.cube_velocity
    tx, ty, tz = seen.tcp
    bx, by = seen.bin
    dx, dy, dz = cx - tx, cy - ty, cz - tz
    to_cube2 = dx * dx + dy * dy + dz * dz
    ox, oy = cx - bx, cy - by
    height = cz - CUBE_HALF_M
    gripper_touch, jaw_touch = seen.gripper_touch > 0, seen.jaw_touch > 0
    holding = gripper_touch & jaw_touch
    over = (ox * ox < INSIDE2_M2) & (oy * oy < INSIDE2_M2)
    inside = over & (cz < INSIDE_HEIGHT_M)
    placed = inside & ((gripper_touch | jaw_touch) == 0)
    done = placed & (vx * vx + vy * vy + vz * vz < AT_REST2)
    potentials, stage = cubes.carrying(ops, to_cube2, (ox * ox, oy * oy), height, holding, over, inside)
    return Progress((*potentials, placed * 1.0), ops.maximum(stage, done * 5), done, (cx, cy), {"holding": holding})
