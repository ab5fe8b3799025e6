"""The lock of a dataset that is being recorded: one program at a time records into it.

The lock is on the file `recording/recording.lock`, and the operating system takes it back when its holder ends or is killed.
The file goes away with the lock, or with the folder `recording/` when the dataset is finalized; one that a kill left locks
nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import weakref
from pathlib import Path

from soarm.dataset import layout, storage
from soarm.errors import DatasetError

logger = logging.getLogger(__name__)

NAME = "recording.lock"
_PID_BYTES = 20


class Lock:
    """The right to record into a dataset, until `give_back`; make it with `take`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        """Hold what was locked; not for callers, see `take`."""
        self._path = path
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)

    @classmethod
    def take(cls, root: Path) -> Lock:
        """Lock the dataset at `root`, and make its folder where there is none.

        Raises:
            DatasetError: Another recorder has it (names its process), or the folder cannot be written.
        """
        while True:
            path = storage.location(root) / layout.RECORDING / NAME
            with storage.writing(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            lock = cls(path, descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = os.pread(descriptor, _PID_BYTES, 0).decode("ascii", "replace").strip()
                name = f" (process {holder})" if holder else ""
                raise DatasetError(
                    f"{root}: another program{name} records into it, and one at a time may. Nothing was changed. End "
                    "the other one (q in `soarm control`) and do the same again, or choose another folder with --dataset."
                ) from None
            except OSError as error:  # a network disk that has no locks
                logger.warning("%s cannot be locked (%s): let one program at a time record there", root, error.strerror)
            if lock._is_there():  # and not finalized and taken away by its holder meanwhile
                with storage.writing(path):
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
                return lock

    def give_back(self) -> None:
        """Let others record there; an empty `recording/` goes as well. The second time it does nothing."""
        if self._close.alive:
            with contextlib.suppress(OSError):
                if self._is_there():
                    self._path.unlink()
                    self._path.parent.rmdir()  # refused where episodes are
            self._close()

    def _is_there(self) -> bool:
        """Return whether the locked file is still the one of this name."""
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))
        except OSError:
            return False
