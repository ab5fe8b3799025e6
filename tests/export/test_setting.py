"""A simulator with the cameras of a bundle."""

from __future__ import annotations

import dataclasses

import pytest

from soarm.errors import SimulationError
from soarm.export.setting import mounting_of, seen_as
from soarm.runtime.mounting import Mounting
from soarm.sim.params import CameraParams

FRONT = CameraParams(32, 24, 2, (0.0, -0.6, 0.46), (0.1, -0.185, 0.0), 30.0)


@pytest.fixture(scope="module")
def mounting(sim):
    """One camera moved, one as the scene has it."""
    found = mounting_of(dataclasses.replace(sim, cameras={"front": FRONT, "wrist": CameraParams(16, 16)}))
    assert found is not None
    return Mounting.from_json(found.to_json())


def test_cameras_are_mounted_as_they_were_and_one_of_the_scene_stays_its_own(sim, mounting):
    seen = seen_as(sim, mounting)

    assert mounting_of(seen) == mounting
    assert seen.cameras["wrist"] == CameraParams(16, 16)
    assert dataclasses.replace(seen, cameras={}) == sim


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("desk", "world", "the scene has no camera 'desk'; it has"),
        ("wrist", "world", "wrist was mounted on world, .* on gripper"),
    ],
)
def test_a_camera_that_the_scene_cannot_have_is_refused(sim, mounting, name, body, message):
    elsewhere = Mounting({name: dataclasses.replace(mounting.cameras["wrist"], body=body)}, {})

    with pytest.raises(SimulationError, match=message):
        seen_as(sim, elsewhere)
