"""When a push is done, as far as sensors of a robot can tell."""

from __future__ import annotations

import numpy as np
import pytest

from soarm.tasks.push.things import GOAL, INSIDE_M, LET_GO_M, LIFTED_M
from soarm.tasks.tabletop import CUBE_HALF_M

SQUARE = {"square.x": 0.1, "square.y": -0.2}


@pytest.mark.parametrize(
    ("aside_m", "height_m", "gripper_m", "reached"),
    [
        (0.0, 0.0, 0.05, True),
        (INSIDE_M - 1e-4, 0.0, LET_GO_M + 1e-4, True),
        (INSIDE_M + 1e-4, 0.0, 0.05, False),
        (0.0, LIFTED_M + 1e-4, 0.05, False),
        (0.0, 0.0, LET_GO_M - 1e-4, False),
    ],
    ids=["in the middle", "just inside", "just outside", "lifted", "touched"],
)
def test_the_cube_lies_in_the_square_when_it_is_inside_on_the_table_and_let_go(
    aside_m: float, height_m: float, gripper_m: float, reached: bool
) -> None:
    cube = {"cube.x": 0.1 + aside_m, "cube.y": -0.2 - aside_m, "cube.z": CUBE_HALF_M + height_m}
    tcp_m = np.array([cube["cube.x"], cube["cube.y"] + gripper_m, cube["cube.z"]])

    assert GOAL.reached(SQUARE | cube, tcp_m) is reached
