"""A camera from spots where an arm set a cube down: also of an arm whose zeros are wrong."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from soarm import kinematics
from soarm.errors import CalibrationError
from soarm.table_camera.calibrating import _FIT, _TEST, place_at, places_of, put_down
from soarm.table_camera.handling import HandPose
from soarm.table_camera.outlines import outline
from soarm.table_camera.solving import Spot, solve
from soarm.tasks.registry import find

_SPEC = importlib.util.spec_from_file_location("painted", Path(__file__).with_name("painted.py"))
assert _SPEC is not None
assert _SPEC.loader is not None
painted = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(painted)
CAMERA, CUBE = painted.CAMERA, painted.CUBE


def believed(xy, pan_deg, radial_m):
    """Return where an arm thinks a place is whose pan is turned and whose radii are too long."""
    away = xy - kinematics.SHOULDER_XY_M
    c, s = math.cos(math.radians(pan_deg)), math.sin(math.radians(pan_deg))
    turned = np.array([[c, -s], [s, c]]) @ away
    return kinematics.SHOULDER_XY_M + turned * (1 + radial_m / np.linalg.norm(turned))


def spots(plan, pan_deg=0.0, radial_m=0.0, seat_m=0.0, noise_m=0.0, seed=0):
    rng, made = np.random.default_rng(seed), []
    for radius_m, angle_deg, turn_deg in plan:
        true = place_at(radius_m, angle_deg)
        at = believed(true, pan_deg, radial_m) + rng.normal(0.0, noise_m, 2)
        yaw = math.radians(turn_deg + angle_deg)
        poses = []
        for angle in (yaw + math.pi / 2, yaw):
            across = np.array([math.cos(angle), math.sin(angle)])
            poses.append(HandPose(np.array([*(at - seat_m * across), 0.0125]), 0.0, across))
        made.append(Spot.squared(*poses, outline(CAMERA, CUBE, true, math.degrees(yaw))))
    return made


@pytest.mark.parametrize(
    ("pan_deg", "radial_m", "most_mm"), [(0.0, 0.0, 0.3), (3.0, 0.0, 0.6), (0.0, 0.006, 1.0), (-2.0, -0.005, 1.0)]
)
def test_errors_of_the_arms_geometry_cancel(pan_deg, radial_m, most_mm):
    wrong = {"pan_deg": pan_deg, "radial_m": radial_m}
    solution = solve(spots(_FIT, **wrong), CUBE, 640, 480)
    errors_mm = [1e3 * solution.error_m(spot, CUBE) for spot in spots(_TEST, **wrong)]

    assert max(errors_mm) < most_mm


def test_a_millimetre_of_noise_stays_about_a_millimetre():
    solution = solve(spots(_FIT, noise_m=0.001), CUBE, 640, 480)
    errors_mm = [1e3 * solution.error_m(spot, CUBE) for spot in spots(_TEST)]

    assert np.median(errors_mm) < 1.5


def test_the_camera_itself_is_found():
    camera = solve(spots(_FIT), CUBE, 640, 480).camera

    assert camera.focal_px == pytest.approx(CAMERA.focal_px, rel=0.05)
    np.testing.assert_allclose(camera.eye_m, CAMERA.eye_m, atol=0.03)


def test_too_few_spots_are_refused():
    with pytest.raises(CalibrationError, match="5 spots were seen, and 6 are needed"):
        solve(spots(_FIT)[:5], CUBE, 640, 480)


def test_what_the_arm_sets_down_is_what_the_gripper_holds():
    assert put_down(find("pick_place")).name == "cube"
    with pytest.raises(CalibrationError, match="push has nothing that the gripper holds"):
        put_down(find("push"))


def test_places_of_what_stays_are_read():
    assert places_of(["0.15,-0.1"]) == [(0.15, -0.1)]
    for text in ("nan,0", "1", "1,2,3", "a,b", "150,-100"):
        with pytest.raises(CalibrationError, match="is no place on the table"):
            places_of([text])
