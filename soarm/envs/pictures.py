"""What cameras and MuJoCo's viewer show: copies of the running state, so that looking changes no bit of an episode."""

from __future__ import annotations

import time
from collections.abc import Sequence

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.errors import SimulationError
from soarm.sim.camera import Camera
from soarm.viewer import Snapshot, Viewer


class Cameras:
    """Several cameras of one size.

    Args:
        model: The scene, with visuals.
        names: Cameras in the model.
        size_px: Width and height of a picture.

    Raises:
        SimulationError: There is no such camera, or a picture is too large.
    """

    def __init__(self, model: mujoco.MjModel, names: Sequence[str], size_px: tuple[int, int]) -> None:
        self._cameras = {name: Camera(model, name, width_px=size_px[0], height_px=size_px[1]) for name in names}

    def take(self, data: mujoco.MjData) -> dict[str, NDArray[np.uint8]]:
        """Return a picture per camera, shape (H, W, 3)."""
        return {name: camera.render(data) for name, camera in self._cameras.items()}

    def close(self) -> None:
        """Release the cameras; may be called again."""
        for camera in self._cameras.values():
            camera.close()


class LiveView:
    """MuJoCo's viewer, in real time.

    Args:
        snapshot: What it shows.
        dt_s: Time between two looks at least [s].

    Raises:
        SimulationError: No window can be opened here.
    """

    def __init__(self, snapshot: Snapshot, dt_s: float) -> None:
        try:
            self._viewer = Viewer(snapshot.model, snapshot.data)
        except SimulationError as error:
            raise SimulationError(
                f"render_mode='human' opens MuJoCo's viewer: {error}. Without a display take render_mode='rgb_array', of "
                "which gymnasium.wrappers.RecordVideo makes films; over ssh use `ssh -X`"
            ) from None
        self._dt_s, self._due_s = dt_s, 0.0

    def show(self) -> None:
        """Show the snapshot when its time has come; nothing once the window was closed."""
        if not self._viewer.is_open:
            return
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = time.monotonic() + self._dt_s
        self._viewer.show()

    def close(self) -> None:
        """Close the window; may be called again."""
        self._viewer.close()
