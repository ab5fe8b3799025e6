"""The plan of an evaluation: places drawn from a seed, two trials on each in an order that nobody is shown.

A spot is a place for what the task moves, and one of a few lettered places for the other thing, so that this is seldom moved.
Both policies act on every spot, one right after the other; which is first is drawn, each first equally often. The plan is a
file that people may read. Which policy a trial belongs to is in another one, whose hash the plan holds.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from soarm import kinematics
from soarm.errors import ParamsError
from soarm.params import Params, build
from soarm.quantities import LOW_HIGH, SOME, Count, NotNegative, Positive, Whole, within
from soarm.runtime.objects import measured, on_the_table
from soarm.runtime.onnx_policy import Which
from soarm.tasks.task import Task
from soarm.tasks.thing import Thing

SPOTS = range(2, 101)
"""How many spots a plan may have; with fewer than 6 pairs nothing can come out."""
_PER_PLACE = 5
"""Spots that share a place of the other thing."""
_DRAWS = 30
"""Places drawn for every one that is taken: the farthest from those before, so that they cover the sector and can be read."""
_TRIES = 20_000
_Length = Annotated[float, within(above=0, most=1)]
_Angle = Annotated[float, within(least=-180, most=180)]
_Number = Annotated[float, within(least=-180, most=180)]
_Lengths = Annotated[tuple[_Length, _Length], LOW_HIGH]
_Angles = Annotated[tuple[_Angle, _Angle], LOW_HIGH]
BOTH: tuple[Which, Which] = ("base", "residual")


@dataclasses.dataclass(frozen=True)
class Sectors:
    """Where policies saw the two things, about the shoulder's axis: 0 degrees is straight ahead.

    Attributes:
        moved_radius_m: Of the thing that the task moves, range [m].
        moved_angle_deg: Its direction, range [deg].
        other_radius_m: Of the other thing [m].
        other_angle_deg: Its direction [deg].
        clearance_m: Least distance between the middles of the two [m].
    """

    moved_radius_m: _Lengths
    moved_angle_deg: _Angles
    other_radius_m: _Lengths
    other_angle_deg: _Angles
    clearance_m: NotNegative


@dataclasses.dataclass(frozen=True)
class Spot:
    """A place for the things of a task.

    Attributes:
        number: From 1 on, as on the sheet.
        letter: Of the other thing's place.
        places: Name of a thing -> what a person measures of it: x and y [m], and the yaw [deg] of what has one.
    """

    number: Count
    letter: str
    places: Mapping[str, tuple[_Number, ...]]

    def objects(self, task: Task) -> NDArray[np.float64]:
        """Return the things as the task's objects feature, on the table."""
        return on_the_table(task, self.places)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is run, in the order in which it is run.

    Attributes:
        task: Name of the task.
        seed: It was drawn from.
        seconds: How long a trial lasts at most [s].
        bundle: File -> SHA-256, of the bundle.
        spots: In the order of their numbers.
        trials: Number of the spot of every trial.
        seal: SHA-256 of the file that says which policy a trial belongs to.
    """

    task: str
    seed: Whole
    seconds: Positive
    bundle: Mapping[str, str]
    spots: Annotated[tuple[Spot, ...], SOME]
    trials: tuple[Count, ...]
    seal: str

    def __post_init__(self) -> None:
        numbers = [spot.number for spot in self.spots]
        if numbers != list(range(1, len(numbers) + 1)) or sorted(self.trials) != sorted(numbers * 2):
            raise ValueError("spots must be numbered from 1 on, and each must have two trials")

    def spot(self, trial: int) -> Spot:
        """Return the spot of a trial; trials count from 0."""
        return self.spots[self.trials[trial] - 1]

    def to_dict(self) -> dict[str, Any]:
        """Return what the file holds."""
        return dataclasses.asdict(self)


def things(task: Task) -> tuple[Thing, Thing]:
    """Return what a task moves, and its other thing.

    Raises:
        ParamsError: It has other things than these.
    """
    moved = [thing for thing in task.things if thing.name == task.goal.thing]
    others = [thing for thing in task.things if thing.name != task.goal.thing]
    if len(moved) != 1 or len(others) != 1:
        raise ParamsError(
            f"the task {task.name} has the things {task.subject}; places are drawn for one that is moved and one more"
        )
    return moved[0], others[0]


def sectors_of(params: Params, task: Task) -> Sectors:
    """Return where a task's things are drawn in the simulator.

    Raises:
        ParamsError: The file does not say it, or asks more of places than sectors and a clearance.
    """
    where, section = f"{params.path}: sim.task", params.sections.get("sim", {}).get("task")
    section = section if isinstance(section, Mapping) else {}
    names = dict(zip(("moved", "other"), (thing.name for thing in things(task)), strict=True))
    keys = {f"{role}_{of}": f"{name}_{of}" for role, name in names.items() for of in ("radius_m", "angle_deg")}
    keys["clearance_m"] = "clearance_m"
    further = sorted(key for key in section if key.endswith("_m") and key not in keys.values())
    if further:
        raise ParamsError(
            f"{where} of {task.name} asks more of its places than a sector each and a clearance: {', '.join(further)}. "
            "`soarm prove` draws none of those"
        )
    return build(Sectors, {key: section[name] for key, name in keys.items() if name in section}, where)


def draw(seed: int, n_spots: int, task: Task, sectors: Sectors) -> tuple[Spot, ...]:
    """Draw places, rounded to millimetres and degrees, as they are printed and measured.

    Args:
        seed: The same one gives the same places.
        n_spots: How many.
        task: Whose things they are for.
        sectors: Where they may be.

    Raises:
        ParamsError: The sectors have no room for the two things.
    """
    rng, (moved, other) = np.random.default_rng((seed, n_spots)), things(task)
    letters = [chr(ord("A") + i) for i in range(math.ceil(n_spots / _PER_PLACE))]
    others: list[tuple[float, ...]] = []
    for _ in letters:
        others.append(_farthest(rng, (sectors.other_radius_m, sectors.other_angle_deg), others, []))
    spots: list[Spot] = []
    for i in range(n_spots):
        letter, there = letters[i // _PER_PLACE], others[i // _PER_PLACE]
        apart = [(there, sectors.clearance_m)]
        before = [spot.places[moved.name] for spot in spots]
        xy = _farthest(rng, (sectors.moved_radius_m, sectors.moved_angle_deg), before, apart)
        placed = ((moved, xy), (other, there))
        spots.append(Spot(i + 1, letter, {thing.name: _measured(rng, task, thing, at) for thing, at in placed}))
    return tuple(spots)


def _farthest(
    rng: np.random.Generator,
    sector: tuple[tuple[float, float], tuple[float, float]],
    before: Sequence[Sequence[float]],
    apart: Sequence[tuple[Sequence[float], float]],
) -> tuple[float, ...]:
    """Return of some places in a sector the one that is farthest from those before, and clear of what must be apart."""
    best, most_m, found = None, -1.0, 0
    for _ in range(_TRIES):
        at = _drawn(rng, sector)
        if any(math.dist(at, other[:2]) < least_m for other, least_m in apart):
            continue
        nearest_m = min((math.dist(at, other[:2]) for other in before), default=0.0)
        if nearest_m > most_m:
            best, most_m = at, nearest_m
        found += 1
        if found == _DRAWS:
            break
    if best is None:
        raise ParamsError("no room for both things in the ranges of sim.task; lower clearance_m")
    return best


def _drawn(rng: np.random.Generator, sector: tuple[tuple[float, float], tuple[float, float]]) -> tuple[float, float]:
    """Draw a place evenly over a sector, as `soarm.sim.draw.draw_place` does, in whole millimetres [m]."""
    (nearest, farthest), angles_deg = sector
    radius, angle = math.sqrt(rng.uniform(nearest**2, farthest**2)), math.radians(rng.uniform(*angles_deg))
    x, y = kinematics.SHOULDER_XY_M.tolist()
    return round(x - radius * math.sin(angle), 3), round(y - radius * math.cos(angle), 3)


def _measured(rng: np.random.Generator, task: Task, thing: Thing, at: Sequence[float]) -> tuple[float, ...]:
    """Return what is measured of a thing there, with a yaw that is drawn where it has one: -45 to 44 is every way to lie."""
    return (*at, *([float(rng.integers(-45, 45))] if len(measured(task, thing)) > 2 else []))


def draw_order(seed: int, spots: Sequence[Spot]) -> tuple[tuple[int, ...], tuple[Which, ...]]:
    """Draw in which order spots are run, those with one letter together, and which policy acts in each of their two trials.

    Returns:
        Number of the spot of every trial, and its policy.
    """
    rng = np.random.default_rng((seed, len(spots), 1))
    letters = sorted({spot.letter for spot in spots})
    order = [
        spots[i].number
        for letter in rng.permutation(letters)
        for i in rng.permutation([i for i, spot in enumerate(spots) if spot.letter == letter])
    ]
    flipped = rng.permutation([i % 2 == 1 for i in range(len(order))])
    assignment = [which for flip in flipped for which in (BOTH[::-1] if flip else BOTH)]
    return tuple(number for number in order for _ in BOTH), tuple(assignment)


def assignment_text(assignment: Sequence[Which]) -> str:
    """Return the file that says which policy acts in each trial."""
    return json.dumps({"which": list(assignment)}) + "\n"


def seal_of(text: str | bytes) -> str:
    """Return the hash of that file which the plan holds."""
    return hashlib.sha256(text.encode("utf-8") if isinstance(text, str) else text).hexdigest()
