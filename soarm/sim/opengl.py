"""Pictures of a model's cameras by OpenGL, from whichever thread asks.

Knows OpenGL contexts. Two rules keep pictures right where several contexts live in one process: a context is current only
while it draws, so that any thread may draw next; and what OpenGL holds is freed with its own context current, because a
texture or a buffer is a number that another context uses as well.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import weakref
from collections.abc import Callable, Collection, Iterator
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

Draw = Callable[[mujoco.MjvScene], None]
_SEGMENTS = [int(mujoco.mjtRndFlag.mjRND_SEGMENT), int(mujoco.mjtRndFlag.mjRND_IDCOLOR)]
SPARE_GEOMS = 100
"""Geoms that a picture may have beside those of the model."""


class GlCanvas:
    """Draws any camera of one model, at any size up to the model's offscreen buffer.

    Args:
        model: The scene; how well it is drawn stands in `model.vis.quality`.
        backend: `egl` or `osmesa`, which works here (`soarm.sim.camera.find_fault`).
        shadows: Whether lights cast shadows.
    """

    def __init__(self, model: mujoco.MjModel, backend: str, *, shadows: bool = False) -> None:
        # Mesa's software renderer would start a thread per core in every process; the caller's thread alone costs less.
        os.environ.setdefault("LP_NUM_THREADS", "0")
        logging.getLogger("OpenGL").setLevel(logging.WARNING)  # it tells of modules that are not needed
        self._gl: Any = importlib.import_module(f"mujoco.{backend}").GLContext(1, 1)  # MuJoCo draws into a buffer of its own
        quality, shadow_size = model.vis.quality, model.vis.quality.shadowsize
        quality.shadowsize = shadow_size if shadows else 0
        try:
            with self._gl.as_current():
                self._context = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
                mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._context)
        finally:
            quality.shadowsize = shadow_size
        self._scene = mujoco.MjvScene(model, maxgeom=model.ngeom + model.nsite + SPARE_GEOMS)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = shadows
        self._option, self._everywhere, self._camera = mujoco.MjvOption(), mujoco.MjvCamera(), mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED
        self._drawn_as: dict[int, int] = {}  # geom -> its number in a picture of segments
        self._free = weakref.finalize(self, _free, self._gl, self._context)
        self._free.atexit = False  # MuJoCo ends EGL at exit, in an order of its own

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """Let this thread draw; the context that was current before is so again afterwards."""
        with self._gl.as_current():
            yield

    def show(self, data: mujoco.MjData, draw: Draw | None = None) -> None:
        """Take a state whose kinematics are up to date, for all cameras, with what `draw` adds to it."""
        self._drawn_as = {}
        every = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(data.model, data, self._option, None, self._everywhere, every, self._scene)
        if draw is not None:
            draw(self._scene)

    def picture(self, data: mujoco.MjData, camera_id: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """Return what a camera sees of the state that is shown, shape (height_px, width_px, 3)."""
        self._camera.fixedcamid = camera_id
        mujoco.mjv_updateCamera(data.model, data, self._camera, self._scene)
        rect = mujoco.MjrRect(0, 0, width_px, height_px)
        mujoco.mjr_render(rect, self._scene, self._context)
        picture = np.empty((height_px, width_px, 3), np.uint8)
        mujoco.mjr_readPixels(picture, None, rect, self._context)
        return picture[::-1]  # OpenGL counts rows from below

    def background(
        self, data: mujoco.MjData, camera_id: int, width_px: int, height_px: int, geoms: Collection[int]
    ) -> NDArray[np.bool_]:
        """Return where a camera sees one of `geoms` (ids), or nothing, shape (height_px, width_px)."""
        if not self._drawn_as:
            shown = self._scene.geoms[: self._scene.ngeom]
            self._drawn_as = {one.objid: one.segid + 1 for one in shown if one.objtype == mujoco.mjtObj.mjOBJ_GEOM}
        self._scene.flags[_SEGMENTS] = True
        try:
            colours = self.picture(data, camera_id, width_px, height_px).astype(np.int32)
        finally:
            self._scene.flags[_SEGMENTS] = False
        drawn = colours[:, :, 0] + (colours[:, :, 1] << 8) + (colours[:, :, 2] << 16)
        return np.isin(drawn, [0, *(self._drawn_as[geom] for geom in geoms if geom in self._drawn_as)])

    def close(self) -> None:
        """Free what OpenGL holds; may be called again."""
        self._free()


def _free(gl: Any, context: mujoco.MjrContext) -> None:
    with gl.as_current():
        context.free()
    gl.free()
