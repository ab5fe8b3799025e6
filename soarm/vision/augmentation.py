"""Pictures changed at random while a network learns from them: moved by pixels, brighter, of more contrast, of other colours.

Draws come from torch's random stream. Every picture of a batch is changed in a way of its own.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated

import torch
from torch import Tensor

from soarm.quantities import Share, within


@dataclasses.dataclass(frozen=True)
class AugmentationParams:
    """How far pictures are changed; each number is the end of a symmetric range, and 0 leaves that out.

    Attributes:
        shift_px: Largest shift in each direction [px]; the picture's edge is repeated. At 96 px a pixel is 6 mm on the table.
        brightness: Largest change of a picture's brightness, as a share of it.
        contrast: Largest change of the distance from the picture's mean, as a share of it.
        colour: Largest change of each of red, green and blue, as a share of it.
    """

    shift_px: Annotated[int, within(least=0, most=16)]
    brightness: Share
    contrast: Share
    colour: Share


def augment(pictures: Tensor, params: AugmentationParams) -> Tensor:
    """Return changed copies of pictures.

    Args:
        pictures: uint8, (B, H, W, 3).
        params: How far.

    Returns:
        float32, (B, H, W, 3), in 0..255.
    """
    x = _shifted(pictures, params.shift_px).float()
    n = len(x)
    gain = _factors(params.brightness, n, 1, x) * _factors(params.colour, n, 3, x)  # (B, 1, 1, 3)
    mean = x.mean(dim=(1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * _factors(params.contrast, n, 1, x)) * gain
    return x.clamp_(0.0, 255.0)


def _factors(range_: float, n: int, n_channels: int, like: Tensor) -> Tensor:
    """Return factors drawn evenly from 1 - range..1 + range, shape (n, 1, 1, n_channels)."""
    return 1.0 + range_ * (2.0 * torch.rand(n, 1, 1, n_channels).to(like.device) - 1.0)


def _shifted(pictures: Tensor, most_px: int) -> Tensor:
    """Return each picture moved by a whole number of pixels, -most_px..most_px down and to the right."""
    if most_px == 0:
        return pictures
    n, height, width, _ = pictures.shape
    by = torch.randint(-most_px, most_px + 1, (2, n, 1), device="cpu").to(pictures.device)
    rows = (torch.arange(height, device=pictures.device) - by[0]).clamp_(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=pictures.device) - by[1]).clamp_(0, width - 1)  # (B, W)
    return pictures[torch.arange(n, device=pictures.device)[:, None, None], rows[:, :, None], columns[:, None, :]]
