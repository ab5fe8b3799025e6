"""Free 25 mm cubes: bodies, touch sensors, physics, where they are; for every task that moves one.

The free joints of the cubes follow the arm in the order in which a task adds them, so that cube `i` is the i-th of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm
from soarm.quantities import LOW_HIGH, within
from soarm.sim.params import PhysicsParams, PhysicsRange
from soarm.sim.scene import ARM_BIT, OBJECT_BIT
from soarm.sim.task import Number, Ops, Physics, StateView
from soarm.tasks import tabletop

CUBE_HALF_M = tabletop.CUBE_HALF_M
"""Half the edge of a cube."""
REACHED2_M2 = 0.03**2
"""Gripper point within 30 mm of a cube's centre: reached (squared)."""
LIFTED_M = 0.02
"""A cube this high above the table, held: lifted."""
LIFT_FULL_M = 0.05
"""Height at which the lift potential is full."""
LENGTH2_M2 = 0.1**2
"""Distance at which a potential of nearness is one half: 0.1 m (squared)."""
AT_REST2 = 0.03**2
"""A cube slower than 0.03 m/s is at rest (squared)."""
BLUE = (0.13, 0.44, 0.92, 1.0)
"""Colour of a cube that is to be moved."""
FIELDS = {
    "cube_friction": ("geom_friction",),
    "cube_mass_kg": ("body_mass", "body_inertia"),
    "cube_edge_m": ("geom_size", "body_inertia"),
}
"""Field of `CubePhysics` -> the model fields it is written to."""
_Edge = Annotated[float, within(least=0.015, most=0.035)]


EdgeRange = Annotated[tuple[_Edge, _Edge], LOW_HIGH]


@dataclasses.dataclass(frozen=True)
class CubePhysics(PhysicsParams):
    """What servos and cubes are made of; all cubes of a scene are alike.

    Attributes:
        cube_friction: Sliding friction of a cube [1].
        cube_mass_kg: Mass of a cube [kg]. A printed 25 mm cube weighs 0.016.
        cube_edge_m: Its edge [m]. Tasks, scripts and trackers take it for 25 mm whatever it is.
    """

    cube_friction: PhysicsRange
    cube_mass_kg: PhysicsRange
    cube_edge_m: EdgeRange


def add_cube(
    spec: mujoco.MjSpec,
    name: str,
    physics: CubePhysics,
    largest_m: float,
    rgba: tuple[float, float, float, float] = BLUE,
) -> None:
    """Add a cube with a free joint; both have the name.

    Args:
        spec: The scene.
        name: Of the cube.
        physics: Of cubes.
        largest_m: Largest edge that an episode may have [m]: its bounds in the broad phase stay when a scene writes less.
        rgba: Its colour.
    """
    cube = spec.worldbody.add_body(name=name, pos=[0, -0.25, CUBE_HALF_M])
    cube.add_freejoint(name=name)
    cube.add_geom(
        name=name,
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=[largest_m / 2] * 3,
        mass=sum(physics.cube_mass_kg) / 2,
        friction=[sum(physics.cube_friction) / 2, 0.005, 0.0001],
        rgba=rgba,
        contype=OBJECT_BIT,
        conaffinity=OBJECT_BIT | ARM_BIT,
    )


def add_touch_sensors(spec: mujoco.MjSpec, name: str) -> None:
    """Add one number per finger, first of the fixed jaw: how many of its contacts with a cube are found, at most one."""
    for finger in ("gripper", "jaw"):
        spec.add_sensor(
            name=f"{finger}_touch",
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_BODY,
            objname=name,
            reftype=mujoco.mjtObj.mjOBJ_BODY,
            refname=finger,
            intprm=[1, 0, 1],
        )


