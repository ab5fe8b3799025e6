"""Ctrl-C, SIGTERM and SIGHUP are noted, never raised: a program that has an arm in its hands looks when it can act on them.

The first asks it to hold, park and let go; a second Ctrl-C, or one while the arm parks, to let go at once. A handler that
raised could strike anywhere, between an `except` and the torque-off it leads to as well; one that only notes leaves no servo
live however many come. SIGKILL cannot be noted: for it there is the dead man's switch (`soarm.runtime.deadman`).
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from soarm.hardware.signals import only_noted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """What has come so far.

    Attributes:
        came: Names, in order.
    """

    def __init__(self) -> None:
        self.came: list[str] = []
        self._before: int | None = None

    def __bool__(self) -> bool:
        return bool(self.came)

    def wind_down(self) -> None:
        """Note that the arm is on its way home: from now on a single Ctrl-C is enough to let it go at once."""
        self._before = self.came.count("SIGINT")

    @property
    def at_once(self) -> bool:
        """Whether the arm is to be let go at once.

        Only Ctrl-C says so: whoever closes a terminal or shuts a computer down sends several signals and means one.
        """
        interrupts = self.came.count("SIGINT")
        return interrupts > 1 or (self._before is not None and interrupts > self._before)

    def note(self, signum: int, frame: FrameType | None) -> None:
        """Note a signal; for `signal.signal`."""
        self.came.append(signal.Signals(signum).name)


@contextmanager
def noted() -> Iterator[Signals]:
    """Note signals in this block; one that is ignored, as SIGHUP under nohup, stays so. In the main thread only."""
    signals = Signals()
    before = {signum: signal.getsignal(signum) for signum in _SIGNALS}
    mine = [signum for signum, handler in before.items() if handler is not signal.SIG_IGN]
    try:
        for signum in mine:
            signal.signal(signum, signals.note)
        with only_noted():
            yield signals
    finally:
        for signum in mine:
            signal.signal(signum, before[signum])
