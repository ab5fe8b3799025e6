"""The losses of critics and actor, as functions of networks and batches.

With base action a_b, residual r in [-1, 1], bound s per joint and a(r) = clip(a_b + s r):

    critic   y = R_n + gamma^k (1 - d) min_{i in H} Q_i'(o', a(r' + noise)),  clamped to what a return can be
             L = sum_i mean (Q_i(o, a) - y)^2,  H = a random pair of heads
    actor    L = - mean Q_i(o, a(r)) / max(mean |Q_i|, floor)                Q term, i = every head in turn
                 + beta   mean |r|^2 / 6                                     behaviour cloning of the base
                 + beta_d mean f (|r - r*|^2 / 6),  r* = clip((a_demo - a_b) / s)    behaviour cloning of demonstrations
             f = [min Q'(o, a_demo) >= min Q'(o, a_b)] where a_demo is in reach, else 0

The Q term is TD3+BC's (Fujimoto & Gu 2021, arXiv 2106.06860), whose data term would here pull towards the residuals in
the buffer, which are past noise; so the "BC" of a residual pulls to the base (r = 0) and, on demonstrated states, to the
demonstrated correction. f is a Q-filter (Nair et al. 2018, arXiv 1709.10089): it drops demonstrations that the target critics
value below the base, and those out of the bound's reach, whose clipped labels would teach saturation. Target critics change
slowly and stand still during a step, so f can be computed ahead of the update.
beta = beta_d = 0 is the objective of ResFiT (Ankile et al. 2025, arXiv 2509.19301).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from soarm.quantities import NotNegative, PositiveShare
from soarm.residual.batches import PreparedBatch
from soarm.residual.policies import ResidualTD3Policy

REACH = 1.5
"""A demonstrated correction beyond this many bounds in any joint is another movement, not a correction."""


@dataclasses.dataclass(frozen=True)
class Ramp:
    """A weight that falls linearly while learning.

    Attributes:
        start: At the first update.
        end: From `share` on.
        share: Of the learning steps it takes to get there, in (0, 1].
    """

    start: NotNegative
    end: NotNegative
    share: PositiveShare

    def at(self, progress: float) -> float:
        """Return the weight at `progress`, 0 at the first update and 1 at the last."""
        return self.start + (self.end - self.start) * min(max(progress, 0.0) / self.share, 1.0)


def mean_value(values: tuple[Tensor, ...]) -> Tensor:
    """Return the mean of the heads, shape (B, 1)."""
    return torch.stack(values).mean(dim=0)


def least_value(values: tuple[Tensor, ...]) -> Tensor:
    """Return the least of the heads, shape (B, 1)."""
    return torch.stack(values).amin(dim=0)


@torch.no_grad()
def td_target(
    policy: ResidualTD3Policy,
    batch: PreparedBatch,
    *,
    heads: Sequence[int] | None,
    noise: tuple[float, float],
    value_range: tuple[float, float],
) -> Tensor:
    """Return y, the critics' targets of n-step transitions, shape (B, 1).

    Args:
        policy: The networks.
        batch: The transitions; d is 0 where an episode was cut by the time limit, so its value goes on.
        heads: H, None for all. The least of a few out of many is less pessimistic than the least of all, and less optimistic
            than their mean (Chen et al. 2021, arXiv 2101.05982).
        noise: Standard deviation of the target policy's smoothing noise and its limit, in units of the bound.
        value_range: Least and greatest return there can be; targets are clamped to it.
    """
    residual = policy.actor_target(batch.next_for_actor)
    smoothing = torch.randn_like(residual).mul_(noise[0]).clamp_(-noise[1], noise[1])
    value = least_value(policy.critic_target(batch.next_for_critics, (residual + smoothing).clamp(-1.0, 1.0), heads))
    target: Tensor = batch.rewards + (1.0 - batch.dones) * batch.discounts * value
    return target.clamp(min=value_range[0], max=value_range[1])


def critic_loss(values: tuple[Tensor, ...], target: Tensor, reduction: Literal["each", "mean"] = "each") -> Tensor:
    """Return the loss of some heads, shape ().

    Args:
        values: Q of each head, (B, 1).
        target: y, shape (B, 1).
        reduction: "each" sums the heads' mean squared errors; "mean" squares the mean of the heads' absolute errors, times the
            number of heads, so that both are the same where all heads err by as much.
    """
    errors = torch.cat(values, dim=1) - target
    if reduction == "mean":
        return len(values) * errors.abs().mean(dim=1).square().mean()
    return errors.square().sum() / len(target)


def actor_loss(
    policy: ResidualTD3Policy,
    batch: PreparedBatch,
    *,
    heads: Sequence[int],
    penalty: float,
    imitation: float,
    q_floor: float,
    q_term_on: Literal["own", "all"] = "own",
    towards: Tensor | None = None,
) -> Tensor:
    """Return the actor's loss, shape ().

    Args:
        policy: The networks.
        batch: Observations and demonstrated corrections; without an `imitation_mask` f is 1 everywhere.
        heads: The heads whose mean is the Q term. One in turn teaches what the mean of all would, at the price of one.
        penalty: beta.
        imitation: beta_d.
        q_floor: Least normaliser. While rewards are rare |Q| is near zero, and a bare quotient would blow up its noise.
        q_term_on: Whether the Q term is of the policy's own steps, because a critic is trusted where the policy goes (arXiv
            2603.10263), or of all.
        towards: Residuals of the policy's own steps that the penalty pulls to, shape (B - M, 6); None pulls to the base.
    """
    n_own, corrections = batch.n_own, batch.corrections
    if imitation == 0.0 and q_term_on == "own":
        corrections = None
    residual = policy.actor(batch.for_actor if corrections is not None or q_term_on == "all" else batch.for_actor[:n_own])
    n_valued = n_own if q_term_on == "own" else len(batch.for_actor)
    value = mean_value(policy.critic(batch.for_critics[:n_valued], residual[:n_valued], heads))
    apart = residual[:n_own] if towards is None else residual[:n_own] - towards
    loss: Tensor = -value.mean() / value.abs().mean().detach().clamp(min=q_floor) + penalty * apart.square().mean()
    if corrections is None:
        return loss
    error = (residual[n_own:] - corrections.clamp(-1.0, 1.0)).square().mean(dim=1, keepdim=True)
    loss += imitation * (error if batch.imitation_mask is None else batch.imitation_mask * error).mean()
    return loss


@torch.no_grad()
def q_filter(policy: ResidualTD3Policy, batch: PreparedBatch) -> Tensor | None:
    """Return f, shape (M, 1): 1 where a demonstrated correction is in reach and the target critics value it no less than none.

    None without demonstrations.
    """
    if batch.corrections is None:
        return None
    corrections, seen = batch.corrections, batch.for_critics[batch.n_own :]
    corrected = least_value(policy.critic_target(seen, corrections))
    better = corrected >= least_value(policy.critic_target(seen, torch.zeros_like(corrections)))
    near = corrections.abs().amax(dim=1, keepdim=True) <= REACH
    return (better & near).float()
