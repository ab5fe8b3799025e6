"""The eye's network: what cameras and joints tell together, and answers that are read off it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from soarm.estimation import Questions
from soarm.kinematics import pose_of
from soarm.policy import Array, Observation
from soarm.spec import IMAGES, STATE, Feature
from soarm.tasks.task import Task
from soarm.vision.perception import Perception, PerceptionConfig
from soarm.vision.trunks import TrunkName


@dataclasses.dataclass(frozen=True)
class EyeConfig(PerceptionConfig):
    """Sizes of the network, those of its perception among them.

    Attributes:
        vision_backbone: Trunk that looks at the pictures of every camera, one of `soarm.vision.trunks.TRUNKS`.
    """

    vision_backbone: TrunkName


class Eye(nn.Module):
    """Pictures and the arm's pose in, answers to `Questions` out.

    Args:
        config: Sizes.
        task: Whose objects it is asked for.
        cameras: Camera -> its pictures.
    """

    answer_mean: Tensor
    answer_scale: Tensor
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(self, config: EyeConfig, task: Task, cameras: Mapping[str, Feature]) -> None:
        super().__init__()
        self.config, self.questions, self.cameras = config, Questions(task), dict(cameras)
        sizes = {name: (feature.shape[0], feature.shape[1]) for name, feature in cameras.items()}
        self.perception = Perception(config.vision_backbone, config, sizes)
        self.answers = nn.Linear(config.hidden, self.questions.dim)
        self.register_buffer("answer_mean", torch.zeros(self.questions.dim))
        self.register_buffer("answer_scale", torch.ones(self.questions.dim))
        trunk = self.perception.backbone
        for name, values in (("mean", trunk.mean), ("std", trunk.std)):
            self.register_buffer(f"pixel_{name}", 255.0 * torch.tensor(values)[:, None, None], persistent=False)

    def fit_units(self, answer_mean: Array, answer_scale: Array, pose_mean: Array, pose_scale: Array) -> None:
        """Take over where answers and poses of the training frames lie, and how far they spread."""
        self.answer_mean.copy_(torch.from_numpy(answer_mean))
        self.answer_scale.copy_(torch.from_numpy(answer_scale))
        self.perception.fit(pose_mean, pose_scale)

    def forward(self, pictures: Mapping[str, Tensor], pose: Tensor) -> Tensor:
        """Return answers, shape (B, `Questions.dim`), in their units.

        Args:
            pictures: Camera -> pixels 0..255, (B, H, W, 3), of any type.
            pose: `soarm.kinematics.pose_of`, shape (B, `POSE_DIM`).
        """
        views = [self.perception.view(name, self._pixels(pictures[name])) for name in self.cameras]
        given: Tensor = self.answers(self.perception(views, pose))
        return self.answer_mean + self.answer_scale * given

    def _pixels(self, pictures: Tensor) -> Tensor:
        return (pictures.permute(0, 3, 1, 2).float() - self.pixel_mean) / self.pixel_std

    @torch.inference_mode()
    def look(self, observation: Observation) -> Array:
        """See `soarm.estimation.EyeNetwork`."""
        pictures = {name: torch.from_numpy(np.ascontiguousarray(observation[f"{IMAGES}.{name}"])) for name in self.cameras}
        given: Array = self(pictures, torch.from_numpy(pose_of(observation[STATE]))).numpy()
        return given
