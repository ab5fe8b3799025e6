"""Filtered behaviour cloning: the base imitates its own successes.

The simplest way to improve on experience, and one that cannot go far wrong: roll the policy out, keep the episodes that
succeeded, train further on demonstrations and successes together, and begin again. ResFiT (Ankile et al. 2025, arXiv
2509.19301) has it among its baselines, where it is steady and gains little.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from soarm import params
from soarm.act.model import ACT
from soarm.act.params import TrainActParams
from soarm.act.trainer import Trainer
from soarm.act.training import resolve_device
from soarm.base import BasePolicy, Demonstrations
from soarm.policies import ChunkedPolicy
from soarm.policy import Array, Observation, Rows, add_residual
from soarm.quantities import Count, NotNegative, PositiveShare, Whole
from soarm.residual.exploration import HeldNoise
from soarm.seeds import scene_seeds
from soarm.study.in_memory import columns_of, concatenate
from soarm.study.method import MethodInput, MethodResult
from soarm.study.scenes import Validator, collect, training_env


@dataclass(frozen=True)
class FilteredBCOptions:
    """Options of the method `filtered_bc`.

    Attributes:
        rounds: Times that episodes are gathered and the policy is trained; each has its share of the budget.
        noise_std: Standard deviation of the exploration noise in units of the residual's bound; 0 rolls the policy as it is.
            Held as the residual's is.
        steps: Optimiser steps of a round.
        warmup_steps: Of them, how many the learning rate rises.
        learning_rate: Its peak; lower than the base's own, because the base is the start.
    """

    rounds: Count
    noise_std: NotNegative
    steps: Count
    warmup_steps: Whole
    learning_rate: PositiveShare

    def __post_init__(self) -> None:
        if not self.warmup_steps < self.steps:
            raise ValueError(f"warmup_steps is {self.warmup_steps}; it must be in 0..steps - 1 ({self.steps - 1})")


def filtered_bc(inputs: MethodInput) -> MethodResult:
    """Roll out, keep successes, train further, again; the last round's network is the policy."""
    options = params.build(FilteredBCOptions, inputs.options, "options of filtered_bc")
    recipe = replace(
        inputs.train_act,
        network=inputs.act.config,
        steps=options.steps,
        warmup_steps=options.warmup_steps,
        learning_rate=options.learning_rate,
    )
    start_s, validator = time.monotonic(), Validator(inputs)
    env = training_env(inputs)
    seeds = iter(scene_seeds("residual", inputs.seed))
    noise = HeldNoise(env.n_rows, inputs.params.exploration.hold_steps, np.random.default_rng(inputs.seed))
    model, kept, n_episodes = inputs.act, list[dict[str, Array]](), 0
    validator.evaluate(0, greedy(model))
    for i in inputs.track(range(options.rounds), options.rounds, "filtered behaviour cloning"):
        policy = NoisyPolicy(model, noise, options.noise_std, inputs.bound)
        for episode in collect(env, policy, seeds, inputs.params.env_steps * (i + 1) // options.rounds):
            n_episodes += 1
            if episode.success:
                kept.append(columns_of(episode))
        model = fine_tune(model, concatenate(inputs.demonstrations, kept), recipe, inputs.seed)
        inputs.log(env.used, {"episodes": n_episodes, "successes": len(kept)})
        validator.evaluate(env.used, greedy(model))
    metrics = {
        "env_steps": env.used,
        "env_steps_per_s": env.used / (time.monotonic() - start_s),
        "episodes": n_episodes,
        "successes": len(kept),
    }
    return MethodResult(validator.curve, greedy(model), metrics)


class NoisyPolicy:
    """A chunk policy with held noise on its actions, for gathering; a `BatchPolicy`.

    Args:
        model: The network.
        noise: Where noise comes from, one row per arm.
        std: Its standard deviation in units of `bound`; 0 is the policy as it is, to the bit.
        bound: Of the residual, shape (6,) [deg x 5, percent].
    """

    def __init__(self, model: BasePolicy, noise: HeldNoise, std: float, bound: Sequence[float]) -> None:
        self._policy = ChunkedPolicy(model, model.spec, noise.n_rows)
        self._noise, self._std, self._bound = noise, std, np.asarray(bound, np.float32)

    def reset(self, rows: Rows, seeds: Sequence[int]) -> None:
        """Drop queued actions and draw new noise in `rows`."""
        self._policy.reset(rows, seeds)
        starting = np.zeros(self._noise.n_rows, np.bool_)
        starting[rows] = True
        self._noise.end_episodes(starting)

    def act(self, observation: Observation, rows: Rows) -> Array:
        """Return clip(action + bound * noise)."""
        noise = np.clip(self._std * self._noise.sample()[rows], -1.0, 1.0)
        return add_residual(self._policy.advance(observation, rows).action, noise.astype(np.float32), self._bound)


def fine_tune(model: ACT, data: Demonstrations, recipe: TrainActParams, seed: int) -> ACT:
    """Return a copy of `model` that was trained further on `data`; its normalisation and chunking stay as they are.

    Args:
        model: Where training starts.
        data: What it learns from.
        recipe: How; its network must be the model's.
        seed: Of the order of the data, dropout and the split.

    Raises:
        TrainingError: The loss is no longer finite.
    """
    device = resolve_device(recipe.device)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        trainer = Trainer(data, recipe, seed=seed, device=device)
        for network in (trainer.model, trainer.average):
            network.load_state_dict(model.state_dict())  # the buffers of the normalisation among it
        for _ in range(recipe.steps):
            trainer.advance()
        trainer.report()
        tuned = replace(model.blueprint, spec=replace(model.spec, dataset_hash=data.hash)).build()
        tuned.load_state_dict(trainer.average.state_dict())
    return tuned.eval()


def greedy(model: BasePolicy) -> functools.partial[ChunkedPolicy]:
    """Return what makes a policy of `model` for a number of rows."""
    return functools.partial(ChunkedPolicy, model, model.spec)