def write_cube(data: mujoco.MjData, i: int, xy: ArrayLike, yaw: float, physics: Physics) -> None:
    """Put cube `i` of a scene's physics flat on the table, at xy, shape (2,) [m], turned by yaw [rad]."""
    at = _first_of(i)
    data.qpos[at : at + 2] = xy
    data.qpos[at + 2] = physics["cube_edge_m"] / 2
    data.qpos[at + 3 : at + 7] = (math.cos(yaw / 2), 0.0, 0.0, math.sin(yaw / 2))


PhysicsWriter = Callable[[mujoco.MjModel, Mapping[str, NDArray[np.float64]], Physics], None]


def physics_writer(*names: str) -> PhysicsWriter:
    """Return `SimTask.write_physics` of a task with these cubes: it writes their friction, mass and size."""

    def write(model: mujoco.MjModel, fields: Mapping[str, NDArray[np.float64]], physics: Physics) -> None:
        if "geom_size" in fields:
            fields["geom_size"][[model.geom(name).id for name in names]] = physics["cube_edge_m"] / 2
        if "geom_friction" in fields:
            fields["geom_friction"][[model.geom(name).id for name in names], 0] = physics["cube_friction"]
        if "body_inertia" in fields:
            mass, bodies = physics["cube_mass_kg"], [model.body(name).id for name in names]
            if "body_mass" in fields:
                fields["body_mass"][bodies] = mass
            fields["body_inertia"][bodies] = mass * physics["cube_edge_m"] ** 2 / 6

    return write


def position(view: StateView, i: int) -> Sequence[Number]:
    """Return x, y, z of the centre of cube `i` [m]."""
    at = _first_of(i)
    return view.qpos[at : at + 3]


def velocity(view: StateView, i: int) -> Sequence[Number]:
    """Return the velocity of the centre of cube `i` [m/s]."""
    at = arm.N_JOINTS + 6 * i
    return view.qvel[at : at + 3]


def pose(view: StateView, i: int) -> list[Number]:
    """Return what the environment state tells of cube `i`: x, y, z [m], cosine and sine of four times its yaw."""
    at = _first_of(i)
    return [*view.qpos[at : at + 3], *yaw4(view.qpos[at + 3 : at + 7])]


def _first_of(i: int) -> int:
    return arm.N_JOINTS + 7 * i


def nearness(*squares_m2: Number) -> Number:
    """Return a potential that falls from 1 to 0 with a distance, one half at 0.1 m; of its squared parts [m^2]."""
    total = LENGTH2_M2
    for square in squares_m2:
        total = total + square
    return LENGTH2_M2 / total


def lift(ops: Ops, height_m: Number) -> Number:
    """Return a potential that grows from 0 on the table to 1 at `LIFT_FULL_M`."""
    return ops.minimum(ops.maximum(height_m / LIFT_FULL_M, 0.0), 1.0)


def carrying(
    ops: Ops, to_cube2: Number, away2_m2: tuple[Number, Number], height_m: Number, holding: Number, over: Number, there: Number
) -> tuple[tuple[Number, Number, Number, Number], Number]:
    """Return how far a cube is that is picked up and carried to a goal, all of it counting as done where it lies there.

    Args:
        ops: For floats or arrays.
        to_cube2: Squared distance of the gripper point from the cube [m^2].
        away2_m2: Squared distances of the cube from the goal in x and in y [m^2].
        height_m: Of the cube above the table [m].
        holding: Whether the gripper holds it.
        over: Whether it is over the goal.
        there: Whether it lies at the goal.

    Returns:
        Potentials of reaching, grasping, lifting and carrying it, and the stage: reached 1, held 2, lifted 3, over the goal 4.
    """
    maximum, lifted = ops.maximum, holding & (height_m > LIFTED_M)
    held, arrived = (holding | there) * 1.0, there * 1.0
    potentials = (
        maximum(nearness(to_cube2), arrived),
        held,
        maximum(lift(ops, height_m) * held, arrived),
        maximum(nearness(*away2_m2) * held, arrived),
    )
    return potentials, maximum((to_cube2 < REACHED2_M2) * 1, holding * 2, lifted * 3, (lifted & over) * 4)


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
