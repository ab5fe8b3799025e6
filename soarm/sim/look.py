"""What is particular to an episode's pictures: drawn from its seed, and written into the model that is drawn.

Knows cameras, lights and colours of the model; what is done to a finished picture is `soarm.sim.retouch`.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping
from typing import NamedTuple

import mujoco
import numpy as np
from numpy.typing import NDArray

from soarm.sim.params import SimParams

_STREAM = 0x100C
"""Sets the random numbers of a seed's look apart from those of its scene."""
Three = tuple[float, float, float]


class CameraShift(NamedTuple):
    """How a camera differs from what it should be: shift in its body's frame [m], turn about its axes, field of view [deg]."""

    position_m: Three = (0.0, 0.0, 0.0)
    turn_deg: Three = (0.0, 0.0, 0.0)
    fovy_deg: float = 0.0


class Paint(NamedTuple):
    """How colours differ from the scene's: turn of the hue [deg], then a factor of each of red, green and blue."""

    hue_deg: float = 0.0
    factor: Three = (1.0, 1.0, 1.0)


class Look(NamedTuple):
    """What a drawn look is; without arguments, that of the scene itself.

    Attributes:
        cameras: Camera -> how it differs; one that is not named does not.
        light: Factor of all lights.
        ambient: Factor of the light that comes from everywhere.
        light_turn_deg: Turn of all lights about the world's x and y axis [deg].
        paint: Part of the scene (`cube`, `goal`, `arm`, `table`) -> its colours.
        background: Seed of what takes the place of table and sky; None leaves them.
        blur_px: Standard deviation of a Gaussian blur [px].
        brightness: Factor of the grey levels.
        contrast: Factor of their distance from the middle.
        noise: Standard deviation of the noise [grey levels].
        noise_seed: What the noise follows from, together with the control step.
        latency_steps: How many control steps old a picture is when the policy sees it.
    """

    cameras: Mapping[str, CameraShift] = {}
    light: float = 1.0
    ambient: float = 1.0
    light_turn_deg: tuple[float, float] = (0.0, 0.0)
    paint: Mapping[str, Paint] = {}
    background: int | None = None
    blur_px: float = 0.0
    brightness: float = 1.0
    contrast: float = 1.0
    noise: float = 0.0
    noise_seed: int = 0
    latency_steps: int = 0

    @property
    def is_neutral(self) -> bool:
        """Whether it is that of the scene itself, drawn without ranges."""
        shifted = any(shift != CameraShift() for shift in self.cameras.values())
        painted = any(paint != Paint() for paint in self.paint.values())
        return not (shifted or painted) and self._replace(cameras={}, paint={}, noise_seed=0) == Look()


def draw_look(params: SimParams, seed: int) -> Look:
    """Draw the look of an episode: the same for the same seed and parameters, whatever ran before.

    The random numbers are not those of the scene, which stays what it is. Every value takes its random number whether its
    range is neutral or not, so that a change of one range leaves what is drawn from the others.
    """
    ranges, rng = params.look, np.random.default_rng((_STREAM, seed))
    camera, light, colours, picture = ranges.camera, ranges.light, ranges.colours, ranges.picture

    def around(most: float) -> float:
        return most * float(rng.uniform(-1.0, 1.0))

    def of(pair: tuple[float, float]) -> float:
        return pair[0] + (pair[1] - pair[0]) * float(rng.uniform())

    def three(most: float) -> Three:
        return around(most), around(most), around(most)

    factors = of(light.brightness), of(light.ambient)
    turn = around(light.turn_deg), around(light.turn_deg)
    paint = {
        part: Paint(around(hue_deg), (of(brightness),) * 3)
        for part, hue_deg, brightness in (
            ("cube", colours.cube_hue_deg, colours.cube_brightness),
            ("goal", colours.goal_hue_deg, colours.goal_brightness),
            ("arm", colours.arm_hue_deg, colours.arm_brightness),
        )
    }
    brightness, tint = of(colours.table_brightness), three(colours.table_tint)
    paint["table"] = Paint(0.0, (brightness * (1 + tint[0]), brightness * (1 + tint[1]), brightness * (1 + tint[2])))
    hidden, background, noise_seed = rng.uniform() < ranges.background.share, rng.integers(2**31), rng.integers(2**31)
    retouching = of(picture.blur_px), of(picture.brightness), of(picture.contrast), of(picture.noise)
    latency_steps = int(rng.integers(picture.latency_steps[0], picture.latency_steps[1] + 1))
    cameras = {
        name: CameraShift(three(camera.position_m), three(camera.turn_deg), around(camera.fovy_deg))
        for name in sorted(params.cameras)
    }
    backdrop = int(background) if hidden else None
    return Look(cameras, *factors, turn, paint, backdrop, *retouching, int(noise_seed), latency_steps)


