"""Where the point behind the cube is, as a residual of the push observes it."""

from __future__ import annotations

import numpy as np
import pytest

from soarm import kinematics
from soarm.chunking import Step
from soarm.spec import ENVIRONMENT_STATE, STATE
from soarm.tasks.push import TASK
from soarm.tasks.push.residual_features import BEHIND_M
from soarm.tasks.residual_observation import N_LOOKAHEAD

HOME = np.float32([[0.0, 0.0, 5.0, 90.0, -90.0, 0.0]])


def observe(cube: np.ndarray, square: np.ndarray) -> dict[str, np.ndarray]:
    """Return the terms by name of an arm at home, the cube's and the square's middle at these places [m]."""
    objects = np.float32([[*cube, 1.0, 0.0, *square]])
    step = Step(np.zeros((1, 6), np.float32), np.zeros(1, np.float32), np.zeros((1, N_LOOKAHEAD, 6), np.float32))
    layout = TASK.residual_observation
    seen = layout.compute({STATE: HOME, ENVIRONMENT_STATE: objects}, step)[0]
    return {name: seen[where] for name, where in layout.blocks.items()}


@pytest.mark.parametrize("direction", [(1.0, 0.0), (0.0, -1.0), (-0.6, 0.8)])
def test_the_gripper_is_at_the_push_point_when_the_cube_lies_before_it_towards_the_square(
    direction: tuple[float, float],
) -> None:
    tcp, jaw = (part[0] for part in kinematics.forward(HOME))
    way = np.array([*direction, 0.0])
    seen = observe(tcp + BEHIND_M * way, (tcp + 0.1 * way)[:2])

    assert seen["push_point_in_plane"] == pytest.approx(np.zeros(3), abs=1e-6)
    assert seen["push_point_in_jaw"] == pytest.approx(np.zeros(3), abs=1e-6)
    assert seen["direction_in_jaw"] == pytest.approx(jaw.T @ way, abs=1e-5)
    assert np.linalg.norm(seen["square_in_plane"]) == pytest.approx(0.1 - BEHIND_M, abs=1e-6)


def test_a_cube_in_the_middle_of_the_square_has_no_direction() -> None:
    tcp = kinematics.forward(HOME)[0][0]
    seen = observe(tcp, tcp[:2])

    assert seen["direction_in_jaw"] == pytest.approx(np.zeros(3))
    assert np.isfinite(seen["push_point_in_plane"]).all()
