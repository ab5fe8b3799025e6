"""PPO on the residual: Stable-Baselines3's own algorithm on the very environments `ResidualTD3BC` learns in.

The recipe of ResiP ("From Imitation to Refinement", Ankile et al. 2024, arXiv 2407.16677): a per-step residual on a frozen
chunk policy, its mean zero at the start, a small standard deviation, a sparse reward, nothing else. Same bound, observation,
standardisation and tanh features as the project's residual, so that what differs is the algorithm.

Departures from ResiP: a few ten environments instead of 1024, because the budget of environment steps is some thousand times
smaller, and its discount is a parameter.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from torch import Tensor, nn

from soarm import arm, params
from soarm.errors import ParamsError
from soarm.policies import ResidualPolicy
from soarm.policy import Array
from soarm.quantities import Count, NotNegative, Positive, PositiveShare, Share, Whole, within
from soarm.residual.controller import residual_policy
from soarm.residual.encoder import NOTHING_MASKED, ObservationEncoder
from soarm.residual.vec_env import BatchVecEnv, ResidualVecEnvWrapper
from soarm.seeds import scene_seeds
from soarm.study.method import MethodInput, MethodResult
from soarm.study.scenes import Validator, training_env


@dataclass(frozen=True)
class PPOOptions:
    """Options of the method `ppo`; names are Stable-Baselines3's.

    Attributes:
        statistics_steps: Environment steps of the base alone, at the least, that set the standardisation; part of the budget,
            and what does not fill a rollout is added to them.
        n_steps: Control steps of each environment in a rollout.
        batch_size: Steps in a gradient step; should divide a rollout of all environments.
        n_epochs: Passes over a rollout.
        learning_rate: Adam's.
        gamma: Discount per control step.
        gae_lambda: Of generalised advantage estimation.
        clip_range: How far the policy may move from the one that acted, as a ratio.
        ent_coef: Weight of the entropy bonus.
        max_grad_norm: Gradients are clipped to this norm.
        log_std_init: Logarithm of the noise's first standard deviation, in units of the bound; with state-dependent noise that
            of its weights, which the last hidden layer sums up (128 units at -4.1: noise of 0.11).
        sde_sample_freq: Control steps each draw of state-dependent noise is held (gSDE, arXiv 2005.05719); 0 draws plain
            noise at every step.
    """

    statistics_steps: Count
    n_steps: Count
    batch_size: Count
    n_epochs: Count
    learning_rate: PositiveShare
    gamma: PositiveShare
    gae_lambda: Share
    clip_range: Positive
    ent_coef: NotNegative
    max_grad_norm: Positive
    log_std_init: Annotated[float, within(least=-20, most=2)]
    sde_sample_freq: Whole


def ppo(inputs: MethodInput) -> MethodResult:
    """Train a residual with PPO; its mean action is the policy.

    Raises:
        ParamsError: The budget does not hold one rollout.
    """
    options = params.build(PPOOptions, inputs.options, "options of ppo")
    rollout_steps = options.n_steps * inputs.params.n_envs
    n_rollouts = (inputs.params.env_steps - options.statistics_steps) // rollout_steps
    if n_rollouts < 1:
        raise ParamsError(
            f"env_steps is {inputs.params.env_steps}; PPO needs {options.statistics_steps} for statistics and {rollout_steps}"
            " a rollout (n_steps * n_envs): raise env_steps or lower n_steps"
        )
    start_s, validator = time.monotonic(), Validator(inputs)
    spec = replace(inputs.base.spec, residual_scale=inputs.bound)
    venv = BatchVecEnv(training_env(inputs), spec, scene_seeds("residual", inputs.seed))
    env = ResidualVecEnvWrapper(venv, inputs.base, spec, inputs.bound)
    model = new_model(env, options, inputs.params.hidden, inputs.seed)
    mean = MeanAction(model.policy)
    policy = functools.partial(residual_policy, inputs.base, mean, spec)
    validator.evaluate(0, policy)
    n_base = inputs.params.env_steps - n_rollouts * rollout_steps
    fit_standardisation(model, env, n_base)
    evaluations = _Evaluations(validator, policy, inputs, n_base, iter(inputs.track(range(n_rollouts), n_rollouts, "PPO")))
    model.learn(n_rollouts * rollout_steps, evaluations, log_interval=None)  # type: ignore[arg-type]
    used = n_base + model.num_timesteps
    validator.evaluate(used, policy)
    metrics = {
        "env_steps": used,
        "env_steps_per_s": used / (time.monotonic() - start_s),
        "updates": model._n_updates * (rollout_steps // options.batch_size),
        "std": mean.std(),
    }
    return MethodResult(validator.curve, policy, metrics)


def new_model(env: ResidualVecEnvWrapper, options: PPOOptions, hidden: tuple[int, ...], seed: int) -> PPO:
    """Return an untrained PPO whose mean action is zero everywhere: with the base, it is the base."""
    model = PPO(
        "MlpPolicy",
        env,
        learning_rate=options.learning_rate,
        n_steps=options.n_steps,
        batch_size=options.batch_size,
        n_epochs=options.n_epochs,
        gamma=options.gamma,
        gae_lambda=options.gae_lambda,
        clip_range=options.clip_range,
        ent_coef=options.ent_coef,
        max_grad_norm=options.max_grad_norm,
        use_sde=options.sde_sample_freq > 0,
        sde_sample_freq=options.sde_sample_freq or -1,
        policy_kwargs={
            "features_extractor_class": ResidualFeatures,
            "features_extractor_kwargs": {"task": env.task},
            "net_arch": {"pi": list(hidden), "vf": list(hidden)},
            "log_std_init": options.log_std_init,
        },
        seed=seed,
        device="cpu",
    )
    head = model.policy.action_net
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    return model


def fit_standardisation(model: PPO, env: ResidualVecEnvWrapper, n_steps: int) -> None:
    """Let the base run for `n_steps` steps of all environments together and standardise by what was seen."""
    seen: list[Any] = [env.reset()]
    nothing = np.zeros((env.num_envs, arm.N_JOINTS), np.float32)
    for _ in range(n_steps // env.num_envs):
        observation, *_ = env.step(nothing)
        seen.append(observation)
    rows = np.concatenate(seen)
    features = model.policy.features_extractor
    assert isinstance(features, ResidualFeatures)
    features.encoder.set_statistics(rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64))


class ResidualFeatures(BaseFeaturesExtractor):
    """The encoding of observations of the project's actor and critics: standardised, with tanh features."""

    def __init__(self, observation_space: spaces.Box, task: str | None) -> None:
        encoder = ObservationEncoder(NOTHING_MASKED, task)
        super().__init__(observation_space, encoder.n_features)
        self.encoder = encoder

    def forward(self, observations: Tensor) -> Tensor:
        """Return features, shape (B, D), of raw residual observations."""
        features: Tensor = self.encoder(observations)
        return features


