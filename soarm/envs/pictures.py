"""What cameras and MuJoCo's viewer show: copies of the running state, so that looking changes no bit of an episode."""

from __future__ import annotations

import atexit
import functools
import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.errors import SimulationError
from soarm.sim.camera import Camera

_TRIAL = "import glfw, sys; glfw.set_error_callback(lambda _, said: print(said.decode())); sys.exit(not glfw.init())"
_CLOSING_S = 5.0


class Snapshot:
    """A copy of a state whose kinematics are up to date, of the same model.

    Args:
        model: The scene, with visuals.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model, self.data = model, mujoco.MjData(model)

    def of(self, data: mujoco.MjData) -> mujoco.MjData:
        """Return the copy, brought to the state of `data`."""
        self.data.qpos[:], self.data.mocap_pos[:] = data.qpos, data.mocap_pos
        mujoco.mj_forward(self.model, self.data)
        return self.data


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


class Viewer:
    """MuJoCo's viewer, in real time.

    Args:
        snapshot: What it shows.
        dt_s: Time between two looks at least [s].

    Raises:
        SimulationError: No window can be opened here.
    """

    def __init__(self, snapshot: Snapshot, dt_s: float) -> None:
        fault = window_fault()
        if fault is not None:
            raise SimulationError(
                f"render_mode='human' opens MuJoCo's viewer, and no window can be opened here ({fault}). Without a display "
                "take render_mode='rgb_array', of which gymnasium.wrappers.RecordVideo makes films; over ssh use `ssh -X`"
            )
        others = set(threading.enumerate())
        try:
            launch = importlib.import_module("mujoco.viewer").launch_passive
            self._handle: Any = launch(snapshot.model, snapshot.data, show_left_ui=False, show_right_ui=False)
        except RuntimeError as error:  # on a Mac it says to start Python as `mjpython`
            raise SimulationError(f"MuJoCo's viewer does not start: {error}") from None
        self._threads = set(threading.enumerate()) - others
        self._dt_s, self._due_s = dt_s, 0.0
        atexit.register(self.close)

    def show(self) -> None:
        """Show the snapshot when its time has come; nothing once the window was closed."""
        if not self._handle.is_running():
            return
        time.sleep(max(0.0, self._due_s - time.monotonic()))
        self._due_s = time.monotonic() + self._dt_s
        self._handle.sync()

    def close(self) -> None:
        """Close the window and wait until it is gone, or it crashes a process that ends; may be called again."""
        self._handle.close()
        for thread in self._threads:
            thread.join(_CLOSING_S)
        atexit.unregister(self.close)


@functools.cache
def window_fault() -> str | None:
    """Return None where a window can be opened, else why not.

    It is tried in a process of its own: where GLFW does not start, MuJoCo's viewer waits forever.
    """
    try:
        trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return "GLFW does not start within 60 s"
    return None if trial.returncode == 0 else trial.stdout.strip() or "GLFW does not start"
