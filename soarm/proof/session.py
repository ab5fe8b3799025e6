"""A session: ask for the things to be put on a spot, run, have the outcome judged, and save it before anything is shown.

What is shown never tells which policy acts, nor how many trials succeeded so far.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import NamedTuple, Protocol

from soarm.proof.attempt import DISCARDED, Attempt, Ran
from soarm.proof.folder import ProofFolder, now
from soarm.proof.plan import Spot
from soarm.proof.trial import Runner, quiet_cause, was_stopped


class Answer(enum.Enum):
    """What a person says to the question whether the things lie on their spots."""

    RUN = "run"
    CORRECT = "correct"
    QUIT = "quit"


class Ask(NamedTuple):
    """A trial that is to be made ready.

    Attributes:
        trial: Its number, from 1 on.
        n_trials: How many there are.
        n_done: How many of them are done.
        spot: Where the things go.
        again: Whether it is done again, because it was discarded.
        other_moves: Whether the other thing goes to another place than in the trial before.
        can_correct: Whether there is a judgement of this session that can be corrected.
    """

    trial: int
    n_trials: int
    n_done: int
    spot: Spot
    again: bool
    other_moves: bool
    can_correct: bool


class Person(Protocol):
    """Whoever puts things on their spots and judges what came of a trial."""

    def ready(self, ask: Ask) -> Answer:
        """Put the things there, and say so."""

    def run_over(self) -> None:
        """Look: the policy's run is over, and the arm is parked next."""

    def judge(self, trial: int, cause: str | None) -> str:
        """Return the outcome of a trial, or `DISCARDED`; `cause` is why it stopped by itself, None where it did not."""

    @property
    def judges_stopped_runs(self) -> bool:
        """Whether a run that Ctrl-C stopped has an outcome; if not, it is as if it had not begun, and ends the session."""


def run(folder: ProofFolder, person: Person, runner: Runner, say: Callable[[str], None]) -> bool:
    """Run trials until all are done, or the person quits; return whether all are done.

    Args:
        folder: The evaluation.
        person: Who puts things on their spots, and judges.
        runner: Runs a trial.
        say: Shows a line.

    Raises:
        SoarmError: The arm cannot be driven; what was judged is saved.
    """
    with folder.locked():
        last: int | None = None
        there = ""
        while True:
            if (waiting := folder.unjudged()) is not None:
                _judge(folder, waiting, person, say)
                last = waiting
            if (trial := folder.next_trial()) is None:
                return True
            spot, n = folder.plan.spot(trial), len(folder.plan.trials)
            again = bool(folder.attempts(trial))
            ask = Ask(trial + 1, n, folder.n_done, spot, again, spot.letter != there, last is not None)
            answer = person.ready(ask)
            if answer is Answer.QUIT:
                return False
            if answer is Answer.CORRECT:
                if last is not None:
                    _judge(folder, last, person, say)
                continue
            there = spot.letter
            path, began = folder.new_log(trial), now()
            ran = runner(spot, folder.which(trial), path, person.run_over)
            if was_stopped(ran) and not person.judges_stopped_runs:
                return False
            folder.save(trial, Attempt(path.name, began, ran, None, ()))


def _judge(folder: ProofFolder, trial: int, person: Person, say: Callable[[str], None]) -> None:
    """Have the last attempt at a trial judged, and save that before it is said."""
    attempt: Attempt = folder.attempts(trial)[-1]
    ran: Ran = attempt.ran
    outcome = person.judge(trial + 1, quiet_cause(ran))
    folder.save(trial, attempt.judged(outcome), again=True)
    done = f"{folder.n_done} of {len(folder.plan.trials)} trials are done"
    say(f"trial {trial + 1}: saved{'; it is done again at the end' if outcome == DISCARDED else ''}. {done}")
