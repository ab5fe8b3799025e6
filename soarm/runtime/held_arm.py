"""An arm that holds as long as a block lasts, with a dead man's switch; afterwards, whatever ended it, parked and released.

For programs that command an arm over many episodes: driving by hand, learning on it. A single run of a bundle has its own,
with a log (`soarm.runtime.drive`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from soarm.errors import FaultError
from soarm.hardware.calibration import Calibration
from soarm.hardware.config import ArmConfig
from soarm.hardware.driver import Arm
from soarm.runtime.deadman import DeadMan, nobody
from soarm.runtime.limits import Limits
from soarm.runtime.shutdown import Shutdown, shut_down
from soarm.runtime.standing import Box
from soarm.signals import StopRequests

logger = logging.getLogger(__name__)
SILENCE_S = 3.0
"""Without a step for so long, the dead man's switch takes the arm [s]: an episode on its way to a slow card takes one or two.

A program that is gone is noticed at once, by the end of the pipe."""


class HeldArm(NamedTuple):
    """An active arm, and what has to be called in every step: the dead man's switch waits for it."""

    arm: Arm
    beat: Callable[[], None]


@contextmanager
def held_arm(
    port: str,
    calibration: Calibration,
    config: ArmConfig,
    around: Callable[[], tuple[Box, ...]],
    signals: StopRequests | None = None,
    *,
    limits: Limits | None = None,
    deadman: bool = True,
) -> Iterator[HeldArm]:
    """Connect an arm and make it hold; afterwards park it and release it.

    Args:
        port: Where it is.
        calibration: Of this arm.
        config: Its settings.
        around: Returns what stands on the table when the arm parks.
        signals: Those noted so far; a Ctrl-C among them while the arm parks releases it at once.
        limits: Range and height of the table; None for the usual ones.
        deadman: Whether a process of its own takes the arm when this one falls silent.

    Raises:
        HardwareError: It must not or cannot be driven, was released above its rest pose, or a servo did not confirm its
            release.
    """
    with Arm.connect(port, calibration, config) as arm, ExitStack() as stack:
        beat: Callable[[], None] = nobody
        watcher = None
        if deadman:
            watcher = stack.enter_context(DeadMan(port, calibration.servo_ids, SILENCE_S))
            beat = watcher.beat

        def end() -> Shutdown:
            ended = shut_down(arm, beat, park=True, signals=signals, limits=limits, around=around())
            if ended.lost and watcher is not None:
                watcher.stay()
            return ended

        try:
            arm.hold()
            arm.activate()
            yield HeldArm(arm, beat)
        except BaseException:  # whatever it is, it goes on after the arm was released
            end()
            raise
        ended = end()
        if ended.live:
            raise FaultError(f"{', '.join(ended.live)} may still be live: cut the power")
        if ended.parked is False:
            raise FaultError("the arm was released above its rest pose; why stands above, and kept episodes are safe")
