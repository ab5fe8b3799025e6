"""Laws of the kinematics: no simulator needed. The chain itself is held against MuJoCo in tests/sim."""

from __future__ import annotations

import numpy as np
import pytest

from soarm import arm, kinematics


@pytest.fixture
def poses() -> np.ndarray:
    """Poses well inside the limits, shape (20, 6)."""
    spread = np.random.default_rng(0).uniform(0.1, 0.9, (20, 6))
    return arm.LOWER + spread * (arm.UPPER - arm.LOWER)


def test_rotations_are_rotations(poses: np.ndarray) -> None:
    _, rotation = kinematics.forward(poses)

    np.testing.assert_allclose(rotation @ np.swapaxes(rotation, -1, -2), np.broadcast_to(np.eye(3), rotation.shape), atol=1e-5)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0, atol=1e-5)


def test_many_poses_at_once_equal_one_at_a_time(poses: np.ndarray) -> None:
    position, rotation = kinematics.forward(poses)
    translational, rotational = kinematics.jacobian(poses)

    for i, pose in enumerate(poses):
        np.testing.assert_allclose(position[i], kinematics.forward(pose)[0], atol=1e-12)
        np.testing.assert_allclose(rotation[i], kinematics.forward(pose)[1], atol=1e-12)
        np.testing.assert_allclose(translational[i], kinematics.jacobian(pose)[0], atol=1e-12)
        np.testing.assert_allclose(rotational[i], kinematics.jacobian(pose)[1], atol=1e-12)


def test_jacobian_equals_finite_differences(poses: np.ndarray) -> None:
    step_rad = 1e-6
    for pose in poses:
        translational, rotational = kinematics.jacobian(pose)
        q_rad = arm.to_radians(pose)
        for j in range(5):
            offset = step_rad * np.eye(6)[j]
            after, turned = kinematics.forward(arm.from_radians(q_rad + offset))
            before, unturned = kinematics.forward(arm.from_radians(q_rad - offset))
            spin = (turned - unturned) @ unturned.T / (2 * step_rad)  # skew matrix of the angular velocity
            np.testing.assert_allclose(translational[:, j], (after - before) / (2 * step_rad), atol=1e-7)
            np.testing.assert_allclose(rotational[:, j], [spin[2, 1], spin[0, 2], spin[1, 0]], atol=1e-5)


def test_the_gripper_joint_moves_the_jaw_and_not_the_gripper_point(poses: np.ndarray) -> None:
    opened = poses.copy()
    opened[:, arm.GRIPPER] = 100.0

    np.testing.assert_array_equal(kinematics.forward(opened)[0], kinematics.forward(poses)[0])


def test_turning_the_base_turns_the_gripper_point_about_the_vertical(poses: np.ndarray) -> None:
    turned = poses.copy()
    turned[:, 0] += 7.0
    axis = np.array([0.0, -0.0452])  # of the shoulder_pan joint, in the base frame

    before, after = kinematics.forward(poses)[0], kinematics.forward(turned)[0]

    np.testing.assert_allclose(after[:, 2], before[:, 2], atol=1e-6)
    np.testing.assert_allclose(
        np.linalg.norm(after[:, :2] - axis, axis=1), np.linalg.norm(before[:, :2] - axis, axis=1), atol=1e-6
    )


def test_inverse_kinematics_finds_the_pose_forward_kinematics_gave(poses: np.ndarray) -> None:
    position, rotation = kinematics.forward(poses)
    near = poses.copy()
    near[:, :5] += np.random.default_rng(1).uniform(-8.0, 8.0, (len(poses), 5))

    reach = kinematics.solve_ik(position, rotation, near, iterations=60)

    assert reach.position_error_m.max() < 1e-4
    assert reach.rotation_error_deg.max() < 0.5
    np.testing.assert_allclose(kinematics.forward(reach.q)[0], position, atol=1e-4)


def test_inverse_kinematics_stays_inside_the_limits_and_admits_what_it_cannot_reach() -> None:
    start = np.array([0.0, 0.0, 5.0, 90.0, -90.0, 30.0])
    rotation = kinematics.forward(start)[1]

    reach = kinematics.solve_ik([[0.0, -2.0, 0.1]], rotation[None], start)

    assert (reach.q >= arm.LOWER - 1e-9).all()
    assert (reach.q <= arm.UPPER + 1e-9).all()
    assert reach.position_error_m[0] > 1.0
    assert reach.q[0, arm.GRIPPER] == 30.0


def test_gripper_rotation_puts_fingers_and_opening_where_asked() -> None:
    rotation = kinematics.gripper_rotation([0.0, 0.0, -2.0], [1.0, 0.0, 5.0])

    np.testing.assert_allclose(rotation @ [0.0, -1.0, 0.0], [0.0, 0.0, -1.0], atol=1e-12)
    np.testing.assert_allclose(rotation @ [-1.0, 0.0, 0.0], [1.0, 0.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1.0)


def test_a_minimum_jerk_move_starts_and_ends_at_rest_and_is_fastest_in_its_middle() -> None:
    share = np.linspace(0.0, 1.0, 1001)
    speed = np.diff(kinematics.minimum_jerk(share)) / np.diff(share)

    assert (kinematics.minimum_jerk(0.0), kinematics.minimum_jerk(1.0)) == (0.0, 1.0)
    assert max(speed[0], speed[-1]) < 1e-4
    assert speed.max() == pytest.approx(kinematics.MINIMUM_JERK_PEAK, rel=1e-5)
    assert abs(speed.argmax() - 500) <= 1
