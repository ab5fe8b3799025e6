"""A camera without OpenGL: one ray per pixel against the scene's geoms.

Knows shapes, colours and lights of an MjModel; knows textures on planes only. Bitwise the same on every run, and needs
nothing but MuJoCo's physics.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Collection

import mujoco
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SEEN_GROUPS = np.array([1, 1, 1, 0, 0, 0], np.uint8)  # as in mjvOption
_SHADOW_BIAS_M = 1e-4


class RayCanvas:
    """Draws any camera of one model with rays; see `soarm.sim.camera.Camera`.

    Args:
        model: The scene.
        shadows: Whether lights cast shadows.
    """

    def __init__(self, model: mujoco.MjModel, *, shadows: bool = False) -> None:
        self._shadows, self._sky = shadows, _edges_of_the_sky(model)

    def current(self) -> contextlib.AbstractContextManager[None]:
        """Return a context that does nothing."""
        return contextlib.nullcontext()

    def show(self, data: mujoco.MjData, draw: object = None) -> None:
        """Do nothing: `picture` is given the state; what `draw` would add is not seen."""

    def picture(self, data: mujoco.MjData, camera_id: int, width_px: int, height_px: int) -> NDArray[np.uint8]:
        """Return what a camera sees, uint8, shape (height_px, width_px, 3)."""
        model, (eye, rays) = data.model, _rays_in_world(data, camera_id, width_px, height_px)
        geoms, distances, normals = _cast(model, data, eye, rays)
        share, (upper, lower) = 0.5 + 0.5 * rays[:, 2:3], self._sky
        picture = share * upper + (1.0 - share) * lower
        hit = geoms >= 0
        if hit.any():
            points = eye + distances[hit, None] * rays[hit]
            facing = normals[hit]
            facing *= -np.sign(np.sum(facing * rays[hit], axis=1, keepdims=True))
            light = self._light(model, data, points, facing, rays[hit])
            picture[hit] = _colour(model, data, geoms[hit], points) * light
        rounded: NDArray[np.uint8] = (np.clip(picture, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)
        return rounded.reshape(height_px, width_px, 3)

    def background(
        self, data: mujoco.MjData, camera_id: int, width_px: int, height_px: int, geoms: Collection[int]
    ) -> NDArray[np.bool_]:
        """Return where a camera sees one of `geoms` (ids), or nothing, shape (height_px, width_px)."""
        met, _, _ = _cast(data.model, data, *_rays_in_world(data, camera_id, width_px, height_px))
        return np.isin(met, [-1, *geoms]).reshape(height_px, width_px)

    def close(self) -> None:
        """Hold nothing, free nothing."""

    def _light(self, model: mujoco.MjModel, data: mujoco.MjData, points: Floats, normals: Floats, rays: Floats) -> Floats:
        """Return how much light of each colour the surface sends on (Lambert), shape (N, 3)."""
        head = model.vis.headlight
        toward_eye = np.maximum(-np.sum(normals * rays, axis=1, keepdims=True), 0.0)
        light = head.ambient + head.diffuse * toward_eye if head.active else np.zeros((len(points), 3))
        for i in np.flatnonzero(model.light_active):
            directional = model.light_type[i] == mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
            source = data.light_xpos[i] - (10.0 * data.light_xdir[i] if directional else 0.0)
            reach = points - source
            distance = np.linalg.norm(reach, axis=1)
            beam = np.broadcast_to(data.light_xdir[i], reach.shape) if directional else reach / distance[:, None]
            lit = np.maximum(-np.sum(normals * beam, axis=1), 0.0)
            if self._shadows and model.light_castshadow[i]:
                _, nearest, _ = _cast(model, data, source, reach / distance[:, None])
                lit = lit * ((nearest < 0) | (nearest > distance - _SHADOW_BIAS_M))
            light = light + model.light_ambient[i] + model.light_diffuse[i] * lit[:, None]
        return light


def _rays_in_world(data: mujoco.MjData, camera_id: int, width_px: int, height_px: int) -> tuple[Floats, Floats]:
    """Return where the rays start, shape (3,) [m], and their directions, shape (H * W, 3)."""
    rays = _rays(float(data.model.cam_fovy[camera_id]), width_px, height_px)
    return data.cam_xpos[camera_id].copy(), rays @ data.cam_xmat[camera_id].reshape(3, 3).T


@functools.lru_cache(maxsize=16)
def _rays(fovy_deg: float, width_px: int, height_px: int) -> Floats:
    """Return a ray through the middle of each pixel in the camera's frame, shape (H * W, 3)."""
    half = math.tan(math.radians(fovy_deg) / 2)
    y = half * (1.0 - (2.0 * np.arange(height_px) + 1.0) / height_px)
    x = half * ((2.0 * np.arange(width_px) + 1.0) - width_px) / height_px
    rays: Floats = np.stack([*np.meshgrid(x, y), np.full((height_px, width_px), -1.0)], axis=-1).reshape(-1, 3)
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    rays.flags.writeable = False
    return rays


