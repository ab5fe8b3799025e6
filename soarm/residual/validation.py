"""The choice of the residual to keep: checkpoints and the base are compared on validation scenes.

These are neither training nor test scenes, so the choice does not flatter the comparison on test scenes (it flatters the
validation success of the chosen one, which is the best of several). A residual that is not clearly better than the base here
(exact McNemar test, corrected for the number of evaluations) is thrown away, and a residual of zero, which is the base, is
kept instead: the best of several evaluations of an unchanged policy is better than one by luck alone.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy import stats
from torch import Tensor

from soarm.policy import ChunkModel
from soarm.quantities import Count, PositiveShare, Whole
from soarm.residual.actor import ResidualActor
from soarm.residual.controller import residual_policy
from soarm.rollout import BatchEnv, rollout
from soarm.seeds import Scenes, scene_seeds
from soarm.spec import PolicySpec

BASE_STEP = 0
"""The step of the untrained residual, which is the base."""


@dataclasses.dataclass(frozen=True)
class ValidationParams:
    """How residuals are compared while they are trained.

    Attributes:
        n_scenes: Validation scenes.
        skip: Scenes left out in front of these, because they served for something else.
        n_rows: Episodes that run at once.
        every: Environment steps between two comparisons; the last residual is always one of them.
        max_p: The residual is kept if its exact two-sided McNemar p-value against the base, times the number of residuals
            that were evaluated (Bonferroni), is not above this.
    """

    n_scenes: Scenes
    skip: Whole
    n_rows: Count
    every: Count
    max_p: PositiveShare

    def __post_init__(self) -> None:
        if len(self.seeds) < self.n_scenes:
            there = len(scene_seeds("validation"))
            raise ValueError(f"skip is {self.skip} and n_scenes {self.n_scenes}; there are {there} validation scenes")

    @property
    def seeds(self) -> range:
        """Of the scenes."""
        return scene_seeds("validation")[self.skip : self.skip + self.n_scenes]


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A residual and its success on the validation scenes.

    Attributes:
        step: Environment steps it was trained for; 0 is the base.
        solved: Which scenes it solved, in the order of the scenes.
        steps_mean: Mean length of the solved episodes [control steps]; NaN where none was.
        weights: Of the actor.
    """

    step: int
    solved: tuple[bool, ...]
    steps_mean: float
    weights: dict[str, Tensor]

    @property
    def success_rate(self) -> float:
        """Share of scenes solved, in [0, 1]."""
        return sum(self.solved) / len(self.solved)


def evaluate(
    step: int, actor: ResidualActor, env: BatchEnv, base: ChunkModel, spec: PolicySpec, seeds: Sequence[int]
) -> Candidate:
    """Run base and residual once per scene."""
    episodes = list(rollout(env, residual_policy(base, actor, spec, env.n_rows), seeds))
    lengths = [len(episode) for episode in episodes if episode.success]
    steps_mean = float(np.mean(lengths)) if lengths else float("nan")
    solved = tuple(episode.success for episode in episodes)
    return Candidate(step, solved, steps_mean, copy.deepcopy(actor.state_dict()))


def choose(candidates: Sequence[Candidate], max_p: float) -> Candidate:
    """Return the most successful candidate, the most trained among equals; the first, the base, if none is clearly better."""
    base = candidates[0]
    best = max(candidates, key=lambda candidate: (candidate.success_rate, candidate.step))
    gains, regressions = (np.array(best.solved) > base.solved).sum(), (np.array(best.solved) < base.solved).sum()
    evaluations = len(candidates) - 1
    better = gains > regressions and evaluations * stats.binomtest(gains, gains + regressions).pvalue <= max_p
    return best if better else base
