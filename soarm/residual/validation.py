"""Which residual to keep: checkpoints are compared on validation scenes, and the base itself is one of them.

Neither training nor test scenes decide, so the comparison that follows on test scenes is not flattered by the choice (the
validation success of the chosen one is: it is the best of several). A residual that does not reach the base's validation
success is thrown away, and a residual of zero, which is the base, is kept instead.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from soarm.policy import ChunkModel
from soarm.residual.actor import ResidualActor
from soarm.residual.controller import residual_policy
from soarm.rollout import BatchEnv, rollout
from soarm.spec import PolicySpec

BASE_STEP = 0
"""The step of the untrained residual, which is the base."""


@dataclasses.dataclass(frozen=True)
class ValidationParams:
    """How residuals are compared while they are trained.

    Attributes:
        n_scenes: Validation scenes.
        n_rows: Episodes that run at once.
        every: Environment steps between two comparisons; the last residual is always one of them.
    """

    n_scenes: int
    n_rows: int
    every: int


@dataclasses.dataclass(frozen=True)
class Candidate:
    """A residual and how it did on the validation scenes.

    Attributes:
        step: Environment steps it was trained for; 0 is the base.
        success_rate: Share of scenes solved, in [0, 1].
        steps_mean: Mean length of the solved episodes [control steps]; NaN where none was.
        weights: Of the actor.
    """

    step: int
    success_rate: float
    steps_mean: float
    weights: dict[str, Tensor]


def evaluate(
    step: int, actor: ResidualActor, env: BatchEnv, base: ChunkModel, spec: PolicySpec, seeds: Sequence[int]
) -> Candidate:
    """Run base and residual once per scene."""
    episodes = list(rollout(env, residual_policy(base, actor, spec, env.n_rows), seeds))
    solved = [len(episode) for episode in episodes if episode.success]
    steps_mean = float(np.mean(solved)) if solved else float("nan")
    return Candidate(step, len(solved) / len(episodes), steps_mean, copy.deepcopy(actor.state_dict()))


def choose(candidates: Sequence[Candidate]) -> Candidate:
    """Return the candidate with the greatest success, the most trained among equals."""
    return max(candidates, key=lambda candidate: (candidate.success_rate, candidate.step))
