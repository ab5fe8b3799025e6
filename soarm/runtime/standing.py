"""What stands on the table, the things of a task, as boxes; and how far the arm is from them.

Knows the arm's shape, as balls around forearm, wrist, hand and both fingers; a test holds the balls against the simulator's
collision shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm import arm, kinematics
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing


class Box(NamedTuple):
    """A box on the table, its sides along x and y.

    Attributes:
        name: Of the thing.
        x: Of its middle [m].
        y: Of its middle [m].
        half_m: Half its width [m].
        height_m: How far it reaches up [m].
    """

    name: str
    x: float
    y: float
    half_m: float
    height_m: float


def boxes(task: Task, objects: ArrayLike) -> tuple[Box, ...]:
    """Return what stands there; a thing in the air counts as lying below, where it falls if the hand releases it.

    Args:
        task: Whose objects they are.
        objects: In the order of `Task.objects`.
    """
    values, found = np.asarray(objects, np.float64), []
    for thing in task.things:
        if not thing.height_m:
            continue
        x, y, z = task.middle_m(thing, values).tolist()
        _, rest_m = support(task, thing, values)
        lies = z <= rest_m + thing.height_m / 2
        half_m = thing.half_m * 2**0.5 if "yaw4_cos" in task.elements[thing.name] else thing.half_m  # whatever its yaw
        found.append(Box(thing.name, x, y, half_m, thing.height_m / 2 + (z if lies else rest_m)))
    return tuple(found)


def support(task: Task, thing: Thing, objects: NDArray[np.float64]) -> tuple[Thing | None, float]:
    """Return the thing on or in which a thing rests or would fall, None for the table, and the height of its middle there [m].

    Args:
        task: Whose objects they are.
        thing: One of the task's.
        objects: In the order of `Task.objects`.
    """
    half_m, at_m = thing.height_m / 2, task.middle_m(thing, objects)
    for other in task.things:
        if other is thing or other.surface is None:
            continue
        middle_m = task.middle_m(other, objects)
        foot_m = float(middle_m[2]) - other.height_m / 2
        if (np.abs(at_m[:2] - middle_m[:2]) < other.surface.half_m).all() and foot_m <= at_m[2]:
            return other, foot_m + other.surface.height_m + half_m
    return None, half_m


# Balls as (middle in the frame of the body, radius) [m]; bodies are those of `kinematics.frames`, and the jaw in the hand's.
_FOREARM = (
    ((0.0, 0.0035, -0.01), 0.036),
    ((0.0, 0.0035, 0.03), 0.036),
    ((0.0, 0.0035, 0.07), 0.036),
    ((0.0, 0.0035, 0.11), 0.036),
)
_WRIST = (((-0.0035, -0.005, 0.0), 0.034), ((-0.0035, -0.045, 0.0), 0.034))
_HAND = (
    ((0.002, -0.012, 0.0), 0.034),
    ((0.002, -0.028, 0.0), 0.034),
    ((0.025, -0.048, 0.0), 0.018),
    ((0.025, -0.064, 0.0), 0.018),
    ((0.018, -0.078, 0.0), 0.011),
    ((0.018, -0.089, 0.0), 0.011),
    ((0.016, -0.098, 0.0), 0.011),
    (kinematics.TCP_IN_JAW_M, 0.009),
)
_JAW = (
    ((0.0, -0.027, 0.0), 0.012),
    ((0.0, -0.04, 0.0), 0.012),
    ((0.0, -0.055, 0.0), 0.012),
    ((-0.004, -0.066, 0.0), 0.01),
    ((-0.005, -0.075, 0.0), 0.01),
)
_JAW_ORIGIN_M = np.array([-0.0202, -0.0244, 0.0])
_BODY = np.array([2] * len(_FOREARM) + [3] * len(_WRIST) + [4] * (len(_HAND) + len(_JAW)))
RADIUS_M = np.array([radius for _, radius in (*_FOREARM, *_WRIST, *_HAND, *_JAW)])
_FIXED_M = np.array([middle for middle, _ in (*_FOREARM, *_WRIST, *_HAND)])
_IN_JAW_M = np.array([middle for middle, _ in _JAW])


def balls(q: ArrayLike) -> NDArray[np.float64]:
    """Return the middles of the balls around the arm, in the frame of the base.

    Args:
        q: Shape (..., 6) [deg x 5, percent].

    Returns:
        Shape (..., N, 3) [m]; their radii are `RADIUS_M`.
    """
    origins, rotations = kinematics.frames(q)
    angle = arm.to_radians(q)[..., arm.GRIPPER, None]
    x, y, z = _IN_JAW_M.T
    turned_x, turned_y = np.cos(angle) * x - np.sin(angle) * y, np.sin(angle) * x + np.cos(angle) * y
    jaw = _JAW_ORIGIN_M + np.stack([-turned_x, turned_y, np.broadcast_to(-z, turned_x.shape)], axis=-1)  # (..., J, 3)
    local = np.concatenate([np.broadcast_to(_FIXED_M, (*jaw.shape[:-2], *_FIXED_M.shape)), jaw], axis=-2)  # (..., N, 3)
    origin = np.stack([np.broadcast_to(one, origins[-1].shape) for one in origins], axis=-2)[..., _BODY, :]
    rotation = np.stack(rotations, axis=-3)[..., _BODY, :, :]
    return np.asarray(origin + np.einsum("...ij,...j->...i", rotation, local))


def clearance_m(q: ArrayLike, around: Sequence[Box]) -> NDArray[np.float64]:
    """Return how far the arm is at least from boxes, for q of shape (..., 6) [m]; negative inside one, infinite without any.

    Measured along x, y or z, whichever parts them most: a lower bound of the distance. A box counts as solid.
    """
    middles = balls(q)
    least = np.full(middles.shape[:-2], np.inf)
    for box in around:
        apart = np.abs(middles - (box.x, box.y, 0.0)) - (box.half_m, box.half_m, 0.0)
        apart[..., 2] = middles[..., 2] - box.height_m
        least = np.minimum(least, (apart.max(axis=-1) - RADIUS_M).min(axis=-1))
    return least
