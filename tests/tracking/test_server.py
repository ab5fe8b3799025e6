"""A server in the foreground: what ends the command ends the server with its workers."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from soarm.errors import StageError
from soarm.tracking.server import require_free, serve

# A server with a worker; it says so in files, and on SIGTERM it ends with status 3.
SERVER = textwrap.dedent("""
    import os, pathlib, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
    worker = subprocess.Popen(["sleep", "60"])
    pathlib.Path("pids").write_text(f"{os.getpid()} {worker.pid}")
    pathlib.Path("up").touch()
    time.sleep(60)
""")
SERVE = "import sys; from soarm.tracking.server import serve; sys.exit(serve([sys.executable, '-c', sys.argv[1]]))"


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_ends_server_and_workers_and_gives_the_server_s_status(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SERVE, SERVER], cwd=tmp_path)
    give_up_s = time.monotonic() + 30.0
    while not (tmp_path / "up").exists() and time.monotonic() < give_up_s:
        time.sleep(0.02)
    process.send_signal(number)

    assert process.wait(30.0) == 3
    assert [lives(int(pid)) for pid in (tmp_path / "pids").read_text().split()] == [False, False]


@pytest.mark.parametrize(
    ("program", "status"), [("raise SystemExit(4)", 4), (f"import os; os.kill(os.getpid(), {signal.SIGKILL})", 137)]
)
def test_a_server_that_ends_by_itself_gives_its_status(program: str, status: int) -> None:
    before = signal.getsignal(signal.SIGTERM)

    assert serve([sys.executable, "-c", program]) == status
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("port", [-1, 0, 65536, 99999])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(StageError, match=rf"port is {port}; it must be in 1\.\.65535"):
        require_free(port)


def test_a_port_in_use_is_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(StageError, match=rf"port {port} cannot be served on \(Address already in use\); give another"):
            require_free(port)
    require_free(port)
