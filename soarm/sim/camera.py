"""A camera on the scene that works on every machine: EGL, else OSMesa, else rays.

Knows which of them works; knows nothing of the task. MuJoCo's own Renderer follows the variable MUJOCO_GL as it was when
mujoco was imported, and a wrong value makes that import fail. Here the variable is left alone: which backend works is tried
out in a process of its own (a failed try would leave PyOpenGL bound to a library that is missing), once, and its context is
made directly.
"""

from __future__ import annotations

import contextlib
import functools
import os
import subprocess
import sys
from collections.abc import Collection
from typing import Literal, Protocol

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.errors import SimulationError
from soarm.sim.opengl import Draw, GlCanvas
from soarm.sim.ray_camera import RayCanvas

Backend = Literal["egl", "osmesa", "ray"]

_TRIAL = """
import mujoco
from mujoco.{backend} import GLContext
context = GLContext(8, 8)
context.make_current()
mujoco.MjrContext(mujoco.MjModel.from_xml_string("<mujoco/>"), mujoco.mjtFontScale.mjFONTSCALE_100).free()
context.free()
"""
_REMEDY = {
    "egl": "install EGL (Debian, Ubuntu: `apt install libegl1 libgl1-mesa-dri`)",
    "osmesa": "install OSMesa (Debian, Ubuntu: `apt install libosmesa6`); one process can use either EGL or OSMesa",
}


class Camera:
    """Renders one of the model's cameras.

    Pictures of EGL and OSMesa agree where both are done in software; rays are plainer (no reflections, no smooth edges) and
    need no system package. The same scene gives the same picture, whatever was rendered before.

    Args:
        model: The scene; what is rendered later must have the same geoms.
        name: Camera in the model: `front`, `top` or `wrist`.
        width_px: Width of the picture.
        height_px: Height of the picture.
        backend: What draws; `auto` takes the first that works of EGL, OSMesa and rays.
        shadows: Whether lights cast shadows; they cost more than the rest of a small picture.

    Raises:
        SimulationError: There is no such camera, the picture is too large, or the asked backend does not work here.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        name: str = "front",
        *,
        width_px: int,
        height_px: int,
        backend: Literal["auto"] | Backend = "auto",
        shadows: bool = False,
    ) -> None:
        self._canvas: Canvas | None = None
        self._camera_id, self._size_px = find_camera(model, name), (width_px, height_px)
        most = model.vis.global_.offwidth, model.vis.global_.offheight
        if not (1 <= width_px <= most[0] and 1 <= height_px <= most[1]):
            raise SimulationError(
                f"a picture of {width_px} x {height_px} px is asked; the scene allows 1 x 1 to {most[0]} x {most[1]} px"
            )
        self._backend = choose(backend)
        self._canvas = make_canvas(model, self._backend, shadows=shadows)

    @property
    def backend(self) -> Backend:
        """What draws."""
        return self._backend

    def render(self, data: mujoco.MjData, draw: Draw | None = None) -> NDArray[np.uint8]:
        """Return what the camera sees, uint8, shape (height_px, width_px, 3), red-green-blue.

        Args:
            data: State with kinematics up to date, of the model or of one with the same geoms (`BatchSim.snapshot`).
            draw: Adds at most `opengl.SPARE_GEOMS` geoms to the scene; rays do not see them.

        Raises:
            SimulationError: The camera was closed.
        """
        if self._canvas is None:
            raise SimulationError("the camera is closed; make a new one")
        with self._canvas.current():
            self._canvas.show(data, draw)
            return np.ascontiguousarray(self._canvas.picture(data, self._camera_id, *self._size_px))

    def close(self) -> None:
        """Free what the backend holds; may be called again."""
        if self._canvas is not None:
            self._canvas.close()
            self._canvas = None

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Canvas(Protocol):
    """What draws the cameras of one model, by OpenGL or by rays."""

    def current(self) -> contextlib.AbstractContextManager[None]:
        """Let this thread draw; one at a time."""

    def show(self, data: mujoco.MjData, draw: Draw | None = None) -> None:
        """Take a state whose kinematics are up to date, with what `draw` adds to it."""

    def picture(self, data: mujoco.MjData, camera_id: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """Return what a camera sees of the state that is shown, shape (height_px, width_px, 3)."""

    def background(
        self, data: mujoco.MjData, camera_id: int, width_px: int, height_px: int, geoms: Collection[int]
    ) -> NDArray[np.bool_]:
        """Return where a camera sees one of `geoms` (ids), or nothing, shape (height_px, width_px)."""

    def close(self) -> None:
        """Free what it holds; may be called again."""


def make_canvas(model: mujoco.MjModel, backend: Backend, *, shadows: bool = False) -> Canvas:
    """Return what draws the model's cameras with a backend that works here."""
    return RayCanvas(model, shadows=shadows) if backend == "ray" else GlCanvas(model, backend, shadows=shadows)


def find_camera(model: mujoco.MjModel, name: str) -> int:
    """Return the id of a camera.

    Raises:
        SimulationError: The scene has none of that name; says which it has.
    """
    camera_id: int = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name)
    if camera_id < 0:
        names = ", ".join(model.camera(i).name for i in range(model.ncam))
        raise SimulationError(f"the scene has no camera {name!r}; it has: {names}")
    return camera_id


def choose(backend: Literal["auto"] | Backend) -> Backend:
    """Return the backend that is asked for; of `auto` the first that works of EGL, OSMesa and rays.

    Raises:
        SimulationError: It does not work here; says what to install.
    """
    if backend == "auto":
        candidates: tuple[Backend, ...] = ("egl", "osmesa")
        return next((one for one in candidates if find_fault(one) is None), "ray")
    if (fault := find_fault(backend)) is not None:
        remedy = f"{_REMEDY[backend]}, or ask for 'auto' or 'ray'"
        raise SimulationError(f"the rendering backend {backend!r} does not work here ({fault}); {remedy}")
    return backend


@functools.cache
def find_fault(backend: Backend) -> str | None:
    """Return None if `backend` works on this machine and in this process, else what is wrong with it."""
    if backend == "ray":
        return None
    if sys.platform != "linux":
        return "it needs Linux"
    bound = os.environ.get("PYOPENGL_PLATFORM")
    if bound not in (None, "", backend):
        return f"OpenGL is bound to {bound!r} in this process"
    command = [sys.executable, "-c", _TRIAL.format(backend=backend)]
    try:
        trial = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return "a trial picture was not finished within 60 s"
    if trial.returncode == 0:
        return None
    return next(iter(trial.stderr.strip().splitlines()[::-1]), f"a trial picture ended with exit status {trial.returncode}")
