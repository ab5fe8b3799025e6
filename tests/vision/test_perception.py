"""What networks are told of the arm, and what is read off a picture."""

import numpy as np
import torch

from soarm import arm
from soarm.kinematics import pose_of
from soarm.vision.perception import ArmPose, PerceptionConfig, View


def test_the_arms_pose_is_that_of_the_kinematics():
    state = np.random.default_rng(0).uniform(arm.LOWER, arm.UPPER, (50, 6)).astype(np.float32)

    np.testing.assert_allclose(ArmPose()(torch.from_numpy(state)).numpy(), pose_of(state), rtol=1e-5, atol=1e-5)


def test_a_keypoint_is_where_its_channel_is_bright():
    view = View(PerceptionConfig(n_keypoints=1, n_glimpses=1, map_channels=1, map_dim=2, hidden=4), 3, 5, 9)
    with torch.no_grad():
        view.keypoints.weight.copy_(torch.tensor([1.0, 0.0, 0.0])[None, :, None, None])
        seen = torch.zeros(1, 3, 5, 9)
        seen[0, :, 4, 2] = torch.tensor([50.0, 7.0, -7.0])

        x, y, *glimpse = view(seen)[0, :5].tolist()

    np.testing.assert_allclose([x, y], [-0.5, 1.0], atol=1e-5)
    np.testing.assert_allclose(glimpse, [50.0, 7.0, -7.0], atol=1e-4)
    assert view.dim == view(seen).shape[1]
