"""Learning rate over time, and the moving average of weights."""

from __future__ import annotations

import math

import torch
from torch import nn


def learning_rate(step: int, peak: float, warmup_steps: int, steps: int) -> float:
    """Return the learning rate of step 0..steps - 1: linear warm-up to `peak`, then half a cosine down towards zero."""
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return 0.5 * peak * (1.0 + math.cos(math.pi * (step - warmup_steps) / (steps - warmup_steps)))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, step: int, decay: float) -> None:
    """Move the weights of `average` towards those of `model`.

    The decay grows with the step, min(decay, (1 + step) / (10 + step)), so that the first weights are soon forgotten.
    """
    weight = 1.0 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), weight)
