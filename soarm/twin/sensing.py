"""The sensors of an arm in lockstep with its twin: where the objects truly are, and what the twin's cameras see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from soarm.runtime.bundle import Bundle
from soarm.runtime.eye import SeenObjects, load_eye
from soarm.runtime.fitting import Picture
from soarm.runtime.objects import CalledObjects
from soarm.runtime.sensors import Sensor
from soarm.spec import ENVIRONMENT_STATE, IMAGES
from soarm.tasks.task import Task
from soarm.twin.rendering import RenderedCamera


class Scene(NamedTuple):
    """What there is to sense in an episode.

    Attributes:
        task: The task.
        objects: Returns where its objects truly are.
        pictures: Returns a picture per camera of the simulator, uint8 (H, W, 3).
        now: The clock [s].
    """

    task: Task
    objects: Callable[[], NDArray[np.float32]]
    pictures: Callable[[], Mapping[str, Picture]]
    now: Callable[[], float]


Source = Callable[[Scene], Mapping[str, Sensor]]
"""Makes the sensors of an episode, feature key -> sensor."""


def told(scene: Scene) -> dict[str, Sensor]:
    """Return the sensor of objects that are where the simulator has them."""
    return {ENVIRONMENT_STATE: CalledObjects(scene.task, scene.objects, scene.now)}


def senses_of(bundle: Bundle) -> Source:
    """Return what makes the sensors that a bundle's policy wants: the twin's cameras, and the objects.

    With an eye they are what it sees, and without what is true.
    """

    def source(scene: Scene) -> dict[str, Sensor]:
        names = {**bundle.cameras, **bundle.eye_cameras}
        cameras: dict[str, Sensor] = {f"{IMAGES}.{name}": RenderedCamera(scene.pictures, name, scene.now) for name in names}
        if not bundle.eye_cameras:
            return told(scene) | cameras
        seen = {key: cameras[key] for key in (f"{IMAGES}.{name}" for name in bundle.eye_cameras)}
        return {ENVIRONMENT_STATE: SeenObjects(scene.task, load_eye(bundle), seen, scene.now)} | cameras

    return source
