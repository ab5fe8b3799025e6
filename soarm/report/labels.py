"""Words on pictures: bands of text that stand over the pictures of a film.

Knows pixels and a typeface; knows nothing of what a film shows. A band is light text on a dark ground in either scheme.
"""

from __future__ import annotations

import functools
from pathlib import Path

import matplotlib as mpl
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from soarm.report.palette import COLOURS
from soarm.report.video import Frame

HEIGHT_PX = 34
SIZE_PX = 24
"""Of the text; less where it would not fit. A film of two pictures on a telephone is shown at half its size."""
_MARGIN_PX = 8
_TYPEFACE = "fonts/ttf/DejaVuSans-Bold.ttf"  # matplotlib's own: the same pixels on every machine


@functools.lru_cache(maxsize=64)
def band(width_px: int, left: str, right: str = "", colour: str = "ink") -> Frame:
    """Return a band, shape (HEIGHT_PX, width_px, 3).

    Args:
        width_px: Its width.
        left: Text at its left end.
        right: Text at its right end.
        colour: Of the text at the right end, a name of `soarm.report.palette`.
    """
    picture = Image.new("RGB", (width_px, HEIGHT_PX), COLOURS["ground"].dark)
    draw = ImageDraw.Draw(picture)
    typeface = _fitting(f"{left}   {right}" if left and right else left + right, width_px - 2 * _MARGIN_PX)
    draw.text((_MARGIN_PX, HEIGHT_PX // 2), left, COLOURS["ink"].dark, typeface, "lm")
    draw.text((width_px - _MARGIN_PX, HEIGHT_PX // 2), right, COLOURS[colour].dark, typeface, "rm")
    band: Frame = np.array(picture)
    band.flags.writeable = False  # whoever asks again gets the same one
    return band


def _fitting(text: str, width_px: int) -> ImageFont.FreeTypeFont:
    path = str(Path(mpl.get_data_path()) / _TYPEFACE)
    typeface = ImageFont.truetype(path, SIZE_PX)
    needed_px = typeface.getlength(text)
    return typeface if needed_px <= width_px else ImageFont.truetype(path, max(1, int(SIZE_PX * width_px / needed_px)))
