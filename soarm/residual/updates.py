"""One update of the critics, one of the actor: batches in, moved networks out.

Knows the losses (`soarm.residual.objective`) and how they are descended. Where batches come from, and when which network is
updated, is the algorithm's (`soarm.residual.td3bc`).
"""

from __future__ import annotations

from typing import Any

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor, nn

from soarm.residual import objective
from soarm.residual.learner import LearnerParams
from soarm.residual.policies import ResidualTD3Policy
from soarm.residual.replay import Steps


class Updates:
    """The update rule of `ResidualTD3BC`; holds no state of its own.

    Args:
        policy: The networks with their optimisers.
        learner: How they learn.
    """

    def __init__(self, policy: ResidualTD3Policy, learner: LearnerParams) -> None:
        self._policy, self._learner = policy, learner

    def critics(self, batch: ReplayBufferSamples) -> float:
        """Bring the critics closer to the target of temporal differences, and their targets after them; return the loss."""
        target = objective.td_target(
            self._policy,
            batch,
            gamma=self._learner.gamma,
            noise_std=self._learner.target_policy_noise,
            noise_clip=self._learner.target_noise_clip,
            value_range=(self._learner.value_min, self._learner.value_max),
            heads=self._pair(),
        )
        return self._towards(target, batch.observations, batch.actions)

    def critics_to_returns(self, steps: Steps) -> float:
        """Bring the critics closer to known returns, and their targets after them; return the loss."""
        target = steps.returns.clamp(self._learner.value_min, self._learner.value_max)
        return self._towards(target, steps.observations, steps.residuals)

    def _towards(self, target: Tensor, observations: Tensor, residuals: Tensor) -> float:
        loss = objective.critic_loss(self._policy, observations, residuals, target)
        self._descend(self._policy.critic, loss)
        self._follow(self._policy.critic, self._policy.critic_target)
        return loss.item()

    def actor(
        self,
        online: Tensor,
        demonstrated: ReplayBufferSamples | None,
        *,
        penalty: float,
        imitation: float,
        held: Tensor | None = None,
    ) -> None:
        """Climb the critics under the pulls to base and demonstrations; see `soarm.residual.objective.actor_loss`."""
        loss = objective.actor_loss(
            self._policy,
            online,
            demonstrated,
            penalty=penalty,
            imitation=imitation,
            q_floor=self._learner.q_floor,
            held=held,
        )
        self._descend(self._policy.actor, loss)
        self._follow(self._policy.actor, self._policy.actor_target)

    def _pair(self) -> tuple[int, ...] | None:
        """Return the two heads whose least is the target, drawn anew; None where there are but two."""
        n_critics = self._policy.critic.n_critics
        return None if n_critics == 2 else tuple(torch.randperm(n_critics)[:2].tolist())

    def _descend(self, network: Any, loss: Tensor) -> None:
        parameters = list(network.parameters())
        network.optimizer.zero_grad()
        loss.backward(inputs=parameters)  # type: ignore[no-untyped-call]  # the actor's loss asks nothing of the critics
        nn.utils.clip_grad_norm_(parameters, self._learner.max_grad_norm)
        network.optimizer.step()

    @torch.no_grad()
    def _follow(self, network: nn.Module, target: nn.Module) -> None:
        torch._foreach_lerp_(list(target.parameters()), list(network.parameters()), self._learner.tau)


def concatenate(first: ReplayBufferSamples, second: ReplayBufferSamples | None) -> ReplayBufferSamples:
    """Return one batch of two; both are n-step samples."""
    if second is None:
        return first
    assert first.discounts is not None
    assert second.discounts is not None
    pairs = zip(first, second, strict=True)
    return ReplayBufferSamples(*(torch.cat([a, b]) for a, b in pairs if a is not None and b is not None))
