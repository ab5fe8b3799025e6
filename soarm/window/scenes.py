"""The show: scenes, one after the other, with keys that choose what happens; in a window and in real time.

Knows no MuJoCo window of its own: `Screen` is what it needs of one.
"""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from soarm.viewer import Draw, Snapshot, Text
from soarm.window.clock import ControlClock
from soarm.window.keys import Wish, columns, wishes
from soarm.window.lane import Lane
from soarm.window.picture import Picture, help_text, residual_text, scene_text

logger = logging.getLogger(__name__)
SLOW = 4
"""How many times slower slow motion is."""
LINGER_S = 1.5
"""How long the end of an episode is shown [s]."""
AZIMUTH_DEG, ELEVATION_DEG = 112.0, -28.0


class Screen(Protocol):
    """What a show needs of a window; `soarm.viewer.Viewer` is such a thing."""

    @property
    def is_open(self) -> bool: ...  # noqa: D102
    def look(self, at_m: ArrayLike, *, azimuth_deg: float, elevation_deg: float, distance_m: float) -> None: ...  # noqa: D102
    def show(self, draw: Draw | None = None, texts: Sequence[Text] = ()) -> None: ...  # noqa: D102
    def pressed(self) -> list[str]: ...  # noqa: D102
    def wrenches(self) -> NDArray[np.float64]: ...  # noqa: D102
    def close(self) -> None: ...  # noqa: D102


class LaneEnding(NamedTuple):
    """How a lane ended on a scene."""

    label: str
    success: bool
    text: str


@dataclasses.dataclass
class ShowReport:
    """What was shown: (seed, how each lane ended) of every scene that came to its end, and how often something was pushed."""

    scenes: list[tuple[int, tuple[LaneEnding, ...]]] = dataclasses.field(default_factory=list)
    pushes: int = 0


class Show:
    """Scenes in a window.

    Args:
        screen: The window.
        first: The state that it shows.
        line_ups: What is shown; key S goes from one to the next. All lanes are of one task.
        seed: Of the first scene; the next scene has the next one.
        n_scenes: After so many the show ends; None goes on until somebody ends it.
        clock: Ticks at the control rate.
        control_hz: The rate [Hz].
        say: Tells the person a line.
        stopped: Whether it is to end, now.

    Attributes:
        report: What was shown so far.
    """

    def __init__(
        self,
        screen: Screen,
        first: Snapshot,
        line_ups: Sequence[Sequence[Lane]],
        seed: int,
        n_scenes: int | None,
        clock: ControlClock,
        control_hz: int,
        say: Callable[[str], None] = logger.info,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._screen, self._first, self._line_ups, self._seed = screen, first, line_ups, seed
        self._left, self._clock, self._say, self._stopped = n_scenes, clock, say, stopped
        self._linger_ticks = round(LINGER_S * control_hz)
        self._at, self._ended = 0, False
        self._slow, self._paused, self._ghost, self._helps = False, False, False, True
        self.report = ShowReport()

    @property
    def offered(self) -> list[Wish]:
        """What can be asked for here."""
        beside = any(len(lanes) > 1 for lanes in self._line_ups)
        missing = {Wish.SWITCH: len(self._line_ups) == 1, Wish.GHOST: not beside}
        return [wish for wish in Wish if not missing.get(wish, False)]

    def run(self) -> ShowReport:
        """Show scenes until there were enough of them, somebody quits or the window is closed."""
        while not self._is_over():
            self._play()
        return self.report

    def _is_over(self) -> bool:
        return self._ended or self._left == 0 or not self._screen.is_open or self._stopped()

    def _play(self) -> None:
        """Play the scene once."""
        lanes = self._line_ups[self._at]
        for lane in lanes:
            lane.start(self._seed)
        picture = Picture(self._first, lanes, ghost=self._ghost)
        self._look(picture)
        picture_no, n_pictures, over, lingered, pushes = 0, 1, False, 0, 0
        while not self._is_over():
            for wish in wishes(self._screen.pressed()):
                if self._changes_scene(wish):
                    return
                if wish is Wish.PUSH:
                    pushes += self._push(lanes, pushes)
                elif wish is Wish.GHOST:
                    picture.ghost = self._ghost = not self._ghost
                    self._look(picture)
            if not self._paused:
                if picture_no == 0:
                    over = all(lane.over for lane in lanes)
                    n_pictures = SLOW if self._slow and not over else 1
                    picture.remember()
                    self._step(lanes)
                picture.take((picture_no + 1) / n_pictures)
                picture_no = (picture_no + 1) % n_pictures
            self._screen.show(picture.draw, self._texts(lanes))
            self._clock.tick()
            if over and not self._paused and picture_no == 0:
                if lingered == 0:
                    note(self.report, self._seed, lanes, self._say)
                lingered += 1
                if lingered > self._linger_ticks:
                    self._seed, self._left = self._seed + 1, None if self._left is None else self._left - 1
                    return

    def _changes_scene(self, wish: Wish) -> bool:
        """Do what a wish asks of the show as a whole, and return whether what is played ends."""
        if wish is Wish.NEXT:
            self._seed += 1
        elif wish is Wish.SWITCH:
            self._at = (self._at + 1) % len(self._line_ups)
        elif wish is Wish.SLOW:
            self._slow = not self._slow
        elif wish is Wish.PAUSE:
            self._paused = not self._paused
        elif wish is Wish.HELP:
            self._helps = not self._helps
        elif wish is Wish.QUIT:
            self._ended = True
        return wish in (Wish.NEXT, Wish.AGAIN, Wish.SWITCH, Wish.QUIT)

    def _push(self, lanes: Sequence[Lane], n_before: int) -> bool:
        """Push what is to be moved, in every lane alike; the direction follows from scene and count."""
        direction_rad = np.random.default_rng([self._seed, n_before]).uniform(0.0, 2.0 * math.pi)
        pushed = [lane.push(direction_rad) for lane in lanes if not lane.over]
        self.report.pushes += any(pushed)
        return any(pushed)

    def _step(self, lanes: Sequence[Lane]) -> None:
        pulled = self._screen.wrenches()
        for lane in lanes:
            lane.disturb(pulled)
            lane.step()

    def _look(self, picture: Picture) -> None:
        self._screen.look(
            picture.middle_m, azimuth_deg=AZIMUTH_DEG, elevation_deg=ELEVATION_DEG, distance_m=picture.distance_m
        )

    def _texts(self, lanes: Sequence[Lane]) -> list[Text]:
        speed = "paused" if self._paused else f"1/{SLOW}" if self._slow else "1"
        residuals = [residual_text(lane) for lane in lanes if lane.contender.residual is not None]
        helps = [help_text(*columns(self.offered))] if self._helps else []
        return [scene_text(self._seed, lanes, speed), *residuals, *helps]


def note(report: ShowReport, seed: int, lanes: Sequence[Lane], say: Callable[[str], None]) -> None:
    """Add to a report how lanes ended on a scene, and say it."""
    endings = tuple(LaneEnding(lane.contender.label, lane.succeeded, lane.told) for lane in lanes)
    report.scenes.append((seed, endings))
    say(f"scene {seed}: " + "; ".join(f"{ending.label}: {ending.text}" for ending in endings))
