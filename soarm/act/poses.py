"""Object poses learnt beside the actions, where a dataset from the simulator has them: its trunk learns where things are."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from soarm.act.model import ACT
from soarm.act.normalisation import Standardise, Statistics
from soarm.base import Demonstrations
from soarm.errors import DatasetError
from soarm.policy import Array
from soarm.spec import ENVIRONMENT_STATE, STATE, image_keys


def require_poses(demonstrations: Demonstrations, keys: tuple[str, ...]) -> str:
    """Return the key of the object poses that pictures are learnt from.

    Args:
        demonstrations: The dataset.
        keys: Of the features that ACT observes.

    Raises:
        DatasetError: There are no poses, or no pictures.
    """
    if ENVIRONMENT_STATE not in demonstrations.columns or not image_keys({key: demonstrations.features[key] for key in keys}):
        raise DatasetError(
            f"train_act.pose_loss_weight is above 0, so {ENVIRONMENT_STATE} must be in the dataset, and cameras among what "
            f"ACT observes; the dataset holds {sorted(demonstrations.columns)}, and ACT observes {list(keys)}. Set the weight "
            "to 0, or take a dataset with cameras that was recorded in the simulator"
        )
    return ENVIRONMENT_STATE


class PoseHead(nn.Module):
    """Reads object poses from what is seen and the joints, so that the trunk learns where things are; training only.

    Of every channel of a map it takes the mean position of its softmax (spatial soft-argmax, Finn et al. 2016, arXiv
    1509.06113); the features of perception it takes as they are.

    Args:
        n_seen: Numbers that it takes.
        n_state: Elements of the state.
        n_poses: Elements of the poses.
    """

    def __init__(self, n_seen: int, n_state: int, n_poses: int) -> None:
        super().__init__()
        self.standardise = Standardise(n_poses)
        self.temperature = nn.Parameter(torch.ones(()))
        self.layers = nn.Sequential(nn.Linear(n_seen + n_state, 128), nn.ReLU(), nn.Linear(128, n_poses))

    @classmethod
    def of(cls, model: ACT, poses: Array, std_floor: float) -> PoseHead:
        """Return an untrained head for a network, normalised by the poses of its training data, (N, n_poses)."""
        head = cls(model.n_seen, model.spec.features[STATE].shape[0], poses.shape[1])
        found = Statistics.of({ENVIRONMENT_STATE: poses}, std_floor)
        head.standardise.fit(found.mean[ENVIRONMENT_STATE], found.std[ENVIRONMENT_STATE])
        return head

    def forward(self, seen: list[Tensor], state: Tensor, poses: Tensor) -> Tensor:
        """Return the smooth-L1 error of raw `poses`, (B, n_poses), from `ACT.seen` and the normalised state, (B, n)."""
        points = [self._points(one.float()) if one.dim() == 4 else one for one in seen]
        error: Tensor = F.smooth_l1_loss(self.layers(torch.cat([*points, state], dim=1)), self.standardise(poses))
        return error

    def _points(self, one: Tensor) -> Tensor:
        """Return (B, 2 C): the mean row and column of each channel, in -1..1."""
        weights = (one.flatten(2) * self.temperature).softmax(dim=-1).view_as(one)
        rows, columns = (torch.linspace(-1.0, 1.0, n, device=one.device) for n in one.shape[2:])
        return torch.cat([(weights.sum(dim=3) * rows).sum(dim=2), (weights.sum(dim=2) * columns).sum(dim=2)], dim=1)
