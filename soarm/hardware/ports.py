"""Find the serial port that the arm is on.

A pseudo-terminal, as a twin has it, is in no list of ports; whoever has one names it.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from serial.tools import list_ports

from soarm.errors import PortError

BY_ID = Path("/dev/serial/by-id")
ADAPTERS = {(0x1A86, 0x55D3): "CH343, ttyACM", (0x1A86, 0x7523): "CH340, ttyUSB"}
"""USB vendor and product of the adapters that are sold with the arm."""
STEALERS = {
    "brltty": "it takes CH340 adapters for braille displays and their port vanishes (Ubuntu 22.04); `sudo apt remove brltty`",
    "ModemManager": "it talks to new serial ports for half a minute; wait that long, or `sudo systemctl "
    "disable --now ModemManager`",
}
"""Program -> what it does to a serial port, and the remedy (lerobot issue 3131)."""


def lasting(device: str, by_id: Path = BY_ID) -> str:
    """Return the name of a port that stays when it is plugged in elsewhere, or the device itself where it has none."""
    names = sorted(by_id.iterdir()) if by_id.is_dir() else []
    target = Path(device).resolve()
    return next((str(name) for name in names if name.resolve() == target), device)


def listed(found: Callable[[], Iterable[Any]] = list_ports.comports, by_id: Path = BY_ID) -> dict[str, str]:
    """Return the ports there are: lasting name -> what is plugged in, the arm's adapters first."""
    ports = sorted(found(), key=lambda port: ((port.vid, port.pid) not in ADAPTERS, port.device))
    return {lasting(port.device, by_id): ADAPTERS.get((port.vid, port.pid), port.description or "unknown") for port in ports}


def existing(links: Iterable[str]) -> dict[str, str]:
    """Return those of the links that exist, as `listed` does: a pseudo-terminal is in no list of the system."""
    return {link: "named with --also" for link in links if Path(link).exists()}


def stealers(proc: Path = Path("/proc")) -> list[str]:
    """Return, in words, the programs that run here and are known to take serial ports for themselves."""
    names = set()
    for path in proc.glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):  # it has ended since
            names.add(path.read_text(encoding="utf-8", errors="replace").strip())
    return [f"{name} runs on this computer: {STEALERS[name]}" for name in STEALERS if name in names]


def unplugged(before: Iterable[str], after: Iterable[str]) -> str:
    """Return the one port that went away.

    Raises:
        PortError: None did, or several.
    """
    gone = sorted(set(before) - set(after))
    if len(gone) != 1:
        raise PortError(
            f"{'no port' if not gone else 'several ports'} went away {gone or ''}; there were {sorted(before)}. Unplug the "
            "USB cable of the arm's adapter, and nothing else, while this waits"
        )
    return gone[0]


def forbidden(device: str) -> str | None:
    """Return why this user may not use a port, in words; None where nothing is in the way, or there is no such port."""
    path = Path(device)
    if not path.exists() or os.access(path, os.R_OK | os.W_OK):
        return None
    try:
        group = grp.getgrgid(path.stat().st_gid)
    except KeyError:
        return f"this user may not use {device}, whose group has no name: ask who looks after this computer"
    user = _user_name()
    if user in group.gr_mem:
        return f"{user} is in the group {group.gr_name}, to which {device} belongs, but not yet in this session: log in again"
    return (
        f"{user} may not use {device}, which belongs to the group {group.gr_name}: "
        f"`sudo usermod -a -G {group.gr_name} {user}`, then log in again"
    )


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container may run as any number
        return f"the user {os.getuid()}"


def holders(device: str, proc: Path = Path("/proc")) -> list[str]:
    """Return the processes that have a port open, as far as this user may see: what they are, and their number."""
    target = os.path.realpath(device)
    found = []
    for process in sorted(proc.glob("[0-9]*"), key=lambda path: int(path.name)):
        with contextlib.suppress(OSError):  # it has ended since, or is another user's
            if any(os.path.realpath(link) == target for link in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                found.append(f"process {process.name} ({words[:80] or 'unknown'})")
    return found