class MeanAction:
    """The policy without noise, as a `soarm.policy.ResidualModel`.

    Args:
        policy: Stable-Baselines3's; what it learns later shows.
    """

    def __init__(self, policy: ActorCriticPolicy) -> None:
        self._policy = policy

    @torch.no_grad()
    def predict_residual(self, residual_observation: Array) -> Array:
        """Return the mean action, clipped to [-1, 1], shape (B, 6)."""
        observation = torch.as_tensor(residual_observation, dtype=torch.float32)
        mean: Array = self._policy.get_distribution(observation).mode().clamp(-1.0, 1.0).numpy()
        return mean

    @torch.no_grad()
    def std(self) -> float:
        """Return the mean standard deviation the policy explores with; of gSDE, of its weights."""
        return float(self._policy.log_std.exp().mean())


class _Evaluations(BaseCallback):
    """Points of the curve and log entries, between two rollouts."""

    def __init__(
        self,
        validator: Validator,
        policy: functools.partial[ResidualPolicy],
        inputs: MethodInput,
        n_base: int,
        rollouts: Iterator[int],
    ) -> None:
        super().__init__()
        self._validator, self._policy, self._inputs, self._rollouts = validator, policy, inputs, rollouts
        self._n_base = n_base
        self._due = inputs.params.validation.every

    def _on_rollout_start(self) -> None:
        step = self._n_base + self.model.num_timesteps
        next(self._rollouts, None)
        train = {name.removeprefix("train/"): value for name, value in self.logger.name_to_value.items() if "train/" in name}
        if train:
            self._inputs.log(step, {**train, "success_rate": float(np.mean(self.model.ep_success_buffer or [np.nan]))})
        if step >= self._due:
            every = self._inputs.params.validation.every
            self._due = (step // every + 1) * every
            self._validator.evaluate(step, self._policy)

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        for _ in self._rollouts:  # lets the progress say that it is done
            pass
