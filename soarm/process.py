"""A Python program in a process that ends with the one that started it, and whose output goes to a file.

Needs the standard library only: it is sent to workers of a cluster that may have no soarm.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

_END_BYTES = 4000
_CLOCK_AND_LEVEL = re.compile(r"^\d\d:\d\d:\d\d \w+ +")
# Runs a command that Linux kills when its parent dies, however it dies, and that hears Ctrl-C whatever the parent ignores: one
# that outlived a killed worker would write where the task already runs again.
_TIED = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
os.execv(sys.argv[1], sys.argv[1:])
"""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Process:
    """A Python program that runs in a process group of its own, with one thread per kernel.

    Args:
        words: What Python runs.
        folder: Its working directory.
        log: The file that takes what it writes, after what it holds.
        environment: Variables beside those of this process.
        keeps: Open files that it keeps open, as a lock.
    """

    def __init__(
        self,
        words: Sequence[str],
        folder: Path,
        log: Path,
        environment: Mapping[str, str],
        keeps: Sequence[BinaryIO] = (),
    ) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _TIED, sys.executable, *words],
                cwd=folder,
                env={**os.environ, **ONE_THREAD, **environment},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                process_group=0,
                pass_fds=[kept.fileno() for kept in keeps],
            )

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def said(self) -> str:
        """Return the end of what it wrote."""
        with self._log.open("rb") as file:
            file.seek(max(0, self._log.stat().st_size - _END_BYTES))
            return file.read().decode(errors="replace").strip()

    def line(self) -> str:
        """Return the last line that it wrote, without the time."""
        return _CLOCK_AND_LEVEL.sub("", self.said().rpartition("\n")[2])

    def interrupt(self) -> None:
        """Ask it to end, as Ctrl-C does."""
        self._send(signal.SIGINT)

    def end(self, within_s: float) -> None:
        """Ask it to end, wait that long [s], and kill it where it has not."""
        self.interrupt()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(within_s)
        self.kill()

    def kill(self) -> None:
        """End it, and wait until it has ended."""
        self._send(signal.SIGKILL)
        self._process.wait()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Hold it in this block, so that its files are as a kill would leave them at this moment."""
        self._send(signal.SIGSTOP)
        try:
            yield
        finally:
            self._send(signal.SIGCONT)

    def _send(self, signum: int) -> None:
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signum)
