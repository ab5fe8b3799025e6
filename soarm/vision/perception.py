"""What cameras and joints tell together, in one vector: keypoints of every picture, put together with the arm's pose.

Spatial soft-argmax: Levine et al. 2016, "End-to-end training of deep visuomotor policies" (arXiv 1504.00702, section 5.2).
B batch, C channels of the trunk's map, h and w its size, K keypoints, G glimpses, M numbers of the small map, and
V = 2 K + G C + M.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from soarm import arm, kinematics
from soarm.kinematics import POSE_DIM
from soarm.quantities import Count, Whole
from soarm.vision.trunks import TrunkName, build_trunk, map_shape

EYE, EYE_FILE = "eye", "eye.safetensors"
"""What stands for the weights that an eye has learnt, and the file in its folder that holds them."""


@dataclasses.dataclass(frozen=True)
class PerceptionConfig:
    """Sizes of perception.

    Attributes:
        n_keypoints: K, places that each camera is asked for.
        n_glimpses: G, of these places, so many are also looked at: what the trunk sees there, whatever the place.
        map_channels: Channels of the small map, which is flattened beside them.
        map_dim: M, numbers that the flattened map becomes.
        hidden: Width of the two layers that put cameras and pose together, and so the number of features.
    """

    n_keypoints: Count
    n_glimpses: Whole
    map_channels: Count
    map_dim: Count
    hidden: Count


class Perception(nn.Module):
    """A trunk that looks through every camera, a view of each camera's map, and two layers over views and the arm's pose.

    Args:
        trunk: Name of the trunk.
        config: Sizes.
        cameras: Camera -> height and width of its pictures [px].
    """

    pose_mean: Tensor
    pose_scale: Tensor

    def __init__(self, trunk: TrunkName, config: PerceptionConfig, cameras: Mapping[str, tuple[int, int]]) -> None:
        super().__init__()
        self.backbone = build_trunk(trunk)
        views = {name: View(config, *map_shape(self.backbone, *size)) for name, size in cameras.items()}
        self.views = nn.ModuleDict(views)
        dim = sum(view.dim for view in views.values()) + POSE_DIM
        self.layers = nn.Sequential(
            nn.Linear(dim, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.hidden), nn.ReLU()
        )
        self.register_buffer("pose_mean", torch.zeros(POSE_DIM))
        self.register_buffer("pose_scale", torch.ones(POSE_DIM))

    def fit(self, pose_mean: NDArray[np.float32], pose_scale: NDArray[np.float32]) -> None:
        """Take over where the poses of the training data lie, and how far they spread, shape (`POSE_DIM`,) each."""
        self.pose_mean.copy_(torch.from_numpy(pose_mean))
        self.pose_scale.copy_(torch.from_numpy(pose_scale))

    def view(self, camera: str, pictures: Tensor) -> Tensor:
        """Return what is seen in normalised pictures of a camera, (B, 3, H, W): its view, (B, V)."""
        seen: Tensor = self.views[camera](self.backbone(pictures))
        return seen

    def forward(self, views: Sequence[Tensor], pose: Tensor) -> Tensor:
        """Return the features of what `view` saw through every camera in order, and of raw poses (B, `POSE_DIM`)."""
        features: Tensor = self.layers(torch.cat([*views, (pose - self.pose_mean) / self.pose_scale], dim=1))
        return features


class View(nn.Module):
    """Reads keypoints, glimpses and a small map off a trunk's map.

    Args:
        config: Sizes.
        n_channels: C.
        height: h.
        width: w.

    Attributes:
        dim: V.
    """

    grid: Tensor

    def __init__(self, config: PerceptionConfig, n_channels: int, height: int, width: int) -> None:
        super().__init__()
        self.keypoints = nn.Conv2d(n_channels, config.n_keypoints, 1)
        self.map = nn.Conv2d(n_channels, config.map_channels, 1)
        self.n_glimpses = config.n_glimpses
        n = config.map_channels * height * width
        self.flat = nn.Sequential(nn.Linear(n, config.map_dim), nn.LayerNorm(config.map_dim))
        self.dim = 2 * config.n_keypoints + config.n_glimpses * n_channels + config.map_dim
        y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], dim=1), persistent=False)

    def forward(self, seen: Tensor) -> Tensor:
        """Return the view of maps (B, C, h, w), shape (B, V): places in -1..1, what is seen there, and the small map."""
        weights = self.keypoints(seen).flatten(2).softmax(dim=-1)  # (B, K, cells)
        places = (weights @ self.grid).flatten(1)
        glimpses = (weights[:, : self.n_glimpses] @ seen.flatten(2).transpose(1, 2)).flatten(1)
        return torch.cat([places, glimpses, self.flat(self.map(seen).flatten(1))], dim=1)


class ArmPose(nn.Module):
    """The arm's pose from its joints, in a network: what `soarm.kinematics.pose_of` computes, in float32."""

    origins: Tensor
    fixed: Tensor
    skew: Tensor
    tcp: Tensor
    per_rad: Tensor
    zero_rad: Tensor

    def __init__(self) -> None:
        super().__init__()
        constants = {
            "origins": kinematics.ORIGINS,
            "fixed": kinematics.FIXED,
            "skew": kinematics.SKEW,
            "tcp": np.array(kinematics.TCP_IN_JAW_M),
            "per_rad": arm.PER_RAD,
            "zero_rad": arm.ZERO_RAD,
        }
        for name, value in constants.items():
            self.register_buffer(name, torch.tensor(value, dtype=torch.float32), persistent=False)

    def forward(self, state: Tensor) -> Tensor:
        """Return joints, gripper point and rotation of the fixed jaw, (B, `POSE_DIM`), of joint positions (B, 6)."""
        angle = (state / self.per_rad + self.zero_rad)[:, :5, None, None]
        turn = torch.eye(3, device=state.device) + angle.sin() * self.skew + (1.0 - angle.cos()) * (self.skew @ self.skew)
        local = self.fixed @ turn  # (B, 5, 3, 3)
        rotation, position = local[:, 0], self.origins[0]
        for j in range(1, local.shape[1]):
            position = position + rotation @ self.origins[j]
            rotation = rotation @ local[:, j]
        return torch.cat([state, position + rotation @ self.tcp, rotation.flatten(1)], dim=1)
