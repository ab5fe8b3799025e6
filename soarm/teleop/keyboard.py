"""The keyboard as a teleoperator: keys that are held move the gripper point.

A terminal tells key presses and their repeats, not releases, and so does one over ssh. So a key counts as held for a while
after it was last heard; the first repeat of most terminals comes later than the ones after it, so the first wait is longer.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from soarm.errors import TeleopError
from soarm.policy import Array, Observation
from soarm.spec import STATE
from soarm.teleop.cartesian import Cartesian, Twist

HELD_S = 0.15
"""How long a key counts as held after a repeat [s]; terminals repeat every 30 to 50 ms."""
FIRST_HELD_S = 0.3
"""The same after its first press; most terminals wait 250 to 500 ms before they repeat."""
KEYS: dict[str, Twist] = {
    "w": Twist(y=-1.0),
    "s": Twist(y=1.0),
    "a": Twist(x=-1.0),
    "d": Twist(x=1.0),
    "r": Twist(z=1.0),
    "f": Twist(z=-1.0),
    "i": Twist(pitch=1.0),
    "k": Twist(pitch=-1.0),
    "j": Twist(roll=-1.0),
    "l": Twist(roll=1.0),
    "o": Twist(gripper=1.0),
    "p": Twist(gripper=-1.0),
}
HELP = "w/s forwards/back  a/d left/right  r/f up/down  i/k pitch  j/l roll  o/p open/close"


class Terminal:
    """The terminal without echo and line editing, as long as the context lasts; Ctrl-C still interrupts.

    Raises:
        TeleopError: The standard input is no terminal.
    """

    def __enter__(self) -> Terminal:
        if not sys.stdin.isatty():
            raise TeleopError(
                "the standard input is no terminal, so no key can be read; start this in a terminal, not in a pipe"
            )
        self._fd = sys.stdin.fileno()
        self._before: list[Any] = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd)
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(termios.error):  # it was closed: nobody types there any more
            termios.tcsetattr(self._fd, termios.TCSADRAIN, self._before)

    def read(self) -> str:
        """Return the characters typed since the last call, without waiting.

        Raises:
            TeleopError: The terminal was closed.
        """
        typed = b""
        while select.select([self._fd], [], [], 0.0)[0]:
            some = b""
            with contextlib.suppress(OSError):  # a terminal that was closed says so in either way
                some = os.read(self._fd, 256)
            if not some:
                raise TeleopError("the terminal was closed, so no key can be read; kept episodes are safe")
            typed += some
        return typed.decode("utf-8", "ignore")


class HeldKeys:
    """Which keys are held, from when they were heard.

    Args:
        now: The clock [s].
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._until: dict[str, float] = {}

    def hear(self, typed: Iterable[str]) -> None:
        """Take characters."""
        for key in typed:
            held = self._until.get(key, 0.0) > self._now()
            self._until[key] = self._now() + (HELD_S if held else FIRST_HELD_S)

    def held(self) -> frozenset[str]:
        """Return the keys that count as held."""
        return frozenset(key for key, until in self._until.items() if until > self._now())


def twist_of(held: Iterable[str]) -> Twist:
    """Return what held keys ask for; opposite keys cancel, unknown keys ask for nothing."""
    parts = [KEYS[key] for key in held if key in KEYS]
    return Twist(*(max(-1.0, min(1.0, sum(axis))) for axis in zip(*parts, strict=True))) if parts else Twist()


class Keyboard:
    """A teleoperator of held keys.

    Args:
        held: Which keys are held; the session feeds it, since its own keys come from the same terminal.
        control_hz: Steps per second [Hz].
        lead: How far a target may be ahead of its joint; see `Cartesian`.
    """

    def __init__(self, held: HeldKeys, control_hz: int, lead: NDArray[np.float64] | None = None) -> None:
        self._held = held
        self._cartesian = Cartesian(control_hz, lead=lead)

    def connect(self) -> None:
        """The terminal is the session's."""

    def start(self, observation: Observation) -> None:
        """Begin where the arm stands."""
        self._cartesian.start(observation[STATE])

    def action(self, observation: Observation) -> Array:
        """Return the next joint targets."""
        return self._cartesian.move(twist_of(self._held.held()), observation[STATE])

    def close(self) -> None:
        """The terminal is the session's."""