class LookWriter:
    """Writes looks into the cameras, lights and colours of one model, each in place of the one before.

    Args:
        model: What is drawn; as it is now, it has the look of the scene itself.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._fields = {name: getattr(model, name) for name in _FIELDS} | {"ambient": model.vis.headlight.ambient}
        self._plain = {name: field.copy() for name, field in self._fields.items()}
        self._parts = _parts(model)
        self._written: Look | None = None

    def write(self, look: Look | None) -> None:
        """Give the model this look; None is that of the scene itself."""
        if look is self._written:
            return
        for name, field in self._fields.items():
            field[:] = self._plain[name]
        if look is not None:
            self._move_cameras(look)
            self._light(look)
            for part, paint in look.paint.items():
                for colour in self._parts[part] if paint != Paint() else ():
                    colour[:3] = _painted(colour[:3], paint)
        self._written = look

    def _move_cameras(self, look: Look) -> None:
        model = self._model
        for name, shift in look.cameras.items():
            i = model.camera(name).id
            model.cam_pos[i] += shift.position_m
            model.cam_fovy[i] = min(max(model.cam_fovy[i] + shift.fovy_deg, 1.0), 179.0)
            mujoco.mju_mulQuat(model.cam_quat[i], model.cam_quat[i].copy(), _turn(shift.turn_deg))

    def _light(self, look: Look) -> None:
        model = self._model
        model.light_diffuse[:] *= look.light
        model.light_specular[:] *= look.light
        model.vis.headlight.ambient[:] *= look.ambient
        if any(look.light_turn_deg):
            turn = _turn((*look.light_turn_deg, 0.0))
            for direction in model.light_dir:
                mujoco.mju_rotVecQuat(direction, direction.copy(), turn)


_FIELDS = ("cam_pos", "cam_quat", "cam_fovy", "light_dir", "light_diffuse", "light_specular", "geom_rgba", "mat_rgba")


def _parts(model: mujoco.MjModel) -> dict[str, list[NDArray[np.float32]]]:
    """Return part of the scene -> the colours of its geoms and materials, as views of the model."""
    parts: dict[str, dict[str, NDArray[np.float32]]] = {part: {} for part in ("cube", "goal", "arm", "table")}
    for i in range(model.ngeom):
        body, material = model.geom_bodyid[i], model.geom_matid[i]
        if model.geom_group[i] > _LAST_SEEN_GROUP:
            continue
        if model.geom(i).name == "table":
            part = "table"
        elif model.body(model.body_rootid[body]).name == "base":
            part = "arm"
        else:
            part = "cube" if model.body(body).name == "cube" else "goal"
        if material >= 0 and (model.geom_rgba[i] == _UNPAINTED).all():
            parts[part][f"material {material}"] = model.mat_rgba[material]
        else:
            parts[part][f"geom {i}"] = model.geom_rgba[i]
    return {part: list(colours.values()) for part, colours in parts.items()}


_LAST_SEEN_GROUP = 2
"""Geoms of the groups above it are not drawn."""
_UNPAINTED = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
"""MuJoCo's colour of a geom that has its material's."""


def _painted(colour: NDArray[np.float32], paint: Paint) -> Three:
    red, green, blue = colour.tolist()
    if paint.hue_deg:
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        red, green, blue = colorsys.hsv_to_rgb((hue + paint.hue_deg / 360) % 1.0, saturation, value)
    return min(red * paint.factor[0], 1.0), min(green * paint.factor[1], 1.0), min(blue * paint.factor[2], 1.0)


def _turn(axis_deg: Three) -> NDArray[np.float64]:
    """Return the quaternion of a turn about an axis by its length [deg]; without one, that of no turn."""
    angle_rad, quat = np.radians(axis_deg), np.array([1.0, 0.0, 0.0, 0.0])
    if (length := math.sqrt(float(angle_rad @ angle_rad))) > 0.0:
        mujoco.mju_axisAngle2Quat(quat, angle_rad / length, length)
    return quat
