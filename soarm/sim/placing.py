"""Put a task's things where an objects feature says, in the place of where the scene's seed has them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import mujoco
import numpy as np
from numpy.typing import ArrayLike

from soarm.sim.cubes import write_cube
from soarm.sim.task import Physics
from soarm.tasks.task import Task


def place(data: mujoco.MjData, task: Task, objects: ArrayLike, physics: Physics) -> None:
    """Write where the things are: what has a yaw is the next free cube, flat on the table, the rest the next mocap body.

    Args:
        data: Of a scene of the task.
        task: Whose objects they are.
        objects: In the order of `Task.objects`; heights and tilts in them are not looked at.
        physics: Of the scene: how large its cubes are.
    """
    told = dict(zip(task.objects.names, np.asarray(objects, np.float64).tolist(), strict=True))
    cubes = mocaps = 0
    for thing in task.things:
        xy = told[f"{thing.name}.x"], told[f"{thing.name}.y"]
        if (yaw := _yaw(told, thing.name)) is None:
            data.mocap_pos[mocaps] = (*xy, 0.0)
            mocaps += 1
        else:
            write_cube(data, cubes, xy, yaw, physics)
            cubes += 1


def _yaw(told: Mapping[str, float], name: str) -> float | None:
    cosine, sine = told.get(f"{name}.yaw4_cos"), told.get(f"{name}.yaw4_sin")
    return None if cosine is None or sine is None else math.atan2(sine, cosine) / 4
