"""Things in a painted picture: found to a millimetre, hidden where they are partly covered."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from soarm.errors import ObservationError
from soarm.table_camera.colours import Colour, as_hsv, colours_told, patches
from soarm.table_camera.drawing import drawn
from soarm.table_camera.outlines import fit
from soarm.table_camera.table import Plane
from soarm.table_camera.tracker import CameraTracker, Tracker
from soarm.tasks.pick_place import TASK
from soarm.tasks.registry import find

_SPEC = importlib.util.spec_from_file_location("painted", Path(__file__).with_name("painted.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
painted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(painted)
AT, BIN_AT, YAW, SCENE = painted.AT, painted.BIN_AT, painted.YAW, painted.SCENE
BLUE, CAMERA, CUBE, paint = painted.BLUE, painted.CAMERA, painted.CUBE, painted.paint


@pytest.mark.parametrize("radial_m", [0.0, 0.004])
def test_a_place_on_the_table_and_its_picture_are_each_others_inverse(radial_m):
    camera = dataclasses.replace(CAMERA, radial_m=radial_m)
    xy = np.array([[0.0, -0.2], [0.15, -0.12], [-0.1, -0.28]])

    for height in (0.0, 0.025, 0.1):
        np.testing.assert_allclose(camera.locate(camera.project(xy, height), height), xy, atol=1e-9)
    assert camera.eye_m[2] > 0.3


def test_places_of_one_height_map_to_the_picture_by_a_homography():
    import cv2

    xy = np.random.default_rng(0).uniform([-0.2, -0.3], [0.2, -0.1], (12, 2))
    px = CAMERA.project(xy, 0.0125)
    mapped, _ = cv2.findHomography(xy[:6], px[:6])

    np.testing.assert_allclose(cv2.perspectiveTransform(xy[None], mapped)[0], px, atol=1e-6)


@pytest.mark.parametrize("yaw", [-40.0, 0.0, 17.0, 44.0])
@pytest.mark.parametrize("xy", [(0.0, -0.2), (0.16, -0.13), (-0.14, -0.22)])
def test_a_cube_is_found_to_half_a_millimetre_and_two_degrees(xy, yaw):
    (patch,) = patches(as_hsv(paint((CUBE, xy, yaw, BLUE))), Colour(216.0), 3)
    found = fit(CAMERA, CUBE, patch.outline, turns=True)

    assert math.dist(found.xy_m, xy) < 0.0005
    assert abs((found.yaw_deg - yaw + 45) % 90 - 45) < 2.0
    assert found.cover > 0.95


def test_a_tracker_tells_the_objects_and_what_is_hidden_with_its_age(table):
    tracker = Tracker(TASK, table)
    x, y = CAMERA.project(np.array(AT), 0.0125).astype(int)
    seen = tracker.see(paint(*SCENE), 10.0)
    covered = tracker.see(paint(*SCENE, over=[(x, y - 20, 40, 40)]), 11.5)
    away = tracker.see(paint(SCENE[1]), 12.0)
    back = tracker.see(paint((CUBE, (0.0, -0.25), 0.0, BLUE), SCENE[1]), 12.1)

    assert seen.objects is not None
    np.testing.assert_allclose(seen.objects[:3], [*AT, 0.0125], atol=0.001)
    np.testing.assert_allclose(seen.objects[3:5], [np.cos(np.radians(80)), np.sin(np.radians(80))], atol=0.15)
    np.testing.assert_allclose(seen.objects[5:], BIN_AT, atol=0.001)
    assert (seen.hidden, set(seen.fits)) == ({}, {"cube", "bin"})
    assert covered.hidden == {"cube": pytest.approx(1.5)}
    assert away.hidden == {"cube": pytest.approx(2.0)}
    np.testing.assert_allclose(away.objects, seen.objects, atol=0.001)
    np.testing.assert_allclose(back.objects[:2], [0.0, -0.25], atol=0.001)
    assert back.hidden == {}


def test_nothing_is_told_before_every_thing_was_seen(table):
    tracker = Tracker(TASK, table)

    sighting = tracker.see(paint(SCENE[1]), 0.0)

    assert sighting.objects is None
    assert sighting.hidden == {"cube": math.inf}


def test_a_cube_in_the_bin_lies_on_its_floor(table):
    inside = CUBE._replace(foot_m=0.004)
    sighting = Tracker(TASK, table).see(paint(SCENE[1], (inside, BIN_AT, 10.0, BLUE)), 0.0)

    np.testing.assert_allclose(sighting.objects[:3], [*BIN_AT, 0.0165], atol=0.001)


def test_heights_are_told_in_the_arms_own_frame(table):
    raised = dataclasses.replace(table, plane=Plane(0.006, 0.0, 0.0, 0.0))

    assert Tracker(TASK, raised).see(paint(*SCENE), 0.0).objects[2] == pytest.approx(0.0185)


def test_noise_of_a_cube_at_rest_is_averaged_and_a_cube_that_moves_is_followed_at_once(table):
    tracker = Tracker(TASK, table)
    places = np.array([tracker.see(paint(*SCENE, seed=i), i / 30).objects[:2] for i in range(20)])
    moved = tracker.see(paint((CUBE, (0.055, -0.2), YAW, BLUE), SCENE[1]), 1.0)

    assert places[8:].std(axis=0).max() < 0.0001
    np.testing.assert_allclose(moved.objects[:2], (0.055, -0.2), atol=0.001)


def test_other_colours_and_other_tasks_are_followed(table):
    red = Tracker(TASK, table, colours_told(["cube=red"]))
    assert red.see(paint((CUBE, AT, YAW, (220, 30, 30)), SCENE[1]), 0.0).hidden == {}
    stack = Tracker(find("stack"), table)
    on_top, base = CUBE._replace(foot_m=0.025), (CUBE, AT, 0.0, (230, 133, 41))

    stack.see(paint(base, (CUBE, (-0.05, -0.2), 0.0, BLUE)), 0.0)
    sighting = stack.see(paint(base, (on_top, AT, 0.0, BLUE)), 0.1)

    assert sighting.objects[2] == pytest.approx(0.0375)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["cube=greenish"], "'greenish' is no colour; say one of red"),
        (["cube=400"], "'400' is no colour"),
        (["cube"], "names no thing"),
        (["mug=red"], "has no mug; its things are cube, bin"),
        (["cube=green"], "cube and bin are of about the same colour"),
    ],
)
def test_colours_that_cannot_be_followed_are_refused(table, texts, message):
    with pytest.raises(ObservationError, match=message):
        Tracker(TASK, table, colours_told(texts))


def test_a_picture_of_another_size_is_refused(table):
    with pytest.raises(ObservationError, match="calibrated with 640 x 480 px"):
        Tracker(TASK, table).see(np.zeros((48, 64, 3), np.uint8), 0.0)


def test_a_tracker_in_this_process_is_asked_like_a_file(table):
    class Camera:
        subject, pictures = "pictures", [paint(SCENE[1]), paint(*SCENE)]

        def read(self):
            return 7.0, self.pictures.pop(0)

    tracker = CameraTracker(Tracker(TASK, table), Camera())
    with pytest.raises(ObservationError, match="has not seen the cube yet"):
        tracker.read()

    assert tracker.read().t_s == 7.0
    assert tracker.hidden == {}


def test_what_was_seen_is_drawn_into_a_copy(table):
    picture = paint(*SCENE)
    before = picture.copy()
    shown = drawn(picture, Tracker(TASK, table).see(picture, 0.0), table, "a note")

    np.testing.assert_array_equal(picture, before)
    assert (shown == (255, 60, 160)).all(axis=2).sum() > 100
