"""ACT's loss: L1 over the real actions plus the weighted Kullback-Leibler divergence of the latent."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from soarm.act.model import ACT, Posterior
from soarm.act.windows import Batch
from soarm.spec import STATE


class Losses(NamedTuple):
    """Terms of the loss, each a scalar.

    Attributes:
        l1: Mean absolute error of the real (not padded) actions, in standard deviations.
        kl: Divergence from the standard normal, summed over the latent and averaged over the batch [nat].
        total: l1 + kl_weight * kl.
    """

    l1: Tensor
    kl: Tensor
    total: Tensor


def losses(model: ACT, batch: Batch) -> Losses:
    """Return the loss of `model` on raw windows; the latent is drawn from torch's random stream."""
    observation = model.standardised(batch.observation)
    action = model.standardise_action(batch.action)
    if model.config.use_vae:
        posterior = model.encode(observation[STATE], action, batch.is_pad)
        noise = torch.randn_like(posterior.mean)
        latent, kl = posterior.mean + (0.5 * posterior.log_variance).exp() * noise, divergence(posterior)
    else:
        latent, kl = action.new_zeros(1, model.config.latent_dim), action.new_zeros(())
    l1 = masked_l1(model.decode(observation, latent), action, batch.is_pad).mean()
    return Losses(l1, kl, l1 + model.config.kl_weight * kl)


def masked_l1(predicted: Tensor, action: Tensor, is_pad: Tensor) -> Tensor:
    """Return the mean absolute error of each joint over the actions that are not padding.

    Dividing by their number, and not by B * T, gives the end of an episode its due weight (LeRobot issue 3442).

    Args:
        predicted: (B, T, 6).
        action: (B, T, 6).
        is_pad: (B, T).

    Returns:
        (6,), in the units of `action`.
    """
    valid = ~is_pad
    return ((predicted - action).abs() * valid[..., None]).sum(dim=(0, 1)) / valid.sum()


def divergence(posterior: Posterior) -> Tensor:
    """Return KL(N(mean, variance) || N(0, 1)), summed over the latent, averaged over the batch (arXiv 1312.6114, B)."""
    mean, log_variance = posterior
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).sum(dim=-1).mean()
