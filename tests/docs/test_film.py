"""docs/film.py: what the pictures of README and docs are written with."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

_SPEC = importlib.util.spec_from_file_location("film_page", Path(__file__).parents[2] / "docs" / "film.py")
assert _SPEC is not None
assert _SPEC.loader is not None
film = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(film)


def test_a_gif_plays_every_frame_for_ever(tmp_path: Path) -> None:
    frames = np.full((6, 48, 64, 3), (90, 20, 20), np.uint8)
    for i, frame in enumerate(frames):
        frame[8:24, 2 * i : 2 * i + 16] = 240
    film.write_gif(iter(frames), tmp_path / "clip.gif", fps=20)
    with Image.open(tmp_path / "clip.gif") as image:
        found = (image.n_frames, image.info["duration"], image.info["loop"])

    assert found == (6, 50, 0)


def test_nothing_is_no_animation(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="at least one frame"):
        film.write_gif([], tmp_path / "v.gif", fps=30)
