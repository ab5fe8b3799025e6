"""What happened while an arm learnt, counted and in a line per episode."""

from __future__ import annotations

import dataclasses
from collections import deque
from pathlib import Path

import numpy as np

from soarm.online.collecting import EpisodeReport
from soarm.online.steps import read_all

RECENT = 20
"""Episodes over which success is shown."""


@dataclasses.dataclass
class Tally:
    """What happened so far, in all sessions of a folder.

    Attributes:
        n_episodes: Episodes with an end, discarded ones left out.
        n_steps: Their steps.
        n_human: Of these, those that a person drove.
        recent: Whether the last episodes succeeded.
        n_stopped: Episodes of this session in which the arm stopped.
    """

    n_episodes: int = 0
    n_steps: int = 0
    n_human: int = 0
    recent: deque[bool] = dataclasses.field(default_factory=lambda: deque(maxlen=RECENT))
    n_stopped: int = 0

    @classmethod
    def of(cls, path: Path) -> Tally:
        """Return what a file of steps holds."""
        tally = cls()
        for episode in read_all(path):
            tally._count(len(episode), int(episode.human.sum()), episode.success)
        return tally

    def add(self, report: EpisodeReport) -> None:
        """Account for an episode."""
        self.n_stopped += report.stopped is not None
        if not report.discarded:
            self._count(report.n_steps, report.n_human, report.success)

    def _count(self, n_steps: int, n_human: int, success: bool) -> None:
        self.n_episodes, self.n_steps, self.n_human = self.n_episodes + 1, self.n_steps + n_steps, self.n_human + n_human
        self.recent.append(success)

    def line(self, report: EpisodeReport, control_hz: int) -> str:
        """Return an episode and the state of things in a line."""
        how = "discarded" if report.discarded else "success" if report.success else report.stopped or "failure"
        share = 100 * self.n_human / max(self.n_steps, 1)
        success = f"{100 * np.mean(self.recent):.0f} %" if self.recent else "-"
        return (
            f"episode {self.n_episodes}: {how} after {report.n_steps / control_hz:.1f} s; success of the last "
            f"{len(self.recent)}: {success}; {self.n_steps} steps, {share:.0f} % by hand; warmest servo "
            f"{report.temperature_c} degC; stopped {self.n_stopped} times; ticks up to {1e3 * report.late_s:.1f} ms late"
        )
