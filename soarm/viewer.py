"""MuJoCo's viewer as this project opens it: tried before it is asked for, drawn into, listened to, and closed cleanly.

Knows the window; knows no task, policy or simulator. What it shows is a copy of a state (`Snapshot`), so that whatever is
done in the window changes no bit of an episode.

MuJoCo's viewer gives a meaning of its own to nearly every key (W draws wires, P forces). Where somebody listens to keys,
those settings are put back after each of them.
"""

from __future__ import annotations

import atexit
import functools
import importlib
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.errors import SimulationError

Draw = Callable[[mujoco.MjvScene], None]
"""Adds geoms to a scene, which holds none of ours before."""
Text = tuple[mujoco.mjtGridPos, str, str]
"""Corner, left column and right column; lines end in a newline."""
WITHOUT_A_DISPLAY = (
    "A window needs a display (X11 or Wayland) and OpenGL. On a computer with a screen install `libgl1` (Debian, Ubuntu: "
    "`apt install libgl1`) and look at DISPLAY; over ssh use `ssh -X`. Without a screen put `xvfb-run -a` before the command, "
    "which gives it a screen that nobody sees"
)
"""What to do where no window can be opened."""
_TRIAL = """
import glfw, sys
glfw.set_error_callback(lambda _, said: print(said.decode()))
if glfw.init():
    glfw.window_hint(glfw.VISIBLE, 0)
    sys.exit(glfw.create_window(8, 8, "", None, None) is None)
sys.exit(1)
"""
_CLOSING_S = 5.0
_NAMES = {32: "space", 256: "escape", 257: "enter", 258: "tab", 259: "backspace"}


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

    def between(self, qpos: NDArray[np.float64], data: mujoco.MjData, share: float) -> mujoco.MjData:
        """Return the copy on its way to the state of `data`.

        Args:
            qpos: Where it comes from, shape (nq,).
            data: Where it goes to.
            share: Of the way that is done, from 0 to 1.
        """
        velocity = np.empty(self.model.nv)
        mujoco.mj_differentiatePos(self.model, velocity, 1.0, qpos, data.qpos)
        self.of(data)
        self.data.qpos[:] = qpos
        mujoco.mj_integratePos(self.model, self.data.qpos, velocity, share)
        mujoco.mj_forward(self.model, self.data)
        return self.data


class Viewer:
    """A window of MuJoCo's viewer, without its panels.

    Args:
        model: The scene, with visuals.
        data: The state that is shown; the viewer's alone, such as that of a `Snapshot`.
        listens: Whether keys are for the caller.

    Raises:
        SimulationError: No window can be opened here.
    """

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, *, listens: bool = False) -> None:
        fault = window_fault()
        if fault is not None:
            raise SimulationError(f"no window can be opened here ({fault})")
        self._model, self._data = model, data
        self._keys: deque[int] = deque()
        others = set(threading.enumerate())
        listening = {"key_callback": self._hear} if listens else {}
        try:
            launch = importlib.import_module("mujoco.viewer").launch_passive
            self._handle: Any = launch(model, data, show_left_ui=False, show_right_ui=False, **listening)
        except RuntimeError as error:  # on a Mac it says to start Python as `mjpython`
            raise SimulationError(f"MuJoCo's viewer does not start: {error}") from None
        self._threads = set(threading.enumerate()) - others
        self._writer = _Writer(self._handle)
        self._settings: list[tuple[NDArray[Any], NDArray[Any]]] = []
        if listens:
            self._handle.sync()  # before it, the settings are not yet those that are shown
            self._settings = [(part, part.copy()) for part in self._parts()]
        atexit.register(self.close)

    @property
    def is_open(self) -> bool:
        """Whether nobody has closed the window."""
        return bool(self._handle.is_running())

    def look(self, at_m: ArrayLike, *, azimuth_deg: float, elevation_deg: float, distance_m: float) -> None:
        """Look at a point, shape (3,) [m]; from there on the mouse moves the camera."""
        with self._handle.lock():
            camera = self._handle.cam
            camera.type, camera.lookat[:] = mujoco.mjtCamera.mjCAMERA_FREE, at_m
            camera.azimuth, camera.elevation, camera.distance = azimuth_deg, elevation_deg, distance_m

    def show(self, draw: Draw | None = None, texts: Sequence[Text] = ()) -> None:
        """Show the state as it is now, with what `draw` adds to it and lines of text over it."""
        if not self.is_open:
            return
        if draw is not None:
            with self._handle.lock():
                self._handle.user_scn.ngeom = 0
                draw(self._handle.user_scn)
        if texts:
            self._writer.write(texts)
        self._handle.sync()

    def pressed(self) -> list[str]:
        """Return the keys pressed since the last call, repeats of a held one among them: "a", "space", "enter"."""
        keys = []
        while self._keys:
            code = self._keys.popleft()
            keys.append(_NAMES.get(code) or (chr(code).lower() if 32 < code < 127 else ""))
        return [key for key in keys if key]

    def wrenches(self) -> NDArray[np.float64]:
        """Return force and torque with which the mouse pulls at each body, shape (nbody, 6) [N, N m].

        In MuJoCo's viewer a double click selects a body, and Ctrl with a dragged right button pulls at it.
        """
        forces: NDArray[np.float64] = self._data.xfrc_applied.copy()
        return forces

    def close(self) -> None:
        """Close the window and wait until it is gone; may be called again.

        A process that ends while the viewer's thread still draws crashes: GLFW goes, and its window with it.
        """
        self._writer.close()
        self._handle.close()
        for thread in self._threads:
            thread.join(_CLOSING_S)
        atexit.unregister(self.close)

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _hear(self, code: int) -> None:
        """Take a key, in the viewer's thread, and put back what MuJoCo has changed at it before that is drawn."""
        self._keys.append(code)
        if self._settings:
            self._handle.sync()
            for part, before in self._settings:
                part[:] = before
            self._handle.sync()

    def _parts(self) -> tuple[Any, ...]:
        """Return what MuJoCo's own keys change."""
        opt = self._handle.opt
        return self._handle.user_scn.flags, opt.flags, opt.geomgroup, opt.sitegroup


class _Writer:
    """Puts texts over a window from a thread of its own: each time MuJoCo's viewer waits for its next picture.

    Without OpenGL in hardware that takes some 50 ms and more, longer than a control step.

    Args:
        handle: Of MuJoCo's viewer.
    """

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._wanted: list[Text] | None = None
        self._shown: list[Text] | None = None
        self._thread: threading.Thread | None = None
        self._changed, self._closing = threading.Condition(), False

    def write(self, texts: Sequence[Text]) -> None:
        """Show these texts in place of those before, as soon as it can be done."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True)
            self._thread.start()
        with self._changed:
            self._wanted = list(texts)
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(_CLOSING_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closing or self._wanted != self._shown)
                if self._closing:
                    return
                self._shown = self._wanted
            assert self._shown is not None
            if self._handle.is_running():
                self._handle.set_texts([(mujoco.mjtFont.mjFONT_NORMAL, *text) for text in self._shown])


@functools.cache
def window_fault() -> str | None:
    """Return None where a window can be opened, else why not.

    It is tried in a process of its own: where GLFW or OpenGL does not start, MuJoCo's viewer waits forever.
    """
    try:
        trial = subprocess.run([sys.executable, "-c", _TRIAL], capture_output=True, text=True, check=False, timeout=60)
    except subprocess.TimeoutExpired:
        return "GLFW does not start within 60 s"
    return None if trial.returncode == 0 else trial.stdout.strip() or "GLFW does not start"
