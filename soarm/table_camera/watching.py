"""From a camera to a file of objects, picture after picture: `soarm track`.

The file is replaced with every new picture. Nothing is written before every thing has been seen, while the camera gives no
new pictures, and from when it turns out that the camera was moved.
"""

from __future__ import annotations

import json
import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from soarm.errors import ObservationError
from soarm.runtime.sensors import Sensor
from soarm.smallfile import write_atomically
from soarm.table_camera.colours import Picture, as_grey
from soarm.table_camera.drawing import drawn
from soarm.table_camera.moved import N_AVERAGED, Reference, Shift, mean_of
from soarm.table_camera.page import Live
from soarm.table_camera.tracker import Sighting, Tracker

logger = logging.getLogger(__name__)
_LOOK_S = 0.002
_CHECK_EVERY = 60
"""Pictures between two looks at whether the camera was moved: 2 s."""


class Watcher:
    """Keeps a file of objects fresh.

    Args:
        tracker: Finds things.
        target: The file.
        live: What shows the pictures; None shows none.
        insist: Go on though the camera was moved.
    """

    def __init__(self, tracker: Tracker, target: Path, live: Live | None = None, *, insist: bool = False) -> None:
        self._tracker, self._target, self._live, self._insist = tracker, target, live, insist
        self._reference = Reference(tracker.table)
        self._recent: deque[Picture] = deque(maxlen=N_AVERAGED)
        self._n, self._wrong, self._known = 0, "", False

    def take(self, picture: Picture, t_s: float) -> Sighting:
        """Take in a picture, and write where things are.

        Raises:
            ObservationError: The picture is not as in the calibration, or the camera was moved before it began.
        """
        sighting = self._tracker.see(picture, t_s)
        self._n += 1
        if self._n % _CHECK_EVERY < N_AVERAGED or self._n <= N_AVERAGED:
            self._recent.append(as_grey(picture))
        if self._n == N_AVERAGED or self._n % _CHECK_EVERY == N_AVERAGED:
            self._check(self._reference.shift(mean_of(self._recent)))
        if sighting.objects is not None and not self._wrong and self._n >= N_AVERAGED:
            if not self._known:
                logger.info("all is seen; %s is kept fresh", self._target)
                self._known = True
            write_atomically(self._target, self._text(sighting), ObservationError, durable=False)
        if self._live is not None:
            self._live.show(drawn(picture, sighting, self._tracker.table, self._wrong))
        return sighting

    def _check(self, shift: Shift) -> None:
        words = shift.words()
        if not shift.moved:
            if self._wrong or self._n == N_AVERAGED:
                (logger.info if shift.is_known else logger.warning)("%s", words)
            self._wrong = ""
        elif self._insist:
            logger.warning("%s", words)
        elif self._n == N_AVERAGED:
            raise ObservationError(f"{words}. Calibrate again (`soarm calibrate-table`), or give --allow-moved")
        elif not self._wrong:
            logger.error("%s; nothing is written until it is back", words)
            self._wrong = words

    def _text(self, sighting: Sighting) -> str:
        assert sighting.objects is not None
        table = self._tracker.table
        x, y, height = table.camera.eye_m.tolist()
        return json.dumps(
            {
                "task": self._tracker.task.name,
                "objects": sighting.objects.tolist(),
                "hidden": dict(sighting.hidden),
                "camera": [x, y, height],
            }
        )


def watch(
    camera: Sensor,
    watcher: Watcher,
    stop: Callable[[], bool],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Take in every new picture of a camera until `stop` says so.

    Args:
        camera: Tells pictures of red, green, blue.
        watcher: Takes them.
        stop: Asked between two pictures.
        now: The clock [s].
        sleep: Waits on it.

    Raises:
        ObservationError: A picture is not as in the calibration, or the camera was moved before it began.
    """
    last_s, silent = -1.0, False
    while not stop():
        t_s, picture = camera.read()
        if t_s > last_s:
            last_s, silent = t_s, False
            watcher.take(picture, t_s)
        else:
            if now() - t_s > 1.0 and not silent:
                logger.warning("%s do not come any more", camera.subject)
                silent = True
            sleep(_LOOK_S)
