"""What every run on an arm has beside its loop: a log of what the arm does before and after."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from types import MappingProxyType
from typing import Any

from soarm.errors import FaultError
from soarm.hardware.driver import Arm
from soarm.runtime import records, replay
from soarm.runtime.limits import Limits
from soarm.runtime.log import RunLog
from soarm.runtime.loop import LoopConfig
from soarm.signals import StopRequests

logger = logging.getLogger(__name__)


class Journal:
    """Copies what the arm says of itself into the log, at every beat.

    Args:
        arm: Whose events and positions they are.
        log: None for none.
        beat: Called at every beat, for a dead man's switch.
    """

    def __init__(self, arm: Arm, log: RunLog | None, beat: Callable[[], None]) -> None:
        self._arm, self._log, self._beat = arm, log, beat
        self._copied = 0

    def beat(self) -> None:
        """Beat in a tick of the loop."""
        self._copy()
        self._beat()

    def step(self) -> None:
        """Beat in a move that is no policy's, and log where it is."""
        arm, seen = self._arm, self._arm.seen
        if self._log is not None and seen is not None:
            self._log.add_move(records.make_move(arm.state, seen, arm.told), seen.t_s)
        self.beat()

    def note(self, text: str) -> None:
        """Tell what happens now, and log it."""
        logger.info("%s", text)
        self._copy()
        if self._log is not None:
            self._log.note(text)

    def end(self) -> None:
        """Log the counters of the bus."""
        self._copy()
        if self._log is not None:
            self._log.note("counters of the bus", **dataclasses.asdict(self._arm.bus.counters))

    def _copy(self) -> None:
        events = self._arm.events
        if self._log is not None:
            for t_s, text in events[self._copied :]:
                self._log.note(f"arm: {text}", t_s)
        self._copied = len(events)


def header(
    config: LoopConfig,
    limits: Limits,
    arm: Arm,
    which: str,
    *,
    dry_run: bool = False,
    bundle: Mapping[str, str] = MappingProxyType({}),
    cameras: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what a run's log says of it, so that it can be replayed.

    Args:
        config: Of the loop.
        limits: Of the safety chain.
        arm: What is driven.
        which: What drives it.
        dry_run: Whether nothing is sent.
        bundle: Checksums of the bundle that drives it.
        cameras: Those that it looks through.
    """
    return {
        "soarm": metadata.version("soarm"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "control_hz": config.control_hz,
        "bus_hz": config.bus_hz,
        "approach": config.approach,
        "which": which,
        "dry_run": dry_run,
        "limits": replay.header_of(limits),
        "calibration": arm.calibration.hash,
        "bundle": dict(bundle),
        "cameras": list(cameras),
        "gains": dataclasses.asdict(arm.config.gains),
    }


def go_on(stop: StopRequests, beat: Callable[[], None]) -> None:
    """Beat; raise FaultError where a signal came before a run began."""
    beat()
    if stop:
        raise FaultError(f"{stop.came[0]} came before the run began")
