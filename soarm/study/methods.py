"""The methods of the study by name. `residual` is the project's own; the baselines have a file each."""

from __future__ import annotations

import copy
import functools

from soarm.residual.controller import residual_policy
from soarm.residual.training import train
from soarm.sim.batch_env import BatchPickPlace
from soarm.study.method import Method, Outcome, Point, Setting


def residual(setting: Setting) -> Outcome:
    """Train a residual on the frozen base; its last network is the policy, better than the base or not."""
    result = train(
        functools.partial(BatchPickPlace, setting.sim, n_threads=setting.params.n_threads),
        setting.base,
        setting.base.blueprint,
        setting.demonstrations,
        setting.params,
        bound=setting.bound,
        seed=setting.seed,
        scratch=setting.scratch,
        log=setting.log,
        track=setting.track,
    )
    last = copy.deepcopy(result.actor)
    last.load_state_dict(result.candidates[-1].weights)
    curve = tuple(Point(candidate.step, candidate.solved) for candidate in result.candidates)
    return Outcome(curve, functools.partial(residual_policy, setting.base, last.eval(), result.spec), result.metrics)


METHODS: dict[str, Method] = {
    "residual": residual,
}
