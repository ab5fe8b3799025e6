"""Ctrl-C, SIGTERM and SIGHUP wait until the bus is between two transactions.

A handler that raises in the middle of a transaction would leave half an answer on the wire, and the torque-off in somebody's
`finally` would be the next to speak. Python runs handlers in the main thread only, so in any other thread there is nothing to
hold back, and it costs nothing there (in the main thread 12 us a transaction); nor is there where handlers only note what
came, as those of `soarm drive` do, which says so (`only_noted`). Nothing is lost: what came in is delivered, in order, as soon
as the transaction is over.

A command that waits at a prompt cannot look at what was noted: there the first signal raises, once (`raised_once`).
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from types import FrameType, TracebackType
from typing import Any

_Handler = Callable[[int, FrameType | None], Any] | int | signal.Handlers
_HELD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class ToldToStop(KeyboardInterrupt):
    """A signal told the program to stop.

    Attributes:
        signum: Which; a shell expects the exit status 128 + signum.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signal.Signals(signum).name)
        self.signum = signum


@contextlib.contextmanager
def raised_once() -> Iterator[None]:
    """Raise `ToldToStop` in this block at the first SIGINT, SIGTERM or SIGHUP, and ignore those that follow.

    Whoever closes a terminal sends several signals and means one; a second one must not break off what the first one made the
    program put back. A signal that is ignored, as SIGHUP under nohup, stays so. Outside of the main thread it does nothing.
    """
    if threading.get_ident() != threading.main_thread().ident:
        yield
        return
    told: list[int] = []

    def tell(signum: int, frame: FrameType | None) -> None:
        told.append(signum)
        if len(told) == 1:
            raise ToldToStop(signum)

    handlers = {signum: signal.getsignal(signum) for signum in _HELD}
    before = {signum: handler for signum, handler in handlers.items() if handler not in (None, signal.SIG_IGN)}
    try:
        for signum in before:
            signal.signal(signum, tell)
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


def interrupts_held() -> AbstractContextManager[None]:
    """Hold SIGINT, SIGTERM and SIGHUP back in this block and deliver them at its end; blocks may be nested."""
    if _noting or threading.get_ident() != threading.main_thread().ident:
        return _NOTHING_TO_HOLD
    return _Held()


@contextlib.contextmanager
def only_noted() -> Iterator[None]:
    """Say that in this block the handlers of these signals raise nothing, so that nothing has to be held back."""
    _noting.append(True)
    try:
        yield
    finally:
        _noting.pop()


def may_raise() -> bool:
    """Return whether a signal may raise something in the main thread."""
    return not _noting


_NOTHING_TO_HOLD = contextlib.nullcontext()
_noting: list[bool] = []


class _Held:  # a class because a generator costs twice the time
    _main_thread_holds = False

    def __init__(self) -> None:
        self._previous: dict[int, _Handler] = {}
        self._noted: list[int] = []
        self._outermost = False

    def __enter__(self) -> None:
        if _Held._main_thread_holds:
            return
        try:
            for signum in _HELD:
                handler = signal.getsignal(signum)
                if handler is None or handler == signal.SIG_IGN:  # None: not set from Python, so it could not be put back
                    continue
                self._previous[signum] = handler
                signal.signal(signum, self._note)
            self._outermost = _Held._main_thread_holds = True
        except BaseException:  # a signal struck between the two; neither may stay held
            self._end()
            raise

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._outermost:
            self._end()

    def _end(self) -> None:
        try:
            self._let_through()
        except BaseException:  # the first one, already let through, struck before the second was
            self._let_through()
            raise
        finally:
            self._deliver()

    def _note(self, signum: int, frame: FrameType | None) -> None:
        self._noted.append(signum)

    def _let_through(self) -> None:
        _Held._main_thread_holds = False
        for signum, handler in self._previous.items():
            signal.signal(signum, handler)

    def _deliver(self) -> None:
        if self._noted:
            try:
                signal.raise_signal(self._noted.pop(0))
            finally:
                self._deliver()
