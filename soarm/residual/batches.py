"""Batches of own and demonstrated transitions, encoded for actor and critics; symbols are those of `soarm.residual.objective`.

Knows the networks' encoders; knows no loss and no replay buffer.
"""

from __future__ import annotations

import dataclasses

import torch
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from torch import Tensor

from soarm.residual.encoder import EncodedObservation
from soarm.residual.policies import ResidualTD3Policy


@dataclasses.dataclass
class PreparedBatch:
    """What one update learns from; B rows, of which the last M are demonstrated.

    Attributes:
        critic_inputs: o and the past action, as `ResidualCritic.inputs` returns them.
        for_actor: Observations as the actor sees them.
        for_critics: The same as the critics see them.
        next_for_actor: Observations n steps later, as the target actor sees them.
        next_for_critics: The same as the target critics see them.
        rewards: R_n, shape (B, 1).
        dones: d, shape (B, 1).
        discounts: gamma^k, shape (B, 1).
        corrections: (a_demo - a_b) / s of the demonstrated rows, not clipped, shape (M, 6); None without demonstrations.
        target: y, shape (B, 1); None until it was computed.
        imitation_mask: f of the demonstrated rows, shape (M, 1); None where the actor does not learn from this batch.
    """

    critic_inputs: Tensor
    for_actor: EncodedObservation
    for_critics: EncodedObservation
    next_for_actor: EncodedObservation
    next_for_critics: EncodedObservation
    rewards: Tensor
    dones: Tensor
    discounts: Tensor
    corrections: Tensor | None
    target: Tensor | None = None
    imitation_mask: Tensor | None = None

    @property
    def n_own(self) -> int:
        """Number of the policy's own rows, which come first."""
        return len(self.for_actor) - (0 if self.corrections is None else len(self.corrections))


@torch.no_grad()
def prepare(
    policy: ResidualTD3Policy, n: int, own: ReplayBufferSamples, demonstrated: ReplayBufferSamples | None, *, clip: bool
) -> list[PreparedBatch]:
    """Return `n` batches of equal size; rows are encoded for all of them at once.

    Args:
        policy: The networks.
        n: Number of batches, at least 1.
        own: n-step transitions of the policy, those of the first batch first.
        demonstrated: n-step transitions of a demonstrator; None without demonstrations.
        clip: Whether the critics' input holds the executed action, clipped as the arm clips it; if not, the requested sum.
    """
    rows = _interleave(n, own, demonstrated)
    assert rows.discounts is not None
    for_critics, next_for_critics = (
        policy.critic.encode(rows.observations),
        policy.critic_target.encode(rows.next_observations),
    )
    for_actor, next_for_actor = for_critics, next_for_critics
    if not policy.same_observation:
        for_actor, next_for_actor = policy.actor.encode(rows.observations), policy.actor_target.encode(rows.next_observations)
    critic_inputs = policy.critic.inputs(for_critics, rows.actions, clip=clip)
    size = len(critic_inputs) // n
    return [
        PreparedBatch(
            critic_inputs[at],
            for_actor[at],
            for_critics[at],
            next_for_actor[at],
            next_for_critics[at],
            rows.rewards[at],
            rows.dones[at],
            rows.discounts[at],
            None if demonstrated is None else demonstrated.actions.chunk(n)[i],
        )
        for i, at in ((i, slice(i * size, (i + 1) * size)) for i in range(n))
    ]


def _interleave(n: int, first: ReplayBufferSamples, second: ReplayBufferSamples | None) -> ReplayBufferSamples:
    """Return `n` batches in one, each a part of the first samples and then one of the second."""
    if second is None:
        return first
    pairs = zip(first, second, strict=True)
    return ReplayBufferSamples(*(_rows(n, a, b) for a, b in pairs if a is not None and b is not None))


def _rows(n: int, *parts: Tensor) -> Tensor:
    """Return the rows of all parts, by batch and then by part."""
    return torch.cat([part.reshape(n, -1, part.shape[1]) for part in parts], dim=1).flatten(0, 1)
