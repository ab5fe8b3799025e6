"""Signals that end a session: noted and looked at between two steps, so that none of them cuts anything short.

A handler that raises may strike while torque comes on, while the arm parks, or while it is let go; each of these has to come
to its end. SIGKILL cannot be noted: for it there is the dead man's switch (`soarm.runtime.deadman`).
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """The signals that came so far.

    Attributes:
        came: Their names, in order.
    """

    def __init__(self) -> None:
        self.came: list[str] = []
        self._before: int | None = None

    def __bool__(self) -> bool:
        """Whether one came."""
        return bool(self.came)

    def wind_down(self) -> None:
        """The arm is on its way home: from now on a single Ctrl-C is enough to let it go at once."""
        self._before = self.came.count("SIGINT")

    def require_patience(self) -> None:
        """Raise KeyboardInterrupt where somebody wants the arm let go at once: a second Ctrl-C, or one while it parks.

        Only Ctrl-C counts. Whoever closes a terminal or shuts a computer down sends several signals and means one.
        """
        interrupts = self.came.count("SIGINT")
        if interrupts > 1 or (self._before is not None and interrupts > self._before):
            raise KeyboardInterrupt


@contextlib.contextmanager
def noted() -> Iterator[Stop]:
    """Note SIGINT, SIGTERM and SIGHUP in this block; one that is ignored, as SIGHUP under nohup, stays ignored."""
    stop = Stop()

    def note(signum: int, frame: FrameType | None) -> None:
        stop.came.append(signal.Signals(signum).name)

    before = {signum: handler for signum in _SIGNALS if (handler := signal.getsignal(signum)) is not signal.SIG_IGN}
    for signum in before:
        signal.signal(signum, note)
    try:
        yield stop
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
