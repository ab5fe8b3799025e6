"""Actor and critics of the residual in Stable-Baselines3's terms.

The actor is `soarm.residual.actor.ResidualActor`, zero at the start. The critics see the *executed* action, clip(base +
scale * residual), not the bare residual: two residuals that are clipped to the same action have the same value.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ContinuousCritic
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor, create_mlp
from stable_baselines3.common.type_aliases import Schedule
from stable_baselines3.td3.policies import Actor, TD3Policy
from torch import Tensor, nn

from soarm import arm
from soarm.policy import Array
from soarm.residual.actor import ResidualActor, add_residual
from soarm.residual.encoder import MIN_STD, NOTHING_MASKED, EncodedObservation, ObservationEncoder, ObservationParams
from soarm.spec import DEFAULT_TASK


class SB3Actor(Actor):
    """`ResidualActor` behind Stable-Baselines3's `Actor`; `mu` is the network that is saved and exported."""

    mu: ResidualActor  # type: ignore[assignment]

    def __init__(self, *, layer_norm: bool, observation: ObservationParams, task: str | None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.mu = ResidualActor(self.net_arch, layer_norm, observation, task)

    def encode(self, obs: Tensor | EncodedObservation) -> EncodedObservation:
        """Return raw residual observations, shape (B, D), encoded for the actor."""
        return self.mu.sight.encode(obs)

    def forward(self, obs: Tensor | EncodedObservation) -> Tensor:
        """Return residuals in [-1, 1], shape (B, 6), for raw residual observations or what `encode` returned."""
        residual: Tensor = self.mu.net(self.encode(obs).features)
        return residual


class ResidualCritic(ContinuousCritic):
    """Q(o, executed action), one network per head.

    The heads are computed one after the other: as one batched product they were no faster on a CPU (update of 10 heads of
    width 128: 13 ms one by one, 16 ms batched; of 5: 8 ms either way).

    Each head sees what the actor sees (the base action among it), the executed action in the units of the base
    action's statistics, and the executed correction in units of the bound. The last two say the same thing twice, on purpose:
    beside a base action that swings over a hundred degrees, a correction of a few is lost on a network ("scale mismatch",
    arXiv 2602.10539). LayerNorm keeps values of unseen actions bounded (Ball et al. 2023, arXiv
    2302.02948).

    Args:
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].
        layer_norm: Whether a LayerNorm follows each hidden linear layer.
        observation: What of the observation the heads are given; the executed action they always are.
        task: Name of the task.
        **kwargs: Of `ContinuousCritic`.
    """

    scale: Tensor

    def __init__(
        self, *, scale: tuple[float, ...], layer_norm: bool, observation: ObservationParams, task: str | None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.sight = ObservationEncoder(observation, task)  # the name is part of every file of weights
        self.register_buffer("scale", torch.tensor(scale, dtype=torch.float32))
        n_in = self.sight.n_features + 2 * arm.N_JOINTS
        post: list[type[nn.Module]] = [nn.LayerNorm] if layer_norm else []
        self.q_networks = [
            nn.Sequential(*create_mlp(n_in, 1, kwargs["net_arch"], kwargs["activation_fn"], post_linear_modules=post))
            for _ in range(self.n_critics)
        ]
        for index, q_network in enumerate(self.q_networks):
            setattr(self, f"qf{index}", q_network)
        self._parameters_of = [list(q_network.parameters()) for q_network in self.q_networks]  # looking for them takes time

    def encode(self, obs: Tensor | EncodedObservation) -> EncodedObservation:
        """Return raw residual observations, shape (B, D), encoded for the critics."""
        return self.sight.encode(obs)

    def forward(
        self, obs: Tensor | EncodedObservation, actions: Tensor, heads: Sequence[int] | None = None
    ) -> tuple[Tensor, ...]:
        """Return one value per head, each (B, 1), for observations and residuals (B, 6).

        Args:
            obs: Raw residual observations, shape (B, D), or what `encode` returned.
            actions: Residuals, shape (B, 6).
            heads: Which heads; None is all.
        """
        return self.q_values(self.inputs(obs, actions), heads)

    def q_values(self, inputs: Tensor, heads: Sequence[int] | None = None) -> tuple[Tensor, ...]:
        """Return one value per head for what `inputs` returned; see `forward`."""
        q_networks = self.q_networks if heads is None else [self.q_networks[head] for head in heads]
        return tuple(q_network(inputs) for q_network in q_networks)

    def parameters_of(self, heads: Sequence[int]) -> list[nn.Parameter]:
        """Return the parameters of some heads."""
        return [parameter for head in heads for parameter in self._parameters_of[head]]

    def inputs(self, obs: Tensor | EncodedObservation, residual: Tensor, *, clip: bool = True) -> Tensor:
        """Return what enters every head, shape (B, n_features + 12): what is seen, and the executed action in two units.

        Args:
            obs: Raw residual observations, shape (B, D), or what `encode` returned.
            residual: Residuals, shape (B, 6).
            clip: Whether the sum is clipped to the arm's range, as the arm does.
        """
        seen, at = self.encode(obs), self.sight.base_action
        base = seen.base
        executed = add_residual(base, residual, self.scale) if clip else base + self.scale * residual
        normalised = (executed - self.sight.mean[at]) / self.sight.std[at]
        return torch.cat([seen.features, normalised, (executed - base) / self.scale], dim=1)


class ResidualTD3Policy(TD3Policy):
    """Zero-initialised bounded actor, LayerNorm critics on the executed action, one set of observation statistics.

    Args:
        observation_space: Box of residual observations.
        action_space: Box [-1, 1]^6.
        lr_schedule: Of Stable-Baselines3; the algorithm sets the learning rates itself.
        scale: Bound of the residual per joint, shape (6,) [deg x 5, percent].
        layer_norm: Whether a LayerNorm follows each hidden linear layer, in actor and critics.
        actor_observation: What of the observation the actor is given.
        critic_observation: What the critics are given.
        task: Name of the task, whose residual observations these are.
        **kwargs: Of `TD3Policy`.
    """

    actor: SB3Actor
    actor_target: SB3Actor
    critic: ResidualCritic
    critic_target: ResidualCritic

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Box,
        lr_schedule: Schedule,
        scale: tuple[float, ...] = (1.0,) * arm.N_JOINTS,
        layer_norm: bool = True,
        actor_observation: ObservationParams = NOTHING_MASKED,
        critic_observation: ObservationParams = NOTHING_MASKED,
        task: str | None = DEFAULT_TASK,
        **kwargs: Any,
    ) -> None:
        self._scale, self._layer_norm, self._task = tuple(scale), layer_norm, task
        self._actor_observation, self._critic_observation = actor_observation, critic_observation
        self.same_observation = actor_observation == critic_observation
        kwargs.setdefault("optimizer_kwargs", {"fused": True})  # a fifth of the time of the default on networks this small
        super().__init__(observation_space, action_space, lr_schedule, **kwargs)

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> SB3Actor:
        """Return a zero-initialised actor."""
        kwargs = self._update_features_extractor(self.actor_kwargs, features_extractor)
        kwargs |= {"layer_norm": self._layer_norm, "observation": self._actor_observation, "task": self._task}
        return SB3Actor(**kwargs).to(self.device)

    def make_critic(self, features_extractor: BaseFeaturesExtractor | None = None) -> ResidualCritic:
        """Return critics on the executed action."""
        kwargs = self._update_features_extractor(self.critic_kwargs, features_extractor)
        kwargs |= {
            "scale": self._scale,
            "layer_norm": self._layer_norm,
            "observation": self._critic_observation,
            "task": self._task,
        }
        return ResidualCritic(**kwargs).to(self.device)

    def set_statistics(self, mean: Array, std: Array) -> None:
        """Standardise observations with these statistics, each of shape (D,), in all four networks.

        The critics measure executed actions in the base action's unit. One that never moved has none and gets the bound.
        """
        std, at = np.array(std), self.critic.sight.base_action
        std[at] = np.where(std[at] < MIN_STD, self._scale, std[at])
        for module in (self.actor.mu, self.actor_target.mu, self.critic, self.critic_target):
            module.sight.set_statistics(mean, std)

    def unscale_action(self, action: Array) -> Array:
        """Return `action` as it is: the space is [-1, 1], and rescaling it to itself would cost the last bits."""
        return action

    def set_training_mode(self, mode: bool) -> None:
        """Note the mode; no layer here depends on it, and telling each of them at every step would cost more than a step."""
        self.training = mode

    def _get_constructor_parameters(self) -> dict[str, Any]:
        observation = {"actor_observation": self._actor_observation, "critic_observation": self._critic_observation}
        own = {"scale": self._scale, "layer_norm": self._layer_norm, "task": self._task}
        return {**super()._get_constructor_parameters(), **own, **observation}
