from __future__ import annotations

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.runtime.plausible import require_numbers, require_plausible
from soarm.sim.cubes import yaw4
from soarm.sim.draw import draw_scene
from soarm.tasks.pick_place import TASK

GOOD = [0.0, -0.2, 0.0125, 1.0, 0.0, 0.15, -0.15]
NAMES = ["cube.x", "cube.y", "cube.z", "cube.yaw4_cos", "cube.yaw4_sin", "bin.x", "bin.y"]


def changed(**values):
    return [values.get(name.replace(".", "_"), value) for name, value in zip(NAMES, GOOD, strict=True)]


@pytest.mark.parametrize(
    ("objects", "fault"),
    [
        ([0, -200, 12.5, 1, 0, 150, -150], r"cube is out of reach.*\n.*bin is out of reach.*\n.*z is 12.5.*\n.*millimetres"),
        ([0, -20, 1.25, 1, 0, 15, -15], "These look like centimetres; metres are wanted"),
        ([0, -7.9, 0.5, 1, 0, 5.9, -5.9], "These look like inches"),
        ([0, -0.2, -0.3, 1, 0, 0.15, -0.15], r"the cube's middle is under the table: z is -0.3 m; allowed are 0 to 0.45"),
        (changed(cube_z=1.0), "higher than the arm reaches: z is 1 m"),
        (changed(cube_y=0.2), r"the cube is behind the arm: x 0 m, y 0.2 m; the arm reaches towards -y"),
        (changed(cube_y=0.2, bin_y=0.15), "With the sign of y turned they could be"),
        (changed(bin_x=0.0, bin_y=-0.06), r"the bin is in the arm's base: .* 0.0148 m from its axis, at least 0.08 is free"),
        (changed(bin_x=0.5), r"the bin is out of reach: x 0.5 m, y -0.15 m is 0.511 m .* the arm reaches 0.43"),
        (changed(cube_yaw4_cos=15.0), r"\(15, 0\), have length 15; no cube has more than 1. .* four times the yaw"),
        (changed(cube_x=1e9), "out of reach: x 1e"),
    ],
)
def test_what_cannot_be_is_named_with_the_unit_it_looks_like(objects, fault):
    with pytest.raises(ObservationError, match=rf"(?s)seen: cube or bin cannot be there:.*{fault}"):
        require_plausible(TASK, objects, "seen")


def test_all_faults_are_named_at_once():
    with pytest.raises(ObservationError) as caught:
        require_plausible(TASK, [1.0, -0.2, -0.3, 1.0, 1.0, 0.0, 0.3], "seen")

    assert all(
        part in str(caught.value) for part in ("cube is out of reach", "bin is behind", "under the table", "length 1.41")
    )


@pytest.mark.parametrize(
    "objects",
    [
        *[None, "seven", [], {"cube": 1}, GOOD[:6], [*GOOD, 0.0], [GOOD], [[1], 2, 3, 4, 5, 6, 7]],
        *[changed(cube_x=x) for x in (np.nan, np.inf, 10**400, 1e300, "left", None)],
    ],
)
def test_what_is_no_seven_numbers_is_refused(objects):
    for require in (require_numbers, require_plausible):
        with pytest.raises(ObservationError, match=r"must be 7 finite numbers: cube.x, cube.y, cube.z"):
            require(TASK, objects, "seen")


def test_what_the_simulator_draws_and_a_tilted_or_carried_cube_are_good(sim):
    for seed in range(200):
        scene = draw_scene(sim, seed)
        flat = yaw4((np.cos(scene.cube_yaw / 2), 0.0, 0.0, np.sin(scene.cube_yaw / 2)))
        require_plausible(TASK, [*scene.cube_xy, 0.0125, *flat, *scene.bin_xy], "scene")

    assert require_plausible(TASK, changed(cube_z=0.17, cube_yaw4_cos=0.3), "tilted").dtype == np.float32
