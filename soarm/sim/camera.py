"""A camera on the scene that works on every machine: EGL, else OSMesa, else rays.

Knows OpenGL contexts; knows nothing of the task. MuJoCo's own Renderer follows the variable MUJOCO_GL as it was when
mujoco was imported, and a wrong value makes that import fail. Here the variable is left alone: which backend works is tried
out in a process of its own (a failed try would leave PyOpenGL bound to a library that is missing), once, and its context is
made directly.
"""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.errors import SimulationError
from soarm.sim.ray_camera import RayEye

Backend = Literal["egl", "osmesa", "ray"]
Draw = Callable[[mujoco.MjvScene], None]
SPARE_GEOMS = 100
"""Geoms that a picture may have beside those of the model."""

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
        self._eye: _Eye | None = None
        camera_id = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_CAMERA, name)
        if camera_id < 0:
            names = ", ".join(model.camera(i).name for i in range(model.ncam))
            raise SimulationError(f"the scene has no camera {name!r}; it has: {names}")
        most = model.vis.global_.offwidth, model.vis.global_.offheight
        if not (1 <= width_px <= most[0] and 1 <= height_px <= most[1]):
            raise SimulationError(
                f"a picture of {width_px} x {height_px} px is asked; the scene allows 1 x 1 to {most[0]} x {most[1]} px"
            )
        self._backend: Backend = _choose() if backend == "auto" else backend
        if backend != "auto" and (fault := find_fault(backend)) is not None:
            remedy = f"{_REMEDY[backend]}, or ask for 'auto' or 'ray'"
            raise SimulationError(f"the rendering backend {backend!r} does not work here ({fault}); {remedy}")
        eye = RayEye if self._backend == "ray" else functools.partial(_GlEye, backend=self._backend)
        self._eye = cast(_Eye, eye(model, camera_id, width_px, height_px, shadows))

    @property
    def backend(self) -> Backend:
        """What draws."""
        return self._backend

    def render(self, data: mujoco.MjData, draw: Draw | None = None) -> NDArray[np.uint8]:
        """Return what the camera sees, uint8, shape (height_px, width_px, 3), red-green-blue.

        Args:
            data: State with kinematics up to date, of the model or of one with the same geoms (`BatchSim.snapshot`).
            draw: Adds at most `SPARE_GEOMS` geoms to the scene; rays do not see them.

        Raises:
            SimulationError: The camera was closed.
        """
        if self._eye is None:
            raise SimulationError("the camera is closed; make a new one")
        return self._eye.render(data, draw)

    def close(self) -> None:
        """Free what the backend holds; may be called again."""
        if self._eye is not None:
            self._eye.close()
            self._eye = None

    def __enter__(self) -> Camera:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _choose() -> Backend:
    candidates: tuple[Backend, ...] = ("egl", "osmesa")
    return next((backend for backend in candidates if find_fault(backend) is None), "ray")


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


class _Eye(Protocol):
    def render(self, data: mujoco.MjData, draw: Draw | None) -> NDArray[np.uint8]: ...

    def close(self) -> None: ...


class _GlEye:
    """Draws with OpenGL in a context of its own."""

    def __init__(
        self, model: mujoco.MjModel, camera_id: int, width_px: int, height_px: int, shadows: bool, backend: Backend
    ) -> None:
        # Mesa's software renderer would start a thread per core in every process; the caller's thread alone costs less.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        self._gl: Any = importlib.import_module(f"mujoco.{backend}").GLContext(width_px, height_px)
        self._gl.make_current()
        quality, shadow_size = model.vis.quality, model.vis.quality.shadowsize
        quality.shadowsize = shadow_size if shadows else 0
        try:
            self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        finally:
            quality.shadowsize = shadow_size
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + model.nsite + SPARE_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._option = mujoco.MjvOption()
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._camera.fixedcamid = camera_id
        self._rect = mujoco.MjrRect(0, 0, width_px, height_px)

    def render(self, data: mujoco.MjData, draw: Draw | None) -> NDArray[np.uint8]:
        self._gl.make_current()  # another camera's context may be current
        mujoco.mjv_updateScene(data.model, data, self._option, None, self._camera, mujoco.mjtCatBit.mjCAT_ALL, self._scene)
        if draw is not None:
            draw(self._scene)
        mujoco.mjr_render(self._rect, self._scene, self._context)
        picture = np.empty((self._rect.height, self._rect.width, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, self._rect, self._context)
        return np.ascontiguousarray(picture[::-1])  # OpenGL counts rows from below

    def close(self) -> None:
        self._gl.make_current()
        self._context.free()
        self._gl.free()
