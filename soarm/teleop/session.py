"""Recording by hand: a fixed rate, keys to start, keep, discard and repeat, and nothing kept is ever lost.

LeRobot's format says that frame i of an episode is i / fps seconds old. A session that could not keep the rate must not
pretend it did: a step that comes more than half a period late counts as late, and so does one in which a joint's number is
that old; steps that were missed are left out and counted, and an episode with too many of either is refused when it is to be
kept. What is recorded as action is what was sent, after the safety chain; where the objects were last seen too long ago, the
episode ends at once.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from soarm.errors import SoarmError
from soarm.policy import Array, Observation
from soarm.spec import IMAGES
from soarm.teleop.follower import Follower
from soarm.teleop.recording import EpisodeSink
from soarm.teleop.teleoperator import Teleoperator

logger = logging.getLogger(__name__)


class SessionState(enum.Enum):
    """Where a session stands."""

    IDLE = "idle"
    RECORDING = "recording"
    ENDED = "ended"


class Command(enum.Enum):
    """What a person asks for."""

    START = "start"
    KEEP = "keep"
    DISCARD = "discard"
    REPEAT = "re-record"
    NEXT = "next scene"
    QUIT = "quit"


TRANSITIONS: dict[tuple[SessionState, Command], SessionState] = {
    (SessionState.IDLE, Command.START): SessionState.RECORDING,
    (SessionState.IDLE, Command.NEXT): SessionState.IDLE,
    (SessionState.IDLE, Command.QUIT): SessionState.ENDED,
    (SessionState.RECORDING, Command.KEEP): SessionState.IDLE,
    (SessionState.RECORDING, Command.DISCARD): SessionState.IDLE,
    (SessionState.RECORDING, Command.REPEAT): SessionState.RECORDING,
    (SessionState.RECORDING, Command.QUIT): SessionState.ENDED,
}
"""What a command leads to; in other states it does nothing. Quitting discards the running episode."""
COMMAND_KEYS = {
    " ": Command.START,
    "\n": Command.KEEP,
    "x": Command.DISCARD,
    "e": Command.REPEAT,
    "n": Command.NEXT,
    "q": Command.QUIT,
}
COMMAND_HELP = "space start  enter keep  x discard  e re-record  n next scene  q quit"


@dataclasses.dataclass(frozen=True)
class SessionParams:
    """How a session runs.

    Attributes:
        n_episodes: Episodes to keep; the session ends with the last of them.
        first_seed: Scene of the first episode; each kept or skipped one takes the next.
        max_late_share: An episode with a greater share of late or missed steps is not kept.
        automatic: Start by itself, keep what the follower says is done, and discard what takes longer than `time_limit_s`.
        time_limit_s: Of an automatic episode [s].
        max_tries: Automatic episodes that are tried before the session gives up.
        rehearses: Without a recorder episodes run and are counted all the same: what drives is a script, or was recorded.
    """

    n_episodes: int
    first_seed: int = 0
    max_late_share: float = 0.02
    automatic: bool = False
    time_limit_s: float = 20.0
    max_tries: int = 100
    rehearses: bool = False


class Timing(NamedTuple):
    """How well an episode kept its rate: steps, those late or with a number of a joint that is, and those left out."""

    steps: int
    late: int
    missed: int

    @property
    def late_share(self) -> float:
        """Share of late and missed steps in all there should have been."""
        return (self.late + self.missed) / max(self.steps + self.missed, 1)


@dataclasses.dataclass
class Report:
    """What a session did.

    Attributes:
        kept: Timing of every kept (or rehearsed) episode, in order.
        tries: Episodes that were begun.
        refused: Episodes that were to be kept and were too late too often, or ended because their objects were too old or the
            arm held by itself.
    """

    kept: list[Timing] = dataclasses.field(default_factory=list)
    tries: int = 0
    refused: int = 0


class Session:
    """A recording session.

    Args:
        follower: What is driven.
        teleoperator: What drives.
        recorder: Where episodes go; with None nothing is recorded, and only who rehearses can start an episode.
        params: How.
        commands: Returns what was asked for since the last call.
        now: The clock [s].
        sleep: Waits so many seconds.
        say: Shows a line to the person.
        stopped: Whether the session is to end, now; what runs is dropped.
    """

    def __init__(
        self,
        follower: Follower,
        teleoperator: Teleoperator,
        recorder: EpisodeSink | None,
        params: SessionParams,
        commands: Callable[[], Iterable[Command]],
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = logger.info,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._follower, self._teleoperator, self._recorder, self._params = follower, teleoperator, recorder, params
        self._commands, self._now, self._sleep, self._say, self._stopped = commands, now, sleep, say, stopped
        self._state, self._seed = SessionState.IDLE, params.first_seed
        self._episode: list[tuple[Observation, Array]] = []
        self._late, self._missed, self._is_stale, self._held, self._is_filming = 0, 0, False, False, False
        self.report = Report()

    def run(self) -> Report:
        """Run until enough episodes are kept, or somebody quits; the follower holds at the end, whatever ended it."""
        self._teleoperator.connect()
        try:
            self._begin_scene()
            period_s = 1.0 / self._follower.control_hz
            deadline = self._now()
            while self._state is not SessionState.ENDED and not self._stopped():
                self._step()
                deadline = self._wait(deadline, period_s)
        except BaseException:  # what ended it is told, and not that an arm in FAULT cannot be told to hold
            try:
                self._follower.stop()
            except SoarmError as error:
                logger.error("could not hold: %s", error)
            raise
        else:
            self._follower.stop()
        finally:
            self._teleoperator.close()
        return self.report

    def _step(self) -> None:
        observation, holds = self._follower.observe(), self._holds()
        for command in self._asked():
            self._execute(command, observation)
            if self._state is SessionState.ENDED:
                return
        if holds:
            return
        observation = self._follower.observe() if not self._episode else observation
        unfit = self._follower.unfit() if self._state is SessionState.RECORDING else None
        if unfit is not None:
            observation = self._drop(unfit)
        sent = self._follower.act(self._teleoperator.action(observation))
        if self._state is SessionState.RECORDING:
            self._is_stale = self._follower.is_stale()
            seen = {key: np.array(value) for key, value in observation.items()}
            pictures = {key: seen.pop(key) for key in list(seen) if key.startswith(IMAGES)}
            self._episode.append((seen, np.array(sent)))
            if pictures and self._recorder is not None:
                self._recorder.add_pictures(pictures)
                self._is_filming = True

    def _holds(self) -> bool:
        """Return whether the arm holds by itself; what it went through is not recorded, and it goes on from where it is."""
        cause, before = self._follower.held(), self._held
        self._held = cause is not None
        if cause is not None and self._state is SessionState.RECORDING:
            self._drop(f"the arm holds because {cause}; wait until it follows again")
        elif cause is not None and not before:
            self._say(f"the arm holds because {cause}; it follows again when that is over")
        elif before and cause is None:
            self._begin_scene()
            self._say("the arm follows again")
        return self._held

    def _drop(self, why: str) -> Observation:
        """End the episode that runs at once, and begin its scene again: what is not true is not recorded."""
        self._state = SessionState.IDLE
        self.report.refused += 1
        self._begin_scene()
        self._say(f"the episode is dropped: {why}, and record it again")
        return self._follower.observe()

    def _asked(self) -> list[Command]:
        asked = list(self._commands())
        if not self._params.automatic:
            return asked
        if self._state is SessionState.IDLE:
            return [*asked, Command.START if self.report.tries < self._params.max_tries else Command.QUIT]
        if self._follower.done():
            return [*asked, Command.KEEP]
        out_of_time = len(self._episode) >= self._params.time_limit_s * self._follower.control_hz
        return [*asked, Command.DISCARD] if out_of_time else asked

    def _execute(self, command: Command, observation: Observation) -> None:
        target = TRANSITIONS.get((self._state, command))
        if target is None:
            return
        if target is SessionState.RECORDING and self._recorder is None and not self._params.rehearses:
            self._say("nothing is recorded without a dataset: start again with --dataset FOLDER")
            return
        if target is SessionState.RECORDING and self._held:
            return
        if command is Command.KEEP:
            self._keep()
        if command in (Command.KEEP, Command.DISCARD, Command.NEXT):
            self._seed += 1
        if command in (Command.KEEP, Command.DISCARD, Command.NEXT, Command.REPEAT):
            self._begin_scene()
        if target is SessionState.RECORDING:
            self.report.tries += 1
        self._state = SessionState.ENDED if len(self.report.kept) == self._params.n_episodes else target
        n = f"{len(self.report.kept)} of {self._params.n_episodes}"
        if self._recorder is None and self._params.rehearses:
            self._say(f"{n} played; nothing is recorded without --dataset")
        else:
            self._say(f"{command.value}: {n} kept, {self._state.value}")

    def _begin_scene(self) -> None:
        self._episode, self._late, self._missed = [], 0, 0
        if self._is_filming and self._recorder is not None:
            self._recorder.drop_episode()
            self._is_filming = False
        self._follower.reset(self._seed)
        self._teleoperator.start(self._follower.observe())

    def _keep(self) -> None:
        timing = Timing(len(self._episode), self._late, self._missed)
        if self._recorder is None:
            self.report.kept.append(timing)
            return
        if not timing.late_share <= self._params.max_late_share:
            self.report.refused += 1
            self._say(
                f"not kept: {timing.late} of {timing.steps} steps came late, or with a joint's number of the step before, and "
                f"{timing.missed} were missed, more than {100 * self._params.max_late_share:g} %; close what else runs on "
                "this computer, look at the cables, and record it again"
            )
            return
        if not self._episode:
            self._say("not kept: nothing was recorded")
            return
        seen = {key: np.stack([observation[key] for observation, _ in self._episode]) for key in self._episode[0][0]}
        self._recorder.save_episode(seen, np.stack([action for _, action in self._episode]))
        self.report.kept.append(timing)

    def _wait(self, deadline: float, period_s: float) -> float:
        """Sleep until the next step is due and return when that was; steps whose time has passed are left out."""
        deadline += period_s
        behind_s = self._now() - deadline
        if behind_s < 0:
            self._sleep(-behind_s)
            behind_s = self._now() - deadline
        skipped = max(0, int(behind_s / period_s))
        if self._state is SessionState.RECORDING and self._episode:
            self._missed += skipped
            self._late += self._is_stale or behind_s - skipped * period_s > period_s / 2
        return deadline + skipped * period_s
