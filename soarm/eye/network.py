"""The eye's network: a convolutional trunk for all cameras, keypoints by spatial soft-argmax, and the arm's pose beside them.

Spatial soft-argmax: Levine et al. 2016, "End-to-end training of deep visuomotor policies" (arXiv 1504.00702, section 5.2).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from soarm.estimation import POSE_DIM, Questions, pose_of
from soarm.policy import Array, Observation
from soarm.quantities import Count, Whole
from soarm.spec import IMAGES, STATE, Feature
from soarm.tasks.task import Task
from soarm.vision.trunks import TrunkName, build_trunk, map_shape


@dataclasses.dataclass(frozen=True)
class EyeConfig:
    """Sizes of the network.

    Attributes:
        vision_backbone: Trunk that looks at the pictures of every camera, one of `soarm.vision.trunks.TRUNKS`.
        n_keypoints: Places that each camera is asked for.
        n_glimpses: Of these places, so many are also looked at: what the trunk sees there, whatever the place.
        map_channels: Channels of the map that is flattened beside them.
        map_dim: Numbers that the flattened map becomes.
        hidden: Width of the two layers that put cameras and pose together.
    """

    vision_backbone: TrunkName
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
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: EyeConfig, task: Task, cameras: Mapping[str, Feature]) -> None:
        super().__init__()
        self.config, self.questions, self.cameras = config, Questions(task), dict(cameras)
        self.backbone = build_trunk(config.vision_backbone)
        maps = {name: map_shape(self.backbone, *feature.shape[:2]) for name, feature in cameras.items()}
        self.views = nn.ModuleDict({name: _View(config, *shape) for name, shape in maps.items()})
        n_glimpsed = config.n_glimpses * self.backbone.n_channels
        dim = len(cameras) * (2 * config.n_keypoints + n_glimpsed + config.map_dim) + POSE_DIM
        hidden, n = config.hidden, self.questions.dim
        self.head = nn.Sequential(
            nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, n)
        )
        for name, size in (("answer", n), ("pose", POSE_DIM)):
            self.register_buffer(f"{name}_mean", torch.zeros(size))
            self.register_buffer(f"{name}_scale", torch.ones(size))
        for name, values in (("mean", self.backbone.mean), ("std", self.backbone.std)):
            self.register_buffer(f"pixel_{name}", 255.0 * torch.tensor(values)[:, None, None], persistent=False)

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
        seen = [view(self.backbone(self._pixels(pictures[name]))) for name, view in self.views.items()]
        given: Tensor = self.head(torch.cat([*seen, (pose - self.pose_mean) / self.pose_scale], dim=1))
        return self.answer_mean + self.answer_scale * given

    def _pixels(self, pictures: Tensor) -> Tensor:
        return (pictures.permute(0, 3, 1, 2).float() - self.pixel_mean) / self.pixel_std

    @torch.inference_mode()
    def look(self, observation: Observation) -> Array:
        """See `soarm.estimation.EyeNetwork`."""
        pictures = {name: torch.from_numpy(np.ascontiguousarray(observation[f"{IMAGES}.{name}"])) for name in self.cameras}
        given: Array = self(pictures, torch.from_numpy(pose_of(observation[STATE]))).numpy()
        return given


class _View(nn.Module):
    """What is read off the map of one camera, (B, C, h, w): keypoints, glimpses and a small map, (B, 2 K + G C + M)."""

    grid: Tensor

    def __init__(self, config: EyeConfig, n_channels: int, height: int, width: int) -> None:
        super().__init__()
        self.keypoints = nn.Conv2d(n_channels, config.n_keypoints, 1)
        self.map = nn.Conv2d(n_channels, config.map_channels, 1)
        self.n_glimpses = config.n_glimpses
        n = config.map_channels * height * width
        self.flat = nn.Sequential(nn.Linear(n, config.map_dim), nn.LayerNorm(config.map_dim))
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, seen: Tensor) -> Tensor:
        weights = self.keypoints(seen).flatten(2).softmax(dim=-1)  # (B, K, cells)
        places = (weights @ self.grid).flatten(1)
        glimpses = (weights[:, : self.n_glimpses] @ seen.flatten(2).transpose(1, 2)).flatten(1)
        return torch.cat([places, glimpses, self.flat(self.map(seen).flatten(1))], dim=1)
