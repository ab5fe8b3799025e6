"""Pick and place: how a scene is drawn, how far an episode is, what it is rewarded for.

The arithmetic is written once, for floats (the single environment) and for arrays (the batched one) alike: `Ops` holds the few
functions that differ. Only +, -, *, / and square roots are used, which round alike in Python and NumPy, so both environments
give the same episodes to the bit.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm import arm, kinematics
from soarm.errors import ParamsError
from soarm.policy import clip_to_limits
from soarm.sim.params import SimParams
from soarm.sim.scene import BIN_HALF_M, BIN_WALL_HEIGHT_M, CUBE_HALF_M

Number = Any
"""A float, or an array of one float per row."""

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
INSIDE2_M2 = (BIN_HALF_M - 0.008) ** 2
"""A cube's centre this close to the bin's centre in x and in y lies inside, not on the rim (squared)."""
INSIDE_HEIGHT_M = BIN_WALL_HEIGHT_M - 0.01


class Ops(NamedTuple):
    """What differs between floats and arrays."""

    sqrt: Callable[[Number], Number]
    minimum: Callable[[Number, Number], Number]
    maximum: Callable[..., Number]


def _maximum_of_arrays(*values: Number) -> Number:
    return functools.reduce(np.maximum, values)


FLOATS = Ops(math.sqrt, min, max)
ARRAYS = Ops(np.sqrt, np.minimum, _maximum_of_arrays)


class Seen(NamedTuple):
    """What the task looks at, floats or arrays of one row each: positions [m], velocity [m/s], touches (found or not)."""

    cube: Sequence[Number]
    cube_velocity: Sequence[Number]
    tcp: Sequence[Number]
    bin: Sequence[Number]
    gripper_touch: Number
    jaw_touch: Number


class Progress(NamedTuple):
    """How far things are, from one look: five potentials in [0, 1], one per term of the task, and what they were made from."""

    potentials: tuple[Number, Number, Number, Number, Number]
    holding: Number
    stage: Number
    done: Number


def assess(ops: Ops, seen: Seen) -> Progress:
    """Measure progress; stages are numbered as in `soarm.tasks.pick_place.stages.Stage`.

    Where the cube lies in the bin, everything that led there counts as done.
    """
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
    return Progress(potentials, holding, stage, done)


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


class Scene(NamedTuple):
    """A drawn start: where everything is and how the physics differs from the mean.

    Attributes:
        qpos: Shape (6,), the arm [rad].
        cube_xy: Shape (2,) [m].
        cube_yaw: [rad].
        bin_xy: Shape (2,) [m].
        physics: `PhysicsParams` field -> value.
    """

    qpos: NDArray[np.float64]
    cube_xy: NDArray[np.float64]
    cube_yaw: float
    bin_xy: NDArray[np.float64]
    physics: dict[str, float]


def draw_scene(params: SimParams, seed: int) -> Scene:
    """Draw the scene of `seed`: the same scene for the same seed and parameters, whatever ran before."""
    rng = np.random.default_rng(seed)
    task = params.task
    jitter = np.asarray(task.home_jitter) * rng.uniform(-1.0, 1.0, arm.N_JOINTS)
    qpos = arm.to_radians(clip_to_limits(np.asarray(task.home) + jitter))
    cube_yaw = float(rng.uniform(-math.pi, math.pi))
    for _ in range(1000):
        cube_xy = _polar(rng, task.cube_radius_m, task.cube_angle_deg)
        bin_xy = _polar(rng, task.bin_radius_m, task.bin_angle_deg)
        if math.dist(cube_xy, bin_xy) >= task.clearance_m:
            break
    else:
        raise ParamsError(f"no room for cube and bin {task.clearance_m} m apart in the ranges of sim.task; lower clearance_m")
    ranges = vars(params.physics)
    physics = {
        name: float(rng.uniform(*ranges[name])) if ranges[name][0] < ranges[name][1] else ranges[name][0] for name in ranges
    }
    return Scene(qpos, cube_xy, cube_yaw, bin_xy, physics)


def _polar(rng: np.random.Generator, radius_m: tuple[float, float], angle_deg: tuple[float, float]) -> NDArray[np.float64]:
    """Draw a point evenly over a sector around the shoulder's axis."""
    radius = math.sqrt(rng.uniform(radius_m[0] ** 2, radius_m[1] ** 2))
    angle = math.radians(rng.uniform(*angle_deg))
    axis = kinematics.CHAIN[0][0]
    return np.array([axis[0] - radius * math.sin(angle), axis[1] - radius * math.cos(angle)])
