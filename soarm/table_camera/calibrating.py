"""Calibrate a camera over a table: an arm sets a thing down on spots, and looks where the picture shows it.

What the picture is told in is the arm's own frame: where the arm thought it was. So errors of its zeros and lengths cancel
when it goes back to where the camera says a thing is. Spots that the solution did not know are the touch test.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from soarm import kinematics
from soarm.errors import CalibrationError, ObservationError
from soarm.hardware.driver import Arm
from soarm.runtime.carried import gripped
from soarm.runtime.sensors import Sensor
from soarm.table_camera.colours import Colour, Patch, Picture, as_grey, as_hsv, hue_inside, patches
from soarm.table_camera.handling import GAP_M, Handling, HandPose
from soarm.table_camera.outlines import Stand, middle
from soarm.table_camera.pinhole import Floats
from soarm.table_camera.solving import LEAST_SPOTS, Solution, Spot, solve
from soarm.table_camera.table import Plane, Table, TouchTest, surface_terms
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

logger = logging.getLogger(__name__)
FIRST = (0.2, 0.0)
"""Where a thing is put between the fingers: radius from the shoulder's axis [m] and angle [deg]."""
_FIT = (
    (0.16, -55.0, 0.0),
    (0.16, 0.0, 30.0),
    (0.16, 55.0, 0.0),
    (0.195, 55.0, 30.0),
    (0.195, 0.0, 0.0),
    (0.195, -55.0, -30.0),
    (0.228, -50.0, 0.0),
    (0.228, 0.0, -30.0),
    (0.228, 50.0, 0.0),
)
"""Spots from which the camera is solved: radius [m], angle [deg], and turn of the hand there [deg]."""
_TEST = (
    (0.185, 28.0, 0.0),
    (0.225, 28.0, 25.0),
    (0.2, -65.0, 0.0),
    (0.225, -28.0, 0.0),
    (0.185, -28.0, -25.0),
    (0.2, 65.0, 0.0),
)
_WIDE_PERCENT, _BESIDE_M = 60.0, (0.01, 0.02)
"""While it is not known well where the thing lies: how far the gripper is open [percent], and how far beside the thing its
finger goes down, at first and from the other side [m]."""
_LIFT_M = 0.002
_FAR_M = 2.0
_KEEP_M = 0.11
"""How far from what stays on the table a spot is [m]."""
_N_PICTURES, _TRIES = 5, 400
_MANY, _SAME_PX = 6, 3.0
_LEAST_COVER = 0.85
_LEAST_TESTS = 2
_HEIGHT_M, _SLOPE = 0.002, 0.02
"""Expected error of a touched height [m], and how far the table is expected to be from level [1]."""


class _Visit(NamedTuple):
    """Where the hand was when its finger touched the table beside the thing, and when it closed on that from two sides."""

    touch: HandPose
    first: HandPose
    second: HandPose


def place_at(radius_m: float, angle_deg: float) -> Floats:
    """Return the place at a radius from the shoulder's axis and an angle to the arm's right, shape (2,) [m]."""
    angle = math.radians(angle_deg)
    return kinematics.SHOULDER_XY_M + radius_m * np.array([math.sin(angle), -math.cos(angle)])


def put_down(task: Task) -> Thing:
    """Return the thing of a task that the arm sets down: the first that the gripper holds and whose yaw is told.

    Raises:
        CalibrationError: It has none.
    """
    for thing, _ in gripped(task):
        return thing
    raise CalibrationError(
        f"the task {task.name} has nothing that the gripper holds; calibrate with --task pick_place and a cube"
    )


def places_of(texts: Sequence[str]) -> list[tuple[float, float]]:
    """Read places, as in "0.15,-0.15" [m].

    Raises:
        CalibrationError: One is none.
    """
    found = []
    for text in texts:
        try:
            x, y = map(float, text.split(","))
        except ValueError:
            x = y = math.nan
        if not math.hypot(x, y) < _FAR_M:
            raise CalibrationError(f"--keep-clear {text!r:.40} is no place on the table; write it as in 0.15,-0.15 [m]")
        found.append((x, y))
    return found


