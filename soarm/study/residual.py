"""The project's own method as the study runs it: `ResidualTD3BC` on a base, its last network as the policy."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections.abc import Sequence

from soarm import params as params_file
from soarm.base import BasePolicy
from soarm.residual.controller import residual_policy
from soarm.residual.training import TrainResidualParams, train
from soarm.sim.batch_env import BatchSim
from soarm.study.method import Outcome, Point, Setting


@dataclasses.dataclass(frozen=True)
class ResidualOptions:
    """Options of the method `residual`: none, all of it is in `train_residual`."""


def residual(setting: Setting) -> Outcome:
    """Train a residual on the frozen base; its last network is the policy, better than the base or not."""
    params_file.build(ResidualOptions, setting.options, "options of residual")
    return learn(setting, setting.base, setting.params, setting.bound)


def learn(setting: Setting, base: BasePolicy, params: TrainResidualParams, bound: Sequence[float]) -> Outcome:
    """Train a residual on `base`."""
    result = train(
        functools.partial(BatchSim, setting.sim, n_threads=params.n_threads),
        base,
        setting.demonstrations,
        params,
        bound=bound,
        seed=setting.seed,
        scratch=setting.scratch,
        log=setting.log,
        track=setting.track,
    )
    last = copy.deepcopy(result.actor)
    last.load_state_dict(result.candidates[-1].weights)
    curve = tuple(Point(candidate.step, candidate.solved) for candidate in result.candidates)
    return Outcome(curve, functools.partial(residual_policy, base, last.eval(), result.spec), result.metrics)
