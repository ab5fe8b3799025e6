"""Dropout that does not cost more than the matrix products around it.

On a CPU, torch draws dropout masks one number per element: 25 ms for 3328 x 1024 elements where the matrix product that made
them takes 27 ms (torch 2.13, one thread). Sixteen bits per element are enough, and four elements to a draw take 6 ms.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

_LEVELS = 2**16


class Dropout(nn.Module):
    """Zeroes elements at random in training and scales the rest up, as `torch.nn.Dropout`; the identity in evaluation.

    Draws from torch's random stream. On the CPU `p` is rounded to 1 / 65536.

    Args:
        p: Probability of zeroing an element, in [0, 1).
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """Return `x` with elements dropped, same shape."""
        if not self.training or self.p == 0.0:
            return x
        if x.device.type != "cpu":
            return F.dropout(x, self.p)
        n_dropped = round(self.p * _LEVELS)
        n = x.numel()
        bits = torch.empty((n + 3) // 4, dtype=torch.int64).random_(-(2**63), None).view(torch.int16)[:n]
        mask = torch.ge(bits.view(x.shape), n_dropped - _LEVELS // 2, out=torch.empty(x.shape))  # 1.0 where kept
        return x * mask.mul_(_LEVELS / (_LEVELS - n_dropped))
