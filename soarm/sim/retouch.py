"""What is done to a finished picture: another background, blur, brightness, contrast, noise. Knows no model and no scene."""

from __future__ import annotations

import functools
import math
import statistics
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from soarm.errors import SimulationError, how_to_install
from soarm.sim.look import Look

Picture = NDArray[np.uint8]
"""Shape (H, W, 3)."""
_QUANTILES = np.array([statistics.NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
_NORMAL = _QUANTILES / _QUANTILES.std()
"""A normal distribution of 256 values, each as likely: a random byte is a random number, ten times as fast."""
_PATCHES = (1, 8)
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
        noise = np.rint(look.noise * _NORMAL).astype(np.int16)[np.frombuffer(rng.bytes(picture.size), np.uint8)]
        picture = np.clip(picture + noise.reshape(picture.shape), 0, 255).astype(np.uint8)
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
    for _ in range(2):  # along the rows, then along the columns
        n, padded = len(grey), np.concatenate([grey[:1].repeat(reach, 0), grey, grey[-1:].repeat(reach, 0)])
        grey = weights[0] * padded[:n]
        for k in range(1, len(weights)):
            grey += weights[k] * padded[k : k + n]
        grey = grey.swapaxes(0, 1)
    return _levels(grey)


def _patches(rng: np.random.Generator, height_px: int, width_px: int) -> Picture:
    """Return smooth patches of random colours with grain of a random strength."""
    n = int(rng.integers(_PATCHES[0], _PATCHES[1] + 1))
    corners = rng.uniform(30.0, 225.0, 3) + rng.uniform(0.0, 100.0) * rng.uniform(-1.0, 1.0, (n + 1, n + 1, 3))
    across = (_hats(n, height_px) @ corners.reshape(n + 1, -1)).reshape(height_px, n + 1, 3)
    smooth = _hats(n, width_px) @ across  # (H, W, 3)
    grain = rng.uniform(0.0, 20.0) * rng.standard_normal((height_px, width_px, 1), np.float32)
    return _levels(smooth + grain)


def _hats(n: int, size_px: int) -> NDArray[np.float64]:
    """Return the weights of n + 1 points for the pixels between them, shape (size_px, n + 1): linear interpolation."""
    hats: NDArray[np.float64] = np.maximum(0.0, 1.0 - np.abs(np.linspace(0, n, size_px)[:, None] - np.arange(n + 1)))
    return hats


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
