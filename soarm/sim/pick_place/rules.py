"""How far a pick and place is, and what its bodies tell of themselves; over floats and arrays alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from soarm.sim.task import Number, Ops, Progress, StateView
from soarm.tasks.pick_place.things import CUBE_HALF_M, INSIDE_HEIGHT_M, INSIDE_M

REACHED2_M2 = 0.03**2
"""Gripper point within 30 mm of the cube's centre: reached (squared)."""
LIFTED_M = 0.02
"""Cube this high above the table, held: lifted."""
LIFT_FULL_M = 0.05
"""Height at which the lift potential is full."""
LENGTH2_M2 = 0.1**2
"""Distance at which the reach and transport potentials are one half: 0.1 m (squared)."""
AT_REST2 = 0.03**2
"""A cube slower than 0.03 m/s is at rest (squared)."""
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
    """Return what progress is evaluated on: the cube's free joint follows the arm, the bin is the first mocap body."""
    return TaskState(view.qpos[6:9], view.qvel[6:9], view.tcp, view.mocap[0][:2], view.sensors[0], view.sensors[1])


def objects(view: StateView) -> list[Number]:
    """Return cube and bin in the order of the task's objects feature."""
    return [*view.qpos[6:9], *yaw4(view.qpos[9:13]), *view.mocap[0][:2]]


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
    lifted = holding & (height > LIFTED_M)
    held, in_bin = (holding | inside) * 1.0, inside * 1.0
    maximum = ops.maximum
    potentials = (
        maximum(LENGTH2_M2 / (LENGTH2_M2 + to_cube2), in_bin),
        held,
        maximum(ops.minimum(maximum(height / LIFT_FULL_M, 0.0), 1.0) * held, in_bin),
        maximum(LENGTH2_M2 / (LENGTH2_M2 + ox * ox + oy * oy) * held, in_bin),
        placed * 1.0,
    )
    stage = maximum((to_cube2 < REACHED2_M2) * 1, holding * 2, lifted * 3, (lifted & over) * 4, done * 5)
    return Progress(potentials, stage, done, (cx, cy), {"holding": holding})


def yaw4(quat: Sequence[Number]) -> tuple[Number, Number]:
    """Return cosine and sine of four times a cube's yaw, averaged over its axes: the same for orientations that look the same.

    Each axis, seen from above as a complex number, is raised to the fourth power; a cube that lies flat gives (cos 4 yaw,
    sin 4 yaw), a tilted one something shorter.
    """
    w, x, y, z = quat
    columns = (
        (1 - 2 * (y * y + z * z), 2 * (x * y + w * z)),
        (2 * (x * y - w * z), 1 - 2 * (x * x + z * z)),
        (2 * (x * z + w * y), 2 * (y * z - w * x)),
    )
    real, imaginary = 0.0, 0.0
    for a, b in columns:
        p, q = a * a - b * b, 2 * a * b
        real, imaginary = real + (p * p - q * q), imaginary + 2 * p * q
    return real / 2, imaginary / 2
