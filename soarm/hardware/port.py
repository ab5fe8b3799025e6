"""The serial port of the bus: the SDK's PortHandler, opened for one process, with an input that holds no old answers.

Knows bytes and time, neither packets nor servos. Linux and macOS. What it changes of the SDK's port, and why:

* The SDK's `clearPort` empties the *output*. Here the *input* is emptied before every packet, so a late answer is thrown away
  instead of being taken for the next one.
* The SDK polls a port with zero timeout in a spin, which takes the processor from whoever is to answer; here a read sleeps
  until the bytes are there or the time is up. Bytes go straight to and from the file descriptor: pyserial's `read` and `write`
  cost 10 us a cycle more, and its `write` may report a timeout after all bytes went out.
* The port is locked, so that a second program is refused instead of mixing its bytes with ours.
"""

from __future__ import annotations

import errno
import fcntl
import os
import select
import sys
import termios
import time
from collections.abc import Callable
from typing import Any

import serial
from scservo_sdk import PortHandler

from soarm.errors import PortError
from soarm.hardware.ports import forbidden, holders

PORT_TROUBLE: tuple[type[Exception], ...] = (OSError, serial.SerialException, termios.error)
"""What an unplugged or hung adapter raises; `termios.error` is no OSError."""
_WRITE_TIMEOUT_S = 0.5
"""An adapter that takes no bytes for so long hangs; far above the longest time a loaded machine was seen to stall (54 ms)."""
_NONE = bytes(4)


class SerialPort(PortHandler):  # type: ignore[misc]  # the SDK ships no types
    """An open serial port.

    Attributes:
        ser: The pyserial object.
        sent: The bytes of the last packet that was sent.
        drained_bytes: How many bytes were thrown away unread by any question.
    """

    ser: Any
    sent: bytes = b""
    drained_bytes: int = 0

    def __init__(self, path: str, baud: int, exclusive: bool = True, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__(path)
        self.is_open: bool = False
        self.baudrate = baud
        self._exclusive = exclusive
        self._now = now
        self._fd = -1
        self._waiting = bytearray(4)  # its own: another thread may be asking another port

    def setupPort(self, cflag_baud: int) -> bool:  # noqa: N802 - the SDK's name
        """Open the port, or change the baud of an open one (the SDK would close it and lose the lock)."""
        if self.is_open:
            self.ser.baudrate = cflag_baud
            return True
        lock = True if self._exclusive else None
        self.ser = serial.Serial(self.port_name, cflag_baud, timeout=0, exclusive=lock)
        self.is_open = True
        self._fd = self.ser.fileno()
        _lower_latency(self.ser)
        return True

    def send(self, packet: bytes) -> None:
        """Throw away what came in since the last question was over, and send a packet."""
        n = self._n_waiting()
        if n:
            self.drained_bytes += len(self.receive(n, 0.0))
        self.sent = packet
        self._write(packet)

    def receive(self, n_bytes: int, within_s: float) -> bytes:
        """Sleep until so many bytes came or the time is up; return what came.

        Args:
            n_bytes: How many to wait for.
            within_s: How long to wait, 0 for what is there already [s].
        """
        end_s = self._now() + within_s
        data = piece = self._read(n_bytes, within_s)
        while len(data) < n_bytes and piece:
            piece = self._read(n_bytes - len(data), max(0.0, end_s - self._now()))
            data += piece
        return data

    def drain(self, quiet_s: float, end_s: float) -> None:
        """Throw away what comes until the line was quiet for `quiet_s`, at the longest until `end_s`."""
        while self._now() < end_s:
            data = self.receive(4096, quiet_s)
            self.drained_bytes += len(data)
            if not data:
                return

    def _n_waiting(self) -> int:
        fcntl.ioctl(self._fd, termios.FIONREAD, self._waiting)
        return 0 if self._waiting == _NONE else int.from_bytes(self._waiting, sys.byteorder)

    def _read(self, n_bytes: int, within_s: float) -> bytes:
        """Return the first bytes that come, at most so many; none where the time is up."""
        if not select.select((self._fd,), (), (), within_s)[0]:
            return b""
        data = os.read(self._fd, n_bytes)
        if not data:
            raise OSError(errno.EIO, "the device is gone: it reports bytes and has none")
        return data

    def _write(self, data: bytes) -> None:
        """Write all, waiting where the adapter takes no more for now."""
        while True:
            try:
                n = os.write(self._fd, data)
            except BlockingIOError:
                n = 0
            if n == len(data):
                return
            data = data[n:]
            if not select.select((), (self._fd,), (), _WRITE_TIMEOUT_S)[1]:
                raise OSError(errno.ETIMEDOUT, f"the adapter has taken no byte for {_WRITE_TIMEOUT_S} s")


def open_port(path: str, baud: int, exclusive: bool = True, now: Callable[[], float] = time.monotonic) -> SerialPort:
    """Open a serial port.

    Args:
        path: Device or a link to one, such as /dev/serial/by-id/...; a pseudo-terminal will do.
        baud: One of the SDK's rates.
        exclusive: Refuse to share the port. False is for a watchdog that must reach servos whose program hangs.
        now: The clock [s].

    Raises:
        PortError: Missing, busy, forbidden, no serial port, or a baud the SDK does not know.
    """
    port = SerialPort(path, baud, exclusive, now)
    try:
        opened = port.openPort()
    except PORT_TROUBLE as error:
        raise PortError(_why(path, error)) from error
    if not opened:
        raise PortError(f"{baud} baud is none of the servo SDK's rates; an STS3215 leaves the factory with 1000000")
    return port


def _why(path: str, error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number == errno.ENOENT:
        remedy = "there is no such device: is the adapter plugged in? `soarm find-port` shows what there is"
    elif number == errno.EACCES:
        remedy = forbidden(path) or "this user may not use it: `sudo usermod -a -G dialout $USER`, then log in again"
    elif number in (errno.EAGAIN, errno.EBUSY):
        remedy = _held(path)
    else:
        remedy = "it exists; is it a serial port at all?" if os.path.exists(path) else "is the adapter plugged in?"
    return f"the port {path} cannot be opened: {remedy} ({error})"


def _held(path: str) -> str:
    names = holders(path)
    who = ", ".join(names) if names else "which one, `sudo fuser -v` on the device says"
    return f"another program holds it: {who}. Close that one first"


def _lower_latency(ser: Any) -> None:
    """Ask the driver to hand over bytes at once (an FTDI chip waits 16 ms otherwise); where it cannot, it stays as it is."""
    if hasattr(ser, "set_low_latency_mode"):
        try:
            ser.set_low_latency_mode(True)
        except (ValueError, OSError):  # a pseudo-terminal, or a driver without the setting
            return
