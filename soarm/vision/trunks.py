"""Convolutional trunks by name: a picture in, a map of features out.

Any room may use a trunk; its weights are a safetensors file (or one of torch's) that is named by its path.
B batch, C channels of the map, H and W of the picture, h and w of the map.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from soarm.errors import CheckpointError
from soarm.vision.imagenet import EfficientNetLite0, ResNet18

TrunkName = Literal["light", "resnet18", "efficientnet_lite0"]


class Light(nn.Module):
    """A trunk for two CPU cores: convolutions of 6x6, 3x3 and 3x3 pixels, 32, 64 and 128 channels, strides 4, 2 and 2, ReLU.

    The eye's (`soarm.eye`), whose file of weights `load_part` reads. Its maps are small because what a transformer costs
    grows with their cells: two pictures of 96 x 64 and 64 x 64 px make 40.

    Attributes:
        n_channels: C, 128.
        mean: Of pictures, red, green and blue in 0..1, as weights from elsewhere expect them.
        std: Likewise.
    """

    n_channels = 128
    mean, std = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)

    def __init__(self) -> None:
        super().__init__()
        sizes = (3, 32, 6, 4), (32, 64, 3, 2), (64, self.n_channels, 3, 2)
        self.convs = nn.ModuleList(nn.Conv2d(n, m, kernel_size, stride, padding=1) for n, m, kernel_size, stride in sizes)
        for conv in self.convs:
            assert isinstance(conv, nn.Conv2d)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            nn.init.zeros_(conv.bias)

    def forward(self, picture: Tensor) -> Tensor:
        """Return the map of a normalised picture: (B, 3, H, W) -> (B, 128, H / 16, W / 16), both at least 8."""
        x = picture
        for conv in self.convs:
            x = F.relu(conv(x), inplace=True)
        return x


Trunk = Light | ResNet18 | EfficientNetLite0

TRUNKS: Mapping[TrunkName, type[Trunk]] = {
    "light": Light,
    "resnet18": ResNet18,
    "efficientnet_lite0": EfficientNetLite0,
}
"""Name of a trunk -> its class, built with random weights."""


def build_trunk(name: TrunkName) -> Trunk:
    """Return a trunk with random weights."""
    return TRUNKS[name]()


def map_shape(trunk: Trunk, height_px: int, width_px: int) -> tuple[int, int, int]:
    """Return the shape (C, h, w) of a trunk's map of one picture."""
    with torch.no_grad():
        found = trunk(torch.zeros(1, 3, height_px, width_px))
    return (int(found.shape[1]), int(found.shape[2]), int(found.shape[3]))


def load_part(part: nn.Module, path: Path, name: str = "backbone") -> None:
    """Bring weights from a file into a trunk, or into a part of a network that has one.

    Args:
        part: Gets them.
        path: A safetensors file, or a state dict that torch saved (`resnet18-f37072fd.pth`). Its names are the part's, or
            those after its name and a point; what else the file holds, as the classifier of ImageNet, is left.
        name: Of the part.

    Raises:
        CheckpointError: The file cannot be read, or lacks weights of this part; lists them.
    """
    try:
        found = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, RuntimeError, pickle.UnpicklingError, EOFError) as error:
        why = "torch finds no plain tensors in it" if isinstance(error, pickle.UnpicklingError) else error
        raise CheckpointError(
            f"{path} cannot be read as weights of a trunk ({why}); name a file of safetensors or of torch in "
            "train_act.network.pretrained_backbone_weights, or null to start from random weights"
        ) from error
    own = {key.rsplit(f"{name}.", 1)[-1]: tensor for key, tensor in found.items()}
    wanted = part.state_dict()
    faults = [
        f"{key}: {tuple(own[key].shape) if key in own else 'missing'} in the file, {tuple(tensor.shape)} in the network"
        for key, tensor in wanted.items()
        if key not in own or own[key].shape != tensor.shape
    ]
    if faults:
        more = f"\n  and {len(faults) - 5} more" if len(faults) > 5 else ""
        raise CheckpointError(
            f"{path} does not hold the weights of {type(part).__name__}:\n  " + "\n  ".join(faults[:5]) + more + "\n"
            "Name the file of what train_act.network says, or change that: of the trunk of vision_backbone; with perception, "
            "of an eye of the same trunk, sizes and cameras."
        )
    part.load_state_dict({key: own[key] for key in wanted})