def calibrate(
    arm: Arm,
    camera: Sensor,
    thing: Thing,
    colour: Colour,
    ask: Callable[[str], object],
    *,
    lies_at: Sequence[float] | None = None,
    keep_clear: Sequence[Sequence[float]] = (),
    each: Callable[[], None] = lambda: None,
) -> Table:
    """Set a thing down on spots, and return the table and its camera.

    Args:
        arm: Active.
        camera: Tells pictures of red, green, blue.
        thing: What the gripper sets down.
        colour: How it looks.
        ask: Asks a person to do something, and waits.
        lies_at: Where it lies now, to a centimetre: x, y [m], yaw [deg]; None: a person puts it between the fingers.
        keep_clear: Places of what stays on the table, x and y [m].
        each: Called in every step of a move.

    Raises:
        FaultError: The arm stopped, or holds nothing.
        CalibrationError: The thing was seen on too few spots.
        ObservationError: The camera gives no pictures.
    """
    hand = Handling(arm, each)
    _take(hand, thing, ask, lies_at)
    free = [[spot for spot in spots if _is_free(spot, keep_clear)] for spots in (_FIT, _TEST)]
    if len(free[0]) < LEAST_SPOTS or len(free[1]) < _LEAST_TESTS:
        raise CalibrationError("too few spots are free of what stays on the table; take it away, or put it to the side")
    visits, looked = [], []
    plan = [*free[0], *free[1]]
    for i, (radius_m, angle_deg, turn_deg) in enumerate(plan):
        xy_m = place_at(radius_m, angle_deg)
        visits.append(_put(hand, thing, xy_m, turn_deg))
        hand.aside(xy_m)
        looked.append(np.mean(take(camera, hand, _N_PICTURES), axis=0).round().astype(np.uint8))
        logger.info("spot %d of %d: x %.3f, y %.3f", i + 1, len(plan), *xy_m)
        if i + 1 < len(plan):
            hand.go(visits[-1].second.tcp_m[:2], turn_deg + 90.0, beside_m=GAP_M)
            _low(hand, visits[-1].touch)
            hand.close_on(thing)
    return _evaluated(visits, looked, len(free[0]), thing, colour, arm.calibration.hash)


def _evaluated(
    visits: Sequence[_Visit],
    looked: Sequence[Picture],
    n: int,
    thing: Thing,
    colour: Colour,
    arm_hash: str,
) -> Table:
    """Return the table from the visits of all spots and what was seen after each; the first `n` are not of the touch test."""
    touched_m = np.array([[*visit.touch.tcp_m[:2], visit.touch.lowest_m] for visit in visits])
    seen = [
        None if patch is None else Spot.squared(visit.first, visit.second, patch.outline)
        for visit, patch in zip(visits, _moved(looked, colour), strict=True)
    ]
    solution, test = _solve(seen[:n], seen[n:], Stand(thing.half_m, thing.height_m, 0.0), looked[0])
    hues = [hue_inside(as_hsv(picture), spot.seen) for picture, spot in zip(looked, seen, strict=True) if spot is not None]
    reference = np.median(looked, axis=0).round().astype(np.uint8)
    colours = {thing.name: Colour(float(np.median(np.unwrap(hues, period=360.0)) % 360))}
    return Table(solution.camera, _plane(touched_m[:, :2], touched_m[:, 2]), colours, test, arm_hash, as_grey(reference))


def take(camera: Sensor, hand: Handling, n: int) -> list[Picture]:
    """Return so many pictures that are new, after things came to rest.

    Raises:
        ObservationError: They do not come.
    """
    hand.pause(0.4)
    pictures: list[Picture] = []
    last_s = camera.read().t_s
    for _ in range(_TRIES):
        hand.pause(0.02)
        t_s, picture = camera.read()
        if t_s > last_s:
            last_s = t_s
            pictures.append(picture)
        if len(pictures) == n:
            return pictures
    raise ObservationError(f"{camera.subject} do not come any more; does another program use it?")


