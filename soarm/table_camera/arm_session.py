"""Calibrate a table on an arm that is plugged in: connect, hold, set down on spots, park, release.

Ctrl-C, SIGTERM or SIGHUP ends it: the arm is parked and released. If the program dies, a second process softens the arm.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Iterator, Sequence

from soarm.errors import HardwareError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.hardware.procedures import enter_was_pressed
from soarm.runtime.deadman import DeadMan
from soarm.runtime.sensors import Sensor
from soarm.runtime.shutdown import shut_down
from soarm.signals import recorded_signals
from soarm.table_camera.calibrating import calibrate
from soarm.table_camera.colours import Colour
from soarm.table_camera.table import Table
from soarm.tasks.thing import Thing

logger = logging.getLogger(__name__)
_POLL_S = 0.05
_SILENCE_S = 20.0
"""Without a sign of life for so long the arm is softened [s]; to solve the camera takes a second, on a busy computer more."""


def calibrate_on(
    port: str,
    calibration: Calibration,
    config: ArmConfig,
    camera: Sensor,
    thing: Thing,
    colour: Colour,
    *,
    lies_at: Sequence[float] | None,
    keep_clear: Sequence[Sequence[float]],
) -> Table:
    """Calibrate on the arm of a port; see `calibrate`.

    Raises:
        HardwareError: The arm must not or cannot be driven, or the input ended.
        KeyboardInterrupt: A signal asked to stop; the arm was parked.
    """
    with (
        recorded_signals() as stop,
        Arm.connect(port, calibration, config) as arm,
        DeadMan(port, calibration.servo_ids, _SILENCE_S) as watcher,
    ):

        def each() -> None:
            watcher.beat()
            if stop:
                raise KeyboardInterrupt

        def ask(text: str) -> None:
            sys.stderr.write(text)
            sys.stderr.flush()
            with _complete_input():
                while not enter_was_pressed():
                    each()
                    arm.observe()
                    time.sleep(_POLL_S)

        try:
            arm.hold()
            arm.activate()
            table = calibrate(arm, camera, thing, colour, ask, lies_at=lies_at, keep_clear=keep_clear, each=each)
        finally:
            ended = shut_down(arm, watcher.beat, park=True, signals=stop)
            if ended.lost:
                watcher.stay()
        return table


@contextlib.contextmanager
def _complete_input() -> Iterator[None]:
    try:
        yield
    except EOFError:
        raise HardwareError("the input ended before a question was answered; begin again at a terminal") from None
