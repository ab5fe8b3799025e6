"""What is done to a finished picture: another background, blur, brightness, contrast, noise. Knows no model and no scene."""

from __future__ import annotations

import functools
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm.errors import SimulationError, how_to_install
from soarm.sim.look import Look

Picture = NDArray[np.uint8]
"""Shape (H, W, 3)."""
_PATCHES = (1, 12)
"""Patches of a random background along its height: fewest and most."""


def retouched(picture: Picture, look: Look, camera_id: int, step: int) -> Picture:
    """Return a picture with the look's blur, brightness, contrast and noise, which follows from camera and control step."""
    if look.blur_px:
        picture = _blurred(picture, look.blur_px)
    if (look.brightness, look.contrast) != (1.0, 1.0):
        levels = ((np.arange(256) - 127.5) * look.contrast + 127.5) * look.brightness
        picture = _levels(levels)[picture]
    if look.noise:
        rng = np.random.default_rng((look.noise_seed, camera_id, step))
        picture = _levels(picture + look.noise * rng.standard_normal(picture.shape, np.float32))
    return picture


@functools.lru_cache(maxsize=512)
def backdrop(seed: int, camera_id: int, photos: tuple[Path, ...], height_px: int, width_px: int) -> Picture:
    """Return what is seen behind the things in an episode: a piece of one of the photos, or else patches of random colours.

    Raises:
        SimulationError: A photo cannot be read.
    """
    rng = np.random.default_rng((seed, camera_id))
    made = _piece(rng, photos, height_px, width_px) if photos else _patches(rng, height_px, width_px)
    made.flags.writeable = False
    return made


def find_photos(folder: str | None) -> tuple[Path, ...]:
    """Return the JPEG and PNG files of a folder, in the order of their names; none without a folder.

    Raises:
        SimulationError: There is no such folder, or none of them in it.
    """
    if folder is None:
        return ()
    found = sorted(path for path in Path(folder).glob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    if not found:
        what = "holds no .jpg, .jpeg or .png" if Path(folder).is_dir() else "is no folder"
        raise SimulationError(
            f"sim.look.background.photos is {folder!r}, which {what}; name a folder of photos, or null for random colours"
        )
    return tuple(found)


def _levels(grey: NDArray[np.floating]) -> Picture:
    """Return grey levels as whole numbers from 0 to 255."""
    rounded: Picture = np.clip(np.rint(grey), 0, 255).astype(np.uint8)
    return rounded


def _blurred(picture: Picture, std_px: float) -> Picture:
    """Return a picture blurred by a Gaussian, row by row and column by column; its edges go on beyond it."""
    reach = max(1, math.ceil(3 * std_px))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / std_px) ** 2).astype(np.float32)
    weights /= weights.sum()
    grey = picture.astype(np.float32)
    for axis in (0, 1):
        n = grey.shape[axis]
        padded = np.pad(grey, [(reach, reach) if i == axis else (0, 0) for i in range(3)], "edge")
        grey = sum((weight * np.take(padded, range(k, k + n), axis) for k, weight in enumerate(weights)), np.zeros_like(grey))
    return _levels(grey)


def _patches(rng: np.random.Generator, height_px: int, width_px: int) -> Picture:
    """Return smooth patches of random colours with grain of a random strength."""
    n = int(rng.integers(_PATCHES[0], _PATCHES[1] + 1))
    corners = rng.uniform(0.0, 255.0, (n + 1, n + 1, 3))
    rows, columns = np.linspace(0, n, height_px), np.linspace(0, n, width_px)
    up, left = np.minimum(rows.astype(int), n - 1), np.minimum(columns.astype(int), n - 1)
    down, right = (rows - up)[:, None, None], (columns - left)[None, :, None]
    upper = corners[up][:, left] * (1 - right) + corners[up][:, left + 1] * right
    lower = corners[up + 1][:, left] * (1 - right) + corners[up + 1][:, left + 1] * right
    grain = rng.uniform(0.0, 30.0) * rng.standard_normal((height_px, width_px, 1))
    return _levels(upper * (1 - down) + lower * down + grain)


def _piece(rng: np.random.Generator, photos: tuple[Path, ...], height_px: int, width_px: int) -> Picture:
    """Return a piece of a random photo, half as large as it can be or larger, of the picture's shape."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError:
        raise SimulationError(f"photos as backgrounds need pillow; {how_to_install('twin')}") from None
    path = photos[int(rng.integers(len(photos)))]
    try:
        with Image.open(path) as opened:
            photo = opened.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise SimulationError(
            f"{path} cannot be read as a photo: {error}; take it out of sim.look.background.photos"
        ) from None
    scale = min(photo.width / width_px, photo.height / height_px) * rng.uniform(0.5, 1.0)
    width, height = scale * width_px, scale * height_px
    left, upper = rng.uniform(0, photo.width - width), rng.uniform(0, photo.height - height)
    box = (left, upper, left + width, upper + height)
    return np.asarray(photo.resize((width_px, height_px), Image.Resampling.BILINEAR, box=box, reducing_gap=2.0)).copy()
