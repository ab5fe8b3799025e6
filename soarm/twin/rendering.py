"""The cameras of the twin: what those of `sim.cameras` see of its scene, for this process, or in files for another.

Drawing reads a copy of the state and holds up no servo; it changes no bit of the physics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm.errors import TwinError
from soarm.runtime.fitting import Picture
from soarm.runtime.picture_file import ENDING, encode
from soarm.runtime.sensors import Stamped
from soarm.sim.episode_cameras import EpisodeCameras
from soarm.sim.params import SimParams
from soarm.smallfile import require_writable, write_atomically
from soarm.spec import IMAGES
from soarm.twin.twin import Twin

PICTURES_HZ = 30


class RenderedCameras:
    """Pictures of a twin's scene, with the look of its seed, drawn when somebody asks; those of one moment are drawn once.

    Args:
        twin: The twin.
        sim: Its simulator, which says which cameras there are.

    Raises:
        SimulationError: The scene has no camera of such a name.
    """

    def __init__(self, twin: Twin, sim: SimParams) -> None:
        self._twin, self.names = twin, tuple(sim.cameras)
        self._cameras = EpisodeCameras(sim, 1) if sim.cameras else None
        self._drawn: tuple[int, float] | None = None
        self._pictures: Mapping[str, Picture] = {}

    def take(self) -> Mapping[str, Picture]:
        """Return a picture per camera, uint8 (H, W, 3)."""
        if self._cameras is None:
            return {}
        seed, time_s, qpos, mocap_pos = self._twin.moment()
        if self._drawn == (seed, time_s):
            return self._pictures
        row, state = np.zeros(1, np.intp), (qpos[None], mocap_pos[None])
        if self._drawn is None or self._drawn[0] != seed or time_s < self._drawn[1]:
            seen = self._cameras.start(row, [seed], *state)
        else:
            seen = self._cameras.follow(row, *state)
        self._pictures = {key.removeprefix(f"{IMAGES}."): np.asarray(pictures[0]) for key, pictures in seen.items()}
        self._drawn = seed, time_s
        return self._pictures

    def close(self) -> None:
        """Free the renderer; may be called again."""
        if self._cameras is not None:
            self._cameras.close()

    def __enter__(self) -> RenderedCameras:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RenderedCamera:
    """One of the cameras as a sensor; its pictures are always of now.

    Args:
        take: Returns a picture per camera.
        name: Of the camera.
        now: The clock [s].
    """

    def __init__(self, take: Callable[[], Mapping[str, NDArray[np.uint8]]], name: str, now: Callable[[], float]) -> None:
        self.subject = f"pictures of the camera {name}"
        self._take, self._name, self._now = take, name, now

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        return Stamped(self._now(), self._take()[self._name])


class PictureFolder:
    """A file per camera, `<camera>.ppm`, that is replaced as often as a camera takes pictures.

    Args:
        cameras: What they see.
        folder: Where the files lie; it is made if need be.
        now: The clock [s].

    Raises:
        TwinError: There are no cameras, or the files cannot be written.
    """

    def __init__(self, cameras: RenderedCameras, folder: Path, now: Callable[[], float] = time.monotonic) -> None:
        if not cameras.names:
            raise TwinError(
                "the twin has no cameras to draw: name them with --camera, as in --camera front:96x96, or in params.yaml "
                "(sim.cameras)"
            )
        self._cameras, self._now, self._due_s = cameras, now, now()
        self._paths = {name: folder / f"{name}{ENDING}" for name in cameras.names}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TwinError(f"{folder} cannot be made ({error.strerror}); choose another place for --pictures") from None
        for path in self._paths.values():
            require_writable(path, TwinError)

    def refresh(self) -> None:
        """Write new pictures when their time has come."""
        now_s = self._now()
        if now_s < self._due_s:
            return
        self._due_s = max(self._due_s + 1.0 / PICTURES_HZ, now_s)
        for name, picture in self._cameras.take().items():
            write_atomically(self._paths[name], encode(picture), TwinError, durable=False)
