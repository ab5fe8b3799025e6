"""The eye's network: a small convolutional trunk per camera, keypoints by spatial soft-argmax, and the arm's pose beside them.

Spatial soft-argmax: Levine et al. 2016, "End-to-end training of deep visuomotor policies" (arXiv 1504.00702, section 5.2).
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Annotated

import numpy as np
import torch
from torch import Tensor, nn

from soarm.estimation import POSE_DIM, Questions, pose_of
from soarm.policy import Array, Observation
from soarm.quantities import SOME, Count, Whole
from soarm.spec import IMAGES, STATE, Feature
from soarm.tasks.task import Task

_MIDDLE, _SPREAD = 127.5, 64.0
"""Of pixels."""


@dataclasses.dataclass(frozen=True)
class EyeConfig:
    """Sizes of the network.

    Attributes:
        channels: Of the convolutions: the first looks at 6x6 pixels and quarters the picture, the second halves it again.
        n_keypoints: Places that each camera is asked for.
        n_glimpses: Of these places, so many are also looked at: what the trunk sees there, whatever the place.
        map_channels: Channels of the map that is flattened beside them.
        map_dim: Numbers that the flattened map becomes.
        hidden: Width of the two layers that put cameras and pose together.
    """

    channels: Annotated[tuple[Count, ...], SOME]
    n_keypoints: Count
    n_glimpses: Whole
    map_channels: Count
    map_dim: Count
    hidden: Count


class Eye(nn.Module):
    """Pictures and the arm's pose in, answers to `Questions` out.

    Args:
        config: Sizes.
        task: Whose objects it is asked for.
        cameras: Camera -> its pictures.
    """

    answer_mean: Tensor
    answer_scale: Tensor
    pose_mean: Tensor
    pose_scale: Tensor

    def __init__(self, config: EyeConfig, task: Task, cameras: Mapping[str, Feature]) -> None:
        super().__init__()
        self.config, self.questions, self.cameras = config, Questions(task), dict(cameras)
        self.trunks = nn.ModuleDict({name: _Camera(config, *feature.shape[:2]) for name, feature in cameras.items()})
        dim = len(cameras) * (2 * config.n_keypoints + config.n_glimpses * config.channels[-1] + config.map_dim) + POSE_DIM
        hidden, n = config.hidden, self.questions.dim
        self.head = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, n)
        )
        for name, size in (("answer", n), ("pose", POSE_DIM)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))

    def fit_units(self, answer_mean: Array, answer_scale: Array, pose_mean: Array, pose_scale: Array) -> None:
        """Take over where answers and poses of the training frames lie, and how far they spread."""
        given = (answer_mean, answer_scale, pose_mean, pose_scale)
        own = (self.answer_mean, self.answer_scale, self.pose_mean, self.pose_scale)
        for buffer, values in zip(own, given, strict=True):
            buffer.copy_(torch.from_numpy(values))

    def forward(self, pictures: Mapping[str, Tensor], pose: Tensor) -> Tensor:
        """Return answers, shape (B, `Questions.dim`), in their units.

        Args:
            pictures: Camera -> pixels 0..255, (B, H, W, 3), of any type.
            pose: `soarm.estimation.pose_of`, shape (B, `POSE_DIM`).
        """
        seen = [trunk(pictures[name]) for name, trunk in self.trunks.items()]
        given: Tensor = self.head(torch.cat([*seen, (pose - self.pose_mean) / self.pose_scale], dim=1))
        return self.answer_mean + self.answer_scale * given

    @torch.inference_mode()
    def look(self, observation: Observation) -> Array:
        """See `soarm.estimation.EyeNetwork`."""
        pictures = {name: torch.from_numpy(np.ascontiguousarray(observation[f"{IMAGES}.{name}"])) for name in self.cameras}
        given: Array = self(pictures, torch.from_numpy(pose_of(observation[STATE]))).numpy()
        return given


class _Camera(nn.Module):
    """Trunk and head of one camera: pictures (B, H, W, 3) -> keypoints and a small map, (B, 2 K + M)."""

    grid: Tensor

    def __init__(self, config: EyeConfig, height: int, width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, config.channels[0], 6, 4, 1), nn.ReLU()]
        height, width = height // 4, width // 4
        for i, (before, after) in enumerate(itertools.pairwise(config.channels)):
            stride = 2 if i == 0 else 1
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.ReLU()]
            height, width = -(-height // stride), -(-width // stride)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.trunk = nn.Sequential(*layers)
        last = config.channels[-1]
        self.keypoints, self.map = nn.Conv2d(last, config.n_keypoints, 1), nn.Conv2d(last, config.map_channels, 1)
        self.n_glimpses = config.n_glimpses
        n = config.map_channels * height * width
        self.flat = nn.Sequential(nn.Linear(n, config.map_dim), nn.LayerNorm(config.map_dim))
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.trunk((pictures.permute(0, 3, 1, 2).float() - _MIDDLE) / _SPREAD)
        weights = self.keypoints(x).flatten(2).softmax(dim=-1)  # (B, K, cells)
        places = (weights @ self.grid).flatten(1)
        glimpses = (weights[:, : self.n_glimpses] @ x.flatten(2).transpose(1, 2)).flatten(1)
        return torch.cat([places, glimpses, self.flat(self.map(x).flatten(1))], dim=1)
