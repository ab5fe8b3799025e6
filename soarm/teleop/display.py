"""A window on the simulated arm, seen from the session that it shows: what it has to do, and who listens to it.

`soarm.window.driving` has such a window.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Any, Protocol

from soarm.teleop.keyboard import HeldKeys
from soarm.teleop.session import COMMAND_KEYS, Command


class Display(Protocol):
    """A window that shows the arm and a line of text, and in which keys can be typed as in a terminal."""

    def show(self) -> None:
        """Show the arm as it is now."""

    def say(self, text: str) -> None:
        """Show a line, in place of the one before."""

    def typed(self) -> str:
        """Return the characters typed since the last call; `q` once it was closed."""


OpenDisplay = Callable[[Any, str], AbstractContextManager[Display | None]]
"""Opens a window on an environment, with lines that say what the keys do; None where there can be none."""


def commands_typed(sources: Iterable[Callable[[], str]], held: HeldKeys) -> Callable[[], Iterable[Command]]:
    """Return what gives the commands typed since the last call; other keys go to `held`.

    Args:
        sources: What gives the characters typed since the last call: a terminal, a window.
        held: Keys that move the arm.
    """
    read = tuple(sources)

    def commands() -> Iterable[Command]:
        typed = "".join(one() for one in read)
        held.hear(key for key in typed if key not in COMMAND_KEYS)
        return [COMMAND_KEYS[key] for key in typed if key in COMMAND_KEYS]

    return commands


def told_twice(logger: logging.Logger, display: Display) -> Callable[[str], None]:
    """Return what tells the person a line: in the log and in the window."""

    def say(text: str) -> None:
        logger.info("%s", text)
        display.say(text)

    return say
