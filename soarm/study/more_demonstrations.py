"""The budget as demonstrations: what imitation alone makes of as many frames as reinforcement learning makes of steps.

In the simulator the demonstrator is a script and costs nothing. On the arm it is a person, and every frame is a thirtieth of
a second of teleoperation: 100,000 frames are an hour of driving without a pause, some 1,000 demonstrations, where the base
had 100. The metric `teleoperation_h` says it for each run. So this baseline is not an alternative at the same price; it shows
where imitation of this teacher, with this network, ends.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated

from soarm import params
from soarm.act import training
from soarm.policy import Array, VectorPolicy
from soarm.quantities import RISING, SOME, Count, PositiveShare
from soarm.seeds import scene_seeds
from soarm.sim.batch_env import BatchSim
from soarm.spec import ACTION
from soarm.study.filtered_bc import greedy
from soarm.study.in_memory import columns_of, concatenate
from soarm.study.method import MethodInput, MethodResult
from soarm.study.scenes import BudgetedEnv, Validator, collect


@dataclass(frozen=True)
class MoreDemonstrationsOptions:
    """Options of the method `more_demonstrations`.

    Attributes:
        fractions: Shares of the budget after each of which an ACT is trained from scratch, rising.
        steps: Optimiser steps of each training, as many numbers; the rest of the recipe is the base's. More data want more of
            them.
    """

    fractions: Annotated[tuple[PositiveShare, ...], SOME, RISING]
    steps: tuple[Count, ...]

    def __post_init__(self) -> None:
        if len(self.steps) != len(self.fractions):
            raise ValueError(f"steps is {list(self.steps)}; there must be one number for each of {list(self.fractions)}")


def more_demonstrations(inputs: MethodInput) -> MethodResult:
    """Record demonstrations until the budget is spent and train ACT on all; the last ACT is the policy.

    Recorded as the stage `record` does, on the scenes that reinforcement learning would train on. Steps of the expert's
    failures are spent too, but its failures are not learnt from.
    """
    options = params.build(MoreDemonstrationsOptions, inputs.options, "options of more_demonstrations")
    start_s, validator = time.monotonic(), Validator(inputs)
    env = BudgetedEnv(BatchSim(inputs.sim, inputs.record.n_rows, inputs.record.n_threads), inputs.sim.max_steps)
    expert = VectorPolicy([inputs.sim.sim_task.expert(inputs.record.expert, inputs.sim.control_hz) for _ in range(env.n_rows)])
    seeds = iter(scene_seeds("residual", inputs.seed))
    recorded: list[Mapping[str, Array]] = []
    policy = greedy(inputs.base)
    validator.evaluate(0, policy)
    for fraction, steps in zip(options.fractions, options.steps, strict=True):
        limit = round(fraction * inputs.params.env_steps)
        recorded += [columns_of(episode) for episode in collect(env, expert, seeds, limit) if episode.success]
        policy = greedy(
            training.train(
                concatenate(inputs.demonstrations, recorded),
                replace(inputs.train_act, network=inputs.act.config, steps=steps),
                seed=inputs.seed,
                scratch=inputs.scratch / f"act_{limit}",
                log=lambda step, metrics: None,
                track=inputs.track,
                task=inputs.base.spec.task,
            ).model
        )
        inputs.log(env.used, {"demonstrations": len(recorded)})
        validator.evaluate(env.used, policy)
    metrics = {
        "env_steps": env.used,
        "env_steps_per_s": env.used / (time.monotonic() - start_s),
        "demonstrations": len(recorded),
        "frames": sum(len(one[ACTION]) for one in recorded),
        "teleoperation_h": env.used / inputs.sim.control_hz / 3600,
    }
    return MethodResult(validator.curve, policy, metrics)
