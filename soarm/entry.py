"""How `soarm` starts and ends: exit status, Ctrl-C, closed outputs, and one line where a file is in the way.

Needs the standard library only, and little of it: what is imported here is imported before anything is guarded.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import os
import select
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NoReturn, TextIO

from soarm.errors import MissingPackageError, SoarmError, how_to_install

INTERRUPTED, CLOSED_PIPE = 130, 141
"""Exit status after Ctrl-C, and where whoever read the output has gone, as shells have them."""


def soarm() -> NoReturn:
    """Run the command `soarm`."""
    start("soarm.cli.program")


def start(module: str) -> NoReturn:
    """Import a module, run its `main` with the arguments of the process, and exit with its status."""
    _open_streams()
    status = guarded(lambda: _main(module))
    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be stopped
    sys.exit(_flushed(status))


@contextlib.contextmanager
def loading(extra: str = "pipeline") -> Iterator[None]:
    """Import in this block; Ctrl-C in it ends the process at once, since nothing has begun that would need an end.

    An exception instead would strike inside other people's modules, which turn it into errors of their own.

    Args:
        extra: The extra of soarm that has what is imported.

    Raises:
        MissingPackageError: A package is not installed.
    """
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(ValueError):  # not in the main thread, so nothing is raised here either
        if before is signal.default_int_handler:
            signal.signal(signal.SIGINT, _leave)
    try:
        yield
    except ModuleNotFoundError as error:
        if str(error.name).startswith("soarm"):
            raise
        raise _missing(error, extra) from error
    finally:
        with contextlib.suppress(ValueError):
            signal.signal(signal.SIGINT, before)


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Errors of a write that name no file: those of soarm's own files are said with their path, so this is the output."""


def guarded(call: Callable[[], int], traceback: bool = False) -> int:
    """Return the exit status of a command: what it returns, or that of what it raises, said on standard error.

    Errors of soarm and of the operating system become a paragraph; anything else is a mistake of soarm's and passes.

    Args:
        call: The command.
        traceback: Whether to show where an error of soarm was raised.
    """
    try:
        return call()
    except KeyboardInterrupt as error:
        return say("; ".join(["stopped", *getattr(error, "__notes__", [])]), 128 + getattr(error, "signum", signal.SIGINT))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except SoarmError as error:
        if traceback:
            sys.excepthook(type(error), error, error.__traceback__)
        return say(f"error: {error}", 1)
    except ModuleNotFoundError as error:
        if str(error.name).startswith("soarm"):
            raise
        return say(f"error: {_missing(error, 'pipeline')}", 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _is_gone(sys.stdout):
            return CLOSED_PIPE
        names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        what = names or ("the output cannot be written" if error.errno in _FULL else type(error).__name__)
        return say(f"error: {what}: {error.strerror or error}", 1)


def _main(module: str) -> int:
    with loading():
        main: Callable[[], int] = importlib.import_module(module).main
    import logging  # not above: whoever logs has loaded it by now

    logging.raiseExceptions = False  # an arm is parked though nobody reads along: what cannot be shown is left out
    return main()


def _missing(error: ModuleNotFoundError, extra: str) -> MissingPackageError:
    return MissingPackageError(f"this needs {error.name}, which is not installed: {how_to_install(extra)}")


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, b"stopped\n")
    os._exit(INTERRUPTED)


def _open_streams() -> None:
    """Give standard streams that were closed the null device, lest a serial port becomes standard output.

    What cannot be encoded is written as an escape: a file's name may be any bytes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _flushed(status: int) -> int:
    """Write out what waits, and return the status; where that fails and the command did not, another one."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            with contextlib.suppress(OSError, ValueError):  # else Python tries again at its end, and complains
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if getattr(error, "errno", None) == errno.EPIPE:
                status = status or CLOSED_PIPE
            else:
                status = status or say(f"error: the output cannot be written: {getattr(error, 'strerror', None) or error}", 1)
    return status


def _is_gone(stream: TextIO) -> bool:
    """Whether nobody reads a stream any more."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return False


def say(text: str, status: int) -> int:
    """Write a line on standard error, if anybody reads it, and return the status."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    return status
