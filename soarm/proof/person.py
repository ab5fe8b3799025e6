"""The person at the arm: a terminal that says what to put where, and takes the outcome by one key."""

from __future__ import annotations

import sys
import termios
import time
from collections.abc import Callable, Collection

from soarm.proof.attempt import DISCARDED
from soarm.proof.plan import Spot, things
from soarm.proof.session import Answer, Ask
from soarm.tasks.task import SUCCESS, Task
from soarm.teleop.keyboard import Terminal

_LOOK_S = 0.05
KEYS = "s success   f failure   d discard: something that was not the policy's doing"


class AtTerminal:
    """Somebody who reads a terminal and presses keys.

    Args:
        task: What is to be done.
        say: Shows a line.
        pressed: Waits for one of some keys and returns it; None reads the terminal.
    """

    judges_stopped_runs = True

    def __init__(
        self, task: Task, say: Callable[[str], None], pressed: Callable[[Collection[str]], str] | None = None
    ) -> None:
        self._task, self._say, self._pressed = task, say, pressed or key
        self._forget = forget if pressed is None else lambda: None

    def ready(self, ask: Ask) -> Answer:
        """See `Person`."""
        head = f"Trial {ask.trial}{' again' if ask.again else ''} ({ask.n_done} of {ask.n_trials} are done)."
        correct = "   c correct the last judgement" if ask.can_correct else ""
        chosen = self._ask(
            f"\n{head} {where(self._task, ask.spot, other_moves=ask.other_moves)}\n"
            f"Hands away from the arm?   Enter run{correct}   q stop here, go on later",
            "\nqc" if ask.can_correct else "\nq",
        )
        return {"\n": Answer.RUN, "c": Answer.CORRECT, "q": Answer.QUIT}[chosen]

    def run_over(self) -> None:
        """See `Person`."""
        self._say(
            "\a\nThe run is over: judge what lies there NOW. What falls while the arm is parked does not count. "
            "(Parking; Ctrl-C releases the arm at once.)"
        )

    def judge(self, trial: int, cause: str | None) -> str:
        """See `Person`."""
        if cause is not None:
            self._say(
                f"The arm stopped by itself: {cause}. If the policy brought it about, it is a failure; if a cable, a hand or "
                "the supply did, discard it"
            )
        chosen = self._ask(f"Trial {trial}: {self._task.goal.words}?   {KEYS}", "sfd")
        if chosen == "s":
            return SUCCESS
        return DISCARDED if chosen == "d" else self._class()

    def _class(self) -> str:
        classes = {str(i): name for i, name in enumerate(self._task.failures, start=1)}
        listed = "   ".join(f"{i} {self._task.outcomes[name]}" for i, name in classes.items())
        return classes[self._ask(f"How did it fail?   {listed}", classes)]

    def _ask(self, question: str, allowed: Collection[str]) -> str:
        """Ask, and return the key; what was typed before the question does not count."""
        self._forget()
        self._say(question)
        return self._pressed(allowed)


def where(task: Task, spot: Spot, *, other_moves: bool) -> str:
    """Return in words where the things of a spot go."""
    moved, other = things(task)
    parts = []
    for thing, name in ((moved, f"spot {spot.number}"), (other, f"place {spot.letter}")):
        x, y, *yaw = spot.places[thing.name]
        turned = "".join(f", turned {one:+.0f} deg" for one in yaw)
        stays = " as before" if thing is other and not other_moves else ""
        parts.append(f"the {thing.name} on {name}{stays} (x {1000 * x:+.0f}, y {1000 * y:+.0f} mm{turned})")
    return f"Put {' and '.join(parts)}."


def forget() -> None:
    """Drop what was typed on the terminal and not read."""
    if sys.stdin.isatty():
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


def key(allowed: Collection[str]) -> str:
    """Wait for one of some keys on the terminal.

    Raises:
        TeleopError: The standard input is no terminal, or was closed.
    """
    with Terminal() as terminal:
        while True:
            for pressed in terminal.read().replace("\r", "\n"):
                if pressed in allowed:
                    return pressed
            time.sleep(_LOOK_S)


def require_terminal() -> None:
    """Refuse to begin where no key can be read.

    Raises:
        TeleopError: The standard input is no terminal.
    """
    with Terminal():
        pass
