"""The pictures that policies see: all cameras of `sim.cameras`, all rows, one model and one renderer.

Knows the scene with what is only seen; knows nothing of episodes. Pictures are drawn for speed: no samples beside the one
per pixel, no shadows, few triangles. A camera with `supersample` n is drawn n times as large and averaged.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.sim.camera import Backend, Canvas, choose, find_camera, make_canvas
from soarm.sim.look import Look, LookWriter
from soarm.sim.params import CameraParams, SimParams
from soarm.sim.retouch import backdrop, find_photos, retouched
from soarm.sim.scene import build_model, looking

Pictures = dict[str, NDArray[np.uint8]]
"""Camera -> picture, shape (height_px, width_px, 3), red-green-blue; or one per row, (B, height_px, width_px, 3)."""


class PolicyCameras:
    """Draws what the cameras of `sim.cameras` see of given states; any thread may ask.

    The renderer is made when it is first needed. The same state gives the same picture, whatever was drawn before.

    Args:
        params: The environment.
        backend: What draws; `auto` takes the first that works of EGL, OSMesa and rays.

    Raises:
        SimulationError: The scene has no camera of such a name, or the asked backend does not work here.
    """

    def __init__(self, params: SimParams, backend: Literal["auto"] | Backend = "auto") -> None:
        self._backend = backend if backend == "auto" else choose(backend)
        self._model = build_model(params)
        self._data = mujoco.MjData(self._model)
        self._cameras = {name: (find_camera(self._model, name), camera) for name, camera in params.cameras.items()}
        for camera_id, camera in self._cameras.values():
            _move(self._model, camera_id, camera)
        _draw_fast(self._model, list(params.cameras.values()))
        self._writer, self._table = LookWriter(self._model), (self._model.geom("table").id,)
        self._photos = find_photos(params.look.background.photos)
        self._canvas: Canvas | None = None
        self._lock = threading.Lock()

    def render(self, qpos: ArrayLike, mocap_pos: ArrayLike, look: Look | None = None, step: int = 0) -> Pictures:
        """Return a picture per camera of one state.

        Args:
            qpos: Shape (nq,): the arm's joints [rad], then the task's bodies.
            mocap_pos: Shape (nmocap, 3) [m].
            look: The episode's; None is that of the scene itself. Its latency is the caller's affair.
            step: Control step of the episode, from which the look's noise follows.
        """
        seen = self.render_rows(np.asarray(qpos)[None], np.asarray(mocap_pos)[None], [look], [step])
        return {name: pictures[0] for name, pictures in seen.items()}

    def render_rows(
        self,
        qpos: NDArray[np.float64],
        mocap_pos: NDArray[np.float64],
        looks: Sequence[Look | None] | None = None,
        steps: Sequence[int] | None = None,
    ) -> Pictures:
        """Return pictures of B states per camera, shape (B, height_px, width_px, 3).

        Args:
            qpos: Shape (B, nq), as in `render`.
            mocap_pos: Shape (B, nmocap, 3) [m].
            looks: Of each state; None: all have that of the scene itself.
            steps: Control step of each, as in `render`; None: all are their episodes' first.
        """
        seen = {
            name: np.empty((len(qpos), camera.height_px, camera.width_px, 3), np.uint8)
            for name, (_, camera) in self._cameras.items()
        }
        with self._lock:
            self._canvas = self._canvas or make_canvas(self._model, choose(self._backend))
            with self._canvas.current():
                for row in range(len(qpos)):
                    self._data.qpos[:], self._data.mocap_pos[:] = qpos[row], mocap_pos[row]
                    look, step = looks[row] if looks is not None else None, steps[row] if steps is not None else 0
                    for name, picture in self._draw(self._canvas, look, int(step)):
                        seen[name][row] = picture
        return seen

    def _draw(self, canvas: Canvas, look: Look | None, step: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        """Draw every camera's picture of `data`."""
        data = self._data
        self._writer.write(look)
        mujoco.mj_kinematics(self._model, data)
        mujoco.mj_camlight(self._model, data)
        canvas.show(data)
        for name, (camera_id, camera) in self._cameras.items():
            n = camera.supersample
            at = data, camera_id, n * camera.width_px, n * camera.height_px
            drawn = canvas.picture(*at)
            if look is not None and look.background is not None:
                behind = backdrop(look.background, camera_id, self._photos, camera.height_px, camera.width_px)
                hidden = canvas.background(*at, self._table)[:, :, None]
                drawn = np.where(hidden, behind.repeat(n, 0).repeat(n, 1), drawn)
            picture = drawn if n == 1 else _average(drawn, n)
            yield name, picture if look is None else retouched(picture, look, camera_id, step)

    def close(self) -> None:
        """Free the renderer; may be called again, and drawing makes a new one."""
        with self._lock:
            if self._canvas is not None:
                self._canvas.close()
            self._canvas = None


def _move(model: mujoco.MjModel, camera_id: int, camera: CameraParams) -> None:
    """Put a camera of the model where its parameters say."""
    if camera.position_m is not None and camera.target_m is not None:
        model.cam_pos[camera_id], model.cam_quat[camera_id] = camera.position_m, looking(camera.position_m, camera.target_m)
    if camera.fovy_deg is not None:
        model.cam_fovy[camera_id] = camera.fovy_deg


def _draw_fast(model: mujoco.MjModel, cameras: list[CameraParams]) -> None:
    """Set quality and buffer of the model's pictures: what costs time and is not seen at a hundred pixels goes."""
    quality, overall = model.vis.quality, model.vis.global_
    quality.offsamples, quality.shadowsize, quality.numslices, quality.numstacks = 0, 0, 8, 4
    overall.offwidth = max((camera.supersample * camera.width_px for camera in cameras), default=1)
    overall.offheight = max((camera.supersample * camera.height_px for camera in cameras), default=1)


def _average(picture: NDArray[np.uint8], n: int) -> NDArray[np.uint8]:
    """Return the means of n x n pixels, rounded, shape (H / n, W / n, 3)."""
    total = np.full((picture.shape[0] // n, picture.shape[1] // n, 3), n * n // 2, np.uint16)
    for i in range(n):
        for j in range(n):
            total += picture[i::n, j::n]
    return (total // np.uint16(n * n)).astype(np.uint8)
