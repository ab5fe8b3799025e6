"""SIGINT, SIGTERM and SIGHUP ask a program to stop. How they reach it depends on what it has in its hands.

    recorded_signals   nothing is raised: a program that drives an arm looks when it can act on them
    raised_once        the first one raises, the others are ignored: for a command that waits at a prompt
    deferred_signals   whatever the handlers do, they do it after the block: a bus transaction is not broken off in its middle

A handler that raises could strike anywhere, between an `except` and the torque-off it leads to as well; one that only records
leaves no servo live however many signals come. SIGKILL reaches nobody: for it there is `soarm.runtime.deadman`. Python runs
handlers in the main thread alone, so in another one there is nothing to defer. A signal that is ignored stays so, as SIGHUP
does under nohup. Needs the standard library only.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], object]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopRequested(KeyboardInterrupt):
    """A signal asked the program to stop.

    Attributes:
        signum: Which; a shell expects the exit status 128 + signum.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


class StopRequests:
    """The signals that came.

    Attributes:
        came: Names, in order.
    """

    def __init__(self) -> None:
        self.came: list[str] = []
        self._before: int | None = None

    def __bool__(self) -> bool:
        return bool(self.came)

    def record(self, signum: int, frame: FrameType | None) -> None:
        """Record a signal; a handler."""
        self.came.append(signal.Signals(signum).name)

    def begin_shutdown(self) -> None:
        """Note that the arm is on its way home: from now on a single Ctrl-C is enough to release it at once."""
        self._before = self.came.count("SIGINT")

    @property
    def at_once(self) -> bool:
        """Whether the arm is to be released at once.

        Only Ctrl-C says so: whoever closes a terminal or shuts a computer down sends several signals and means one.
        """
        interrupts = self.came.count("SIGINT")
        return interrupts > 1 or (self._before is not None and interrupts > self._before)


@contextlib.contextmanager
def handled_by(handler: Handler, signums: tuple[int, ...] = STOP_SIGNALS) -> Iterator[None]:
    """Give signals to `handler` in this block, and to whom they went before after it; in the main thread only."""
    before = _replaceable(signums)
    try:
        for signum in before:
            signal.signal(signum, handler)
        yield
    finally:
        for signum, previous in before.items():
            signal.signal(signum, previous)


@contextlib.contextmanager
def recorded_signals() -> Iterator[StopRequests]:
    """Record the signals of this block, and raise nothing; in the main thread only."""
    requests = StopRequests()
    with handled_by(requests.record):
        _recording.append(True)
        try:
            yield requests
        finally:
            _recording.pop()


@contextlib.contextmanager
def raised_once() -> Iterator[None]:
    """Raise `StopRequested` in this block at the first signal, and ignore those that follow.

    Whoever closes a terminal sends several signals and means one; a second one must not break off what the first one made the
    program put back. Outside of the main thread it does nothing.
    """
    if not _in_main_thread():
        yield
        return
    requests = StopRequests()

    def tell(signum: int, frame: FrameType | None) -> None:
        requests.record(signum, frame)
        if len(requests.came) == 1:
            raise StopRequested(signum)

    with handled_by(tell):
        yield


def deferred_signals() -> AbstractContextManager[None]:
    """Hold signals back in this block and deliver them, in order, at its end; blocks may be nested.

    Costs 12 us in the main thread, and nothing in another one or where signals are recorded, for then nothing is raised.
    """
    if _recording or not _in_main_thread():
        return _NOTHING_TO_HOLD
    return _Deferral()


def may_raise() -> bool:
    """Return whether a signal may raise something in the main thread."""
    return not _recording


_NOTHING_TO_HOLD = contextlib.nullcontext()
_recording: list[bool] = []


class _Deferral:  # a class because a generator costs twice the time
    _is_on = False

    def __init__(self) -> None:
        self._previous: dict[int, signal._HANDLER] = {}
        self._held: list[int] = []
        self._outermost = False

    def __enter__(self) -> None:
        if _Deferral._is_on:
            return
        try:
            self._previous = _replaceable(STOP_SIGNALS)
            for signum in self._previous:
                signal.signal(signum, self._hold)
            self._outermost = _Deferral._is_on = True
        except BaseException:  # a signal struck between the two; neither may stay held
            self._end()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._outermost:
            self._end()

    def _hold(self, signum: int, frame: FrameType | None) -> None:
        self._held.append(signum)

    def _end(self) -> None:
        try:
            self._let_through()
        except BaseException:  # the first one, already let through, struck before the second was
            self._let_through()
            raise
        finally:
            self._deliver()

    def _let_through(self) -> None:
        _Deferral._is_on = False
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _deliver(self) -> None:
        if self._held:
            try:
                signal.raise_signal(self._held.pop(0))
            finally:
                self._deliver()


def _in_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident


def _replaceable(signums: tuple[int, ...]) -> dict[int, signal._HANDLER]:
    """Return the handlers of signals that are not ignored; one that was not set from Python could not be put back."""
    found = ((signum, signal.getsignal(signum)) for signum in signums)
    return {signum: handler for signum, handler in found if handler is not None and handler != signal.SIG_IGN}
