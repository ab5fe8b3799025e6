"""A pseudo-terminal that can be unplugged, and plugged in again under the same name."""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
import sys
import tempfile
import termios
import tty
from contextlib import ExitStack
from pathlib import Path

from soarm.errors import TwinError

_CHUNK = 4096
_LINES = "/dev/pts/"
_TCGETS2, _TERMIOS2 = 0x802C542A, struct.Struct("4I20B2I")
"""Linux: settings of a terminal, the last two numbers being input and output speed [baud]."""


class Port:
    """The servo's end of a serial line; the other end is a path.

    The path is a link in a folder of its own, so that it stays the same when the line is plugged in again, as a path below
    `/dev/serial/by-id` does.

    Args:
        path: Where the link is to be; None makes one in a temporary folder.

    Raises:
        TwinError: There are no pseudo-terminals, or the path is taken: by anything but a link to one, or by another twin.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="soarm-twin-") if path is None else None
        self.path = Path(self._folder.name) / "arm" if self._folder is not None else Path(path or "")
        if os.path.lexists(self.path) and not (self.path.is_symlink() and os.readlink(self.path).startswith(_LINES)):
            raise TwinError(
                f"{self.path} exists and is not a link to a pseudo-terminal; choose another path for the twin's port"
            )
        self._master = self._slave = -1
        self._lock = ExitStack() if path is None else _locked(self.path)
        try:
            self.plug_in()
        except TwinError:
            self._lock.close()
            raise

    def plug_in(self) -> None:
        """Open the line; does nothing while it is open."""
        if self._master >= 0:
            return
        try:
            self._master, self._slave = os.openpty()
        except OSError as error:
            raise TwinError(f"no pseudo-terminal can be opened ({error.strerror}); is /dev/pts mounted?") from error
        tty.setraw(self._slave)  # before anybody opens it, else it echoes
        os.set_blocking(self._master, False)
        try:
            self.path.unlink(missing_ok=True)
            self.path.symlink_to(os.ttyname(self._slave))
        except OSError as error:
            self._close_ends()
            raise TwinError(
                f"the link {self.path} to the twin's port cannot be made ({error.strerror}); choose another path"
            ) from None

    def unplug(self) -> None:
        """Close both ends; whoever has the other one open finds it gone."""
        if self._master >= 0:
            if self.path.is_symlink() and os.readlink(self.path) == os.ttyname(self._slave):  # no other twin has taken it
                self.path.unlink(missing_ok=True)
            self._close_ends()

    def _close_ends(self) -> None:
        for fd in (self._master, self._slave):
            os.close(fd)
        self._master = self._slave = -1

    def close(self) -> None:
        """Unplug for good."""
        self.unplug()
        self._lock.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    @property
    def fd(self) -> int:
        """File descriptor to wait on; -1 while unplugged."""
        return self._master

    @property
    def baud(self) -> int:
        """The speed that whoever has the other end open has set; 0 while unplugged."""
        if self._master < 0:
            return 0
        if sys.platform != "linux":
            return int(termios.tcgetattr(self._slave)[5])
        settings = bytearray(_TERMIOS2.size)  # tcgetattr has no number for 128 000 and 250 000 baud
        fcntl.ioctl(self._master, _TCGETS2, settings)
        return int(_TERMIOS2.unpack(settings)[-1])

    def read(self) -> bytes:
        """Return what has come, perhaps nothing."""
        try:
            return os.read(self._master, _CHUNK) if self._master >= 0 else b""
        except (BlockingIOError, OSError):
            return b""

    def write(self, data: bytes) -> None:
        """Send bytes; what the line does not take is lost, as on a wire."""
        if self._master >= 0:
            try:
                os.write(self._master, data)
            except BlockingIOError:
                return


def _locked(path: Path) -> ExitStack:
    """Take the lock of a link, until the stack is closed or the process ends: cables may be out, links outlive a killed twin.

    Raises:
        TwinError: Another twin has it.
    """
    name = hashlib.sha256(str(path.parent.resolve() / path.name).encode()).hexdigest()[:16]
    with ExitStack() as stack:
        file = Path(tempfile.gettempdir(), f"soarm-twin-{os.getuid()}-{name}.lock")
        lock = stack.enter_context(file.open("w"))
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TwinError(f"another twin is on {path}; end it, or choose another path for this one's port") from None
        stack.callback(file.unlink, missing_ok=True)
        return stack.pop_all()