def _take(hand: Handling, thing: Thing, ask: Callable[[str], object], lies_at: Sequence[float] | None) -> None:
    """Take the thing between the fingers."""
    xy_m, turn_deg = place_at(*FIRST), 0.0
    if lies_at is not None:
        xy_m = np.array(lies_at[:2], np.float64)
        away = xy_m - kinematics.SHOULDER_XY_M
        turn_deg = (lies_at[2] - math.degrees(math.atan2(-away[0], away[1])) + 45.0) % 90.0 - 45.0
    hand.go(xy_m, turn_deg, beside_m=0.0 if lies_at is None else _BESIDE_M[0])
    hand.open(_WIDE_PERCENT)
    _low(hand, hand.touch_down())
    if lies_at is None:
        ask(f"Put the {thing.name} on the table, flat between the fingers, then press Enter. ")
    first = hand.close_on(thing)
    hand.open(_WIDE_PERCENT)
    hand.part()
    hand.go(first.tcp_m[:2], turn_deg + 90.0, beside_m=_BESIDE_M[1])  # it may stick out of the hand to either side
    _low(hand, hand.touch_down())
    hand.close_on(thing)


def _low(hand: Handling, touch: HandPose) -> None:
    """Go to the height at which the fingers close on a thing, by where the finger touched the table."""
    hand.lower(float(touch.tcp_m[2]) + _LIFT_M)


def _put(hand: Handling, thing: Thing, xy_m: Floats, turn_deg: float) -> _Visit:
    """Set the thing down, and close on it from two sides: then its middle is where the hand was, whatever slipped before."""
    hand.go(xy_m, turn_deg + 90.0)
    hand.touch_down()
    hand.open()
    first = hand.close_on(thing)
    hand.open()
    hand.part()
    hand.go(first.tcp_m[:2], turn_deg, beside_m=GAP_M)
    touch = hand.touch_down()  # what is carried slips in the hand, so that its own touch tells no height
    _low(hand, touch)
    second = hand.close_on(thing)
    hand.open()
    hand.part()
    return _Visit(touch, first, second)


def _is_free(spot: Sequence[float], keep_clear: Sequence[Sequence[float]]) -> bool:
    return all(math.dist(place_at(*spot[:2]), at) > _KEEP_M for at in keep_clear)


def _moved(pictures: Sequence[Picture], colour: Colour) -> list[Patch | None]:
    """Return the largest patch of a colour in each picture that is not at the same place in most of them."""
    found = [patches(as_hsv(picture), colour, _MANY) for picture in pictures]
    middles = [np.array([middle(patch.outline) for patch in some]).reshape(-1, 2) for some in found]

    def stays(patch: Patch) -> bool:
        at = middle(patch.outline)
        n = sum(bool((np.linalg.norm(others - at, axis=1) < _SAME_PX).any()) for others in middles)
        return n > len(pictures) / 2

    return [next((patch for patch in some if not stays(patch)), None) for some in found]


def _solve(
    seen: Sequence[Spot | None], tests: Sequence[Spot | None], stand: Stand, picture: Picture
) -> tuple[Solution, TouchTest]:
    """Return the camera, and how far off it is on the spots of the touch test."""
    height_px, width_px, _ = picture.shape
    spots = [spot for spot in seen if spot is not None]
    solution = solve(spots, stand, width_px, height_px)
    whole = [spot for spot in spots if solution.cover(spot, stand) > _LEAST_COVER]
    if LEAST_SPOTS <= len(whole) < len(spots):
        solution = solve(whole, stand, width_px, height_px)
    judged = [spot for spot in tests if spot is not None and solution.cover(spot, stand) > _LEAST_COVER]
    if len(judged) < _LEAST_TESTS:
        raise CalibrationError(
            f"{len(judged)} spots of the touch test were seen whole, {_LEAST_TESTS} are needed: turn the camera so that it "
            "sees the table on both sides of the arm"
        )
    errors_m = [solution.error_m(spot, stand) for spot in judged]
    return solution, TouchTest(len(judged), float(np.median(errors_m)), float(np.max(errors_m)))


def _plane(xy_m: Floats, height_m: Floats) -> Plane:
    """Return the table's height from where it was touched by least squares, its slopes held near to level."""
    held = np.diag(1 / np.array([1e3, _SLOPE, _SLOPE, _SLOPE]))
    rows = np.concatenate([surface_terms(xy_m) / _HEIGHT_M, held])
    found = np.linalg.lstsq(rows, np.concatenate([height_m / _HEIGHT_M, np.zeros(4)]), rcond=None)[0]
    return Plane(*found.tolist())
