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
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.study.method import MethodInput, MethodResult, Point


@dataclasses.dataclass(frozen=True)
class ResidualOptions:
    """Options of the method `residual`: none, all of it is in `train_residual`."""


def residual(inputs: MethodInput) -> MethodResult:
    """Train a residual on the frozen base; its last network is the policy, better than the base or not."""
    params_file.build(ResidualOptions, inputs.options, "options of residual")
    return learn(inputs, inputs.base, inputs.params, inputs.bound)


def learn(inputs: MethodInput, base: BasePolicy, params: TrainResidualParams, bound: Sequence[float]) -> MethodResult:
    """Train a residual on `base`."""
    sim = inputs.sim.growing(scene_seeds("residual", inputs.seed), params.severity_growth)
    result = train(
        functools.partial(BatchSim, sim, n_threads=params.n_threads),
        base,
        inputs.demonstrations,
        params,
        bound=bound,
        seed=inputs.seed,
        scratch=inputs.scratch,
        log=inputs.log,
        track=inputs.track,
    )
    last = copy.deepcopy(result.actor)
    last.load_state_dict(result.candidates[-1].weights)
    curve = tuple(Point(candidate.step, candidate.solved) for candidate in result.candidates)
    return MethodResult(curve, functools.partial(residual_policy, base, last.eval(), result.spec), result.metrics)