def _cast(model: mujoco.MjModel, data: mujoco.MjData, start: Floats, rays: Floats) -> tuple[NDArray[np.int32], Floats, Floats]:
    """Return geom (N,), -1 for none, distance (N,) [m], -1 for none, and normal (N, 3) of what each ray meets first."""
    n = len(rays)
    geoms, distances, normals = np.full(n, -1, np.int32), np.full(n, -1.0), np.zeros(3 * n)
    flat = np.ascontiguousarray(rays).ravel()
    with_static, no_body, far_m = True, -1, 100.0
    mujoco.mj_multiRay(model, data, start, flat, _SEEN_GROUPS, with_static, no_body, geoms, distances, normals, n, far_m)
    return geoms, distances, normals.reshape(n, 3)


def _colour(model: mujoco.MjModel, data: mujoco.MjData, geoms: NDArray[np.int32], points: Floats) -> Floats:
    """Return the colour of each geom at each point, shape (N, 3), 0..1."""
    material = model.geom_matid[geoms]
    own, painted = model.geom_rgba[geoms, :3], model.mat_rgba[material, :3]
    colour: Floats = np.where(material[:, None] >= 0, painted, own).astype(np.float64)
    for geom in np.flatnonzero(model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE):
        on = geoms == geom
        if not on.any() or model.geom_matid[geom] < 0:
            continue
        texture = model.mat_texid[model.geom_matid[geom], mujoco.mjtTextureRole.mjTEXROLE_RGB]
        if texture >= 0:
            local = (points[on] - data.geom_xpos[geom]) @ data.geom_xmat[geom].reshape(3, 3)
            # MuJoCo repeats a plane's texture every two units, and counts its rows against y.
            place = local[:, :2] * model.mat_texrepeat[model.geom_matid[geom]] * (0.5, -0.5)
            colour[on] *= _texture_at(model, int(texture), place)
    return colour


def _texture_at(model: mujoco.MjModel, texture: int, place: Floats) -> Floats:
    """Look up a repeating texture at `place`, shape (N, 2), one repetition per unit."""
    height, width, channels = model.tex_height[texture], model.tex_width[texture], model.tex_nchannel[texture]
    start = model.tex_adr[texture]
    pixels = model.tex_data[start : start + height * width * channels].reshape(height, width, channels)
    column, row = np.floor(place[:, 0] % 1.0 * width).astype(int), np.floor(place[:, 1] % 1.0 * height).astype(int)
    seen: Floats = pixels[np.minimum(row, height - 1), np.minimum(column, width - 1), :3] / 255.0
    return seen


def _edges_of_the_sky(model: mujoco.MjModel) -> tuple[Floats, Floats]:
    """Return the colours of the skybox's upper and lower edge, shape (3,), 0..1; black where there is none."""
    boxes = np.flatnonzero(model.tex_type == mujoco.mjtTexture.mjTEXTURE_SKYBOX)
    if not len(boxes):
        return np.zeros(3), np.zeros(3)
    start, n = model.tex_adr[boxes[0]], model.tex_height[boxes[0]] * model.tex_width[boxes[0]] * 3
    pixels = model.tex_data[start : start + n].reshape(-1, 3)
    return pixels.max(axis=0) / 255.0, pixels.min(axis=0) / 255.0
