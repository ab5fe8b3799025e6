"""What the keys of a window ask for, in one table."""

from __future__ import annotations

import enum
from collections.abc import Iterable


class Wish(enum.Enum):
    """What a person asks for."""

    NEXT = "next scene"
    AGAIN = "same scene again"
    PUSH = "push the cube"
    SWITCH = "switch policy"
    SLOW = "slow motion"
    PAUSE = "pause, go on"
    GHOST = "ghost or beside"
    HELP = "hide or show these keys"
    QUIT = "quit"


KEYS: dict[str, Wish] = {
    "n": Wish.NEXT,
    "a": Wish.AGAIN,
    "p": Wish.PUSH,
    "s": Wish.SWITCH,
    "m": Wish.SLOW,
    "space": Wish.PAUSE,
    "g": Wish.GHOST,
    "h": Wish.HELP,
    "q": Wish.QUIT,
}
MOUSE = "double click on the cube, then Ctrl and the right button: pull at it"


def wishes(pressed: Iterable[str]) -> list[Wish]:
    """Return what pressed keys ask for; other keys ask for nothing."""
    return [KEYS[key] for key in pressed if key in KEYS]


def columns(offered: Iterable[Wish]) -> tuple[str, str]:
    """Return the keys of some wishes and what they do, a line each."""
    shown = [(key, wish.value) for key, wish in KEYS.items() if wish in set(offered)]
    return "\n".join(key for key, _ in shown), "\n".join(text for _, text in shown)


def line(offered: Iterable[Wish]) -> str:
    """Return the same in one line, for a terminal."""
    wanted = set(offered)
    return "  ".join(f"{key} {wish.value}" for key, wish in KEYS.items() if wish in wanted)
