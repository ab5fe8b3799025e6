"""A server that another program is, in the foreground: what ends this process ends the server with all its workers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from soarm.errors import StageError
from soarm.signals import recorded_signals

_LOOK_S = 0.1
_GRACE_S = 5.0
"""How long workers may take to end before they are killed."""


def serve(command: Sequence[str], environment: Mapping[str, str] | None = None) -> int:
    """Run a server until it ends, or until SIGINT, SIGTERM or SIGHUP ends it.

    Args:
        command: Starts the server.
        environment: What its environment has that this one has not; what this one has stays.

    Returns:
        Exit status of the server, 128 + n where signal n ended it.
    """
    with recorded_signals() as stop:
        server = subprocess.Popen(
            command, env={**(environment or {}), **os.environ}, start_new_session=True
        )  # a group of its own, to end its workers too
        while server.poll() is None and not stop:
            time.sleep(_LOOK_S)
        _end(server)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def require_free(port: int) -> None:
    """Raise StageError unless a server of this machine can listen on `port`."""
    if not 1 <= port <= 65535:
        raise StageError(f"port is {port}; it must be in 1..65535")
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a connection of before does not count
        try:
            trial.bind(("127.0.0.1", port))
        except OSError as error:
            raise StageError(f"port {port} cannot be served on ({error.strerror}); give another with --port") from None


def _end(server: subprocess.Popen[bytes]) -> None:
    """Ask the server's processes to end, kill what does not, and take its exit status."""
    give_up_s = time.monotonic() + _GRACE_S
    with suppress(ProcessLookupError):  # the group is empty
        os.killpg(server.pid, signal.SIGTERM)
        while time.monotonic() < give_up_s:
            server.poll()
            os.killpg(server.pid, 0)
            time.sleep(_LOOK_S)
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()
