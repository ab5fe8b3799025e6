"""Where the things of a task are in a picture, and which of them cannot be seen.

Knows one picture after the other; neither cameras nor the arm. A thing that is hidden stays where it was seen last.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from soarm.errors import ObservationError
from soarm.runtime.sensors import Sensor, Stamped
from soarm.table_camera.colours import SPREAD_DEG, Colour, Picture, as_hsv, patches
from soarm.table_camera.outlines import Fit, Stand, fit, middle
from soarm.table_camera.pinhole import Floats
from soarm.table_camera.table import Table
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

DEFAULT_COLOURS = {"cube": Colour(216.0), "bin": Colour(135.0), "base": Colour(29.0), "square": Colour(135.0)}
"""Colours of the things of our tasks, where nobody says another."""
LEAST_COVER = 0.9
"""A thing whose outline covers what is seen worse than this is partly hidden, or in the air."""
_LOOKED_AT = 3
_NEAR_M, _NEAR_DEG, _KEPT = 0.002, 5.0, 0.7
"""A thing that is seen within this of where it was lies still: its place is averaged, keeping this share of the old one."""


class Sighting(NamedTuple):
    """What a picture says.

    Attributes:
        objects: In the order of `Task.objects`; None until every thing has been seen.
        hidden: Things that are not seen, and for how long they have not been [s]; infinite for never.
        fits: Thing -> how it was found, of those that are seen.
    """

    objects: NDArray[np.float64] | None
    hidden: Mapping[str, float]
    fits: Mapping[str, Fit]


class _Place(NamedTuple):
    """Where a thing is: middle [m] and yaw [deg], the height of its foot above the table [m], and when it was seen [s]."""

    xy_m: Floats
    yaw_deg: float
    foot_m: float
    seen_s: float


class Tracker:
    """Follows the things of a task from picture to picture.

    Args:
        task: Whose things they are.
        table: The table, and the camera over it.
        colours: Colours of things, before those of the table and the usual ones.

    Raises:
        ObservationError: The colour of a thing is not known, two are alike, or of no thing of the task.
    """

    def __init__(self, task: Task, table: Table, colours: Mapping[str, Colour] | None = None) -> None:
        cv2.setNumThreads(1)  # a picture takes milliseconds; more threads would take their time from the control loop
        self.task, self.table = task, table
        self.colours = colours_of(task, {**table.colours, **(colours or {})})
        self._places: dict[str, _Place] = {}

    def see(self, picture: Picture, now_s: float) -> Sighting:
        """Take in the next picture.

        Args:
            picture: Red, green, blue, shape (H, W, 3).
            now_s: When it was taken [s].

        Raises:
            ObservationError: The picture is not of the size of the calibration's.
        """
        camera = self.table.camera
        if picture.shape != (camera.height_px, camera.width_px, 3):
            raise ObservationError(
                f"the picture has the shape {picture.shape}; the table was calibrated with {camera.width_px} x "
                f"{camera.height_px} px. Give the same --size, or calibrate again"
            )
        hsv = as_hsv(picture)
        fits: dict[str, Fit] = {}
        for thing in sorted(self.task.things, key=lambda one: one.surface is None):  # what others lie in comes first
            found = self._find(hsv, thing)
            if found is not None:
                fits[thing.name], foot_m = found
                self._places[thing.name] = self._smoothed(thing.name, fits[thing.name], foot_m, now_s)
        hidden = {
            thing.name: now_s - self._places[thing.name].seen_s if thing.name in self._places else math.inf
            for thing in self.task.things
            if thing.name not in fits
        }
        return Sighting(self._objects(), hidden, fits)

    def _find(self, hsv: Picture, thing: Thing) -> tuple[Fit, float] | None:
        """Return how a thing is seen, and the height of its foot; None where it is not."""
        found, foot_m = self._best(hsv, thing, 0.0), 0.0
        for other in self.task.things:
            below = self._places.get(other.name)
            if found is None or other is thing or other.surface is None or below is None:
                continue
            higher_m = below.foot_m + other.surface.height_m
            raised = self._best(hsv, thing, higher_m)
            if raised is not None and (np.abs(raised.xy_m - below.xy_m) < other.surface.half_m).all():
                found, foot_m = raised, higher_m
        return None if found is None or found.cover < LEAST_COVER else (found, foot_m)

    def _best(self, hsv: Picture, thing: Thing, foot_m: float) -> Fit | None:
        camera, stand = self.table.camera, Stand(thing.half_m, thing.height_m, foot_m)
        turns = "yaw4_cos" in self.task.elements[thing.name]
        fits = []
        for patch in patches(hsv, self.colours[thing.name], _LOOKED_AT):
            before, at_m = self._places.get(thing.name), camera.locate(middle(patch.outline), stand.middle_m)
            near = before.yaw_deg if before is not None and np.linalg.norm(at_m - before.xy_m) < _NEAR_M else None
            one = fit(camera, stand, patch.outline, turns=turns, near_deg=near)
            if near is not None and one.cover < LEAST_COVER:
                one = fit(camera, stand, patch.outline, turns=turns)
            fits.append(one)
            if one.cover >= LEAST_COVER:
                break
        return max(fits, key=lambda one: one.cover, default=None)

    def _smoothed(self, name: str, found: Fit, foot_m: float, now_s: float) -> _Place:
        """Return where a thing is; the noise of pictures is averaged while it lies still."""
        before = self._places.get(name)
        turn = 0.0 if before is None else (found.yaw_deg - before.yaw_deg + 45.0) % 90.0 - 45.0
        moved = before is None or before.foot_m != foot_m or abs(turn) > _NEAR_DEG
        if before is None or moved or float(np.linalg.norm(found.xy_m - before.xy_m)) > _NEAR_M:
            return _Place(found.xy_m, found.yaw_deg, foot_m, now_s)
        xy_m = _KEPT * before.xy_m + (1 - _KEPT) * found.xy_m
        return _Place(xy_m, before.yaw_deg + (1 - _KEPT) * turn, foot_m, now_s)

    def _objects(self) -> NDArray[np.float64] | None:
        if len(self._places) < len(self.task.things):
            return None
        objects = told(self.task, self._places)
        for thing in self.task.things:
            at = self.task.elements[thing.name]
            if "z" in at:
                objects[at["z"]] += float(self.table.plane.height_m(self._places[thing.name].xy_m))
        return objects


def told(task: Task, places: Mapping[str, _Place]) -> NDArray[np.float64]:
    """Return places of all things as objects, over a table whose height is 0."""
    objects = np.zeros(task.objects.shape)
    for thing in task.things:
        place = places[thing.name]
        yaw4 = 4 * math.radians(place.yaw_deg)
        values = {
            "x": place.xy_m[0],
            "y": place.xy_m[1],
            "z": place.foot_m + thing.height_m / 2,
            "yaw4_cos": math.cos(yaw4),
            "yaw4_sin": math.sin(yaw4),
        }
        for element, i in task.elements[thing.name].items():
            objects[i] = values[element]
    return objects


def colours_of(task: Task, known: Mapping[str, Colour]) -> dict[str, Colour]:
    """Return the colour of every thing of a task.

    Raises:
        ObservationError: One is not known, two are alike, or one is of no thing of the task.
    """
    names = [thing.name for thing in task.things]
    strangers = [name for name in known if name not in names and name not in DEFAULT_COLOURS]
    if strangers:
        raise ObservationError(f"the task {task.name} has no {', '.join(strangers)}; its things are {', '.join(names)}")
    found = {**DEFAULT_COLOURS, **known}
    missing = [name for name in names if name not in found]
    if missing:
        raise ObservationError(f"the colour of {', '.join(missing)} is not known; say it, as in --colour {missing[0]}=red")
    for one, other in itertools.combinations(names, 2):
        apart_deg = abs((found[one].hue_deg - found[other].hue_deg + 180.0) % 360.0 - 180.0)
        if apart_deg < SPREAD_DEG:
            raise ObservationError(
                f"{one} and {other} are of about the same colour ({found[one].hue_deg:.0f} and {found[other].hue_deg:.0f} "
                f"degrees); they must be {SPREAD_DEG:g} degrees apart"
            )
    return {name: found[name] for name in names}


class CameraTracker:
    """A tracker that looks at a camera whenever it is asked, in this process; a `soarm.runtime.tracked.TrackerFile`.

    Args:
        tracker: Finds things.
        camera: Tells pictures of red, green, blue.

    Attributes:
        hidden: See `TrackerFile`.
        camera_m: See `TrackerFile`.
    """

    def __init__(self, tracker: Tracker, camera: Sensor) -> None:
        self.hidden: Mapping[str, float] = {}
        self.camera_m = tracker.table.camera.eye_m
        self._tracker, self._camera = tracker, camera

    def read(self) -> Stamped:
        """See `soarm.runtime.sensors.Sensor`."""
        t_s, picture = self._camera.read()
        sighting = self._tracker.see(picture, t_s)
        self.hidden = sighting.hidden
        if sighting.objects is None:
            never = ", ".join(name for name, age_s in sighting.hidden.items() if math.isinf(age_s))
            raise ObservationError(
                f"the camera has not seen the {never} yet: is something in the way, or the colour another one?"
            )
        return Stamped(t_s, sighting.objects.astype(np.float32))
