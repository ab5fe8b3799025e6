"""How `ResidualTD3BC` is set up: its parameters, and how a base is described so that a saved residual can build it again."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

from soarm.residual.objective import Ramp
from soarm.spec import PolicySpec


class Blueprint(Protocol):
    """How to build the base again, untrained; picklable, so that a saved residual needs no other file."""

    @property
    def spec(self) -> PolicySpec:
        """The base's specification."""

    def build(self) -> Any:
        """Return a base of the right shapes: an `nn.Module` that predicts chunks."""


@dataclasses.dataclass(frozen=True)
class LearnerParams:
    """How `ResidualTD3BC` learns.

    Attributes:
        critic_lr: Adam's learning rate for the critics.
        actor_lr: And for the actor: it must not outrun the critics.
        batch_size: Transitions of an update.
        buffer_size: Transitions remembered.
        gamma: Discount per control step.
        n_steps: Steps of reward before the critic takes over; a sparse reward travels that much faster.
        tau: Share of the networks that enters their targets at each update.
        train_freq: Steps of all environments together between two calls to learn.
        gradient_steps: Updates at each call.
        policy_delay: Critic updates per actor update.
        target_policy_noise: Smoothing noise of the target policy, in units of the bound.
        target_noise_clip: Its limit.
        value_min: Least return there can be; targets are clamped.
        value_max: Greatest return there can be.
        warmup_updates: Critic updates between the prefill and the first actor update.
        q_floor: Least normaliser of the actor's policy term.
        max_grad_norm: Gradients are clipped to this norm.
        penalty: beta, the pull to the base.
        imitation: beta_d, the pull to demonstrated corrections.
        demonstration_share: Share of demonstrated transitions in a batch; 0 goes without demonstrations.
    """

    critic_lr: float
    actor_lr: float
    batch_size: int
    buffer_size: int
    gamma: float
    n_steps: int
    tau: float
    train_freq: int
    gradient_steps: int
    policy_delay: int
    target_policy_noise: float
    target_noise_clip: float
    value_min: float
    value_max: float
    warmup_updates: int
    q_floor: float
    max_grad_norm: float
    penalty: Ramp
    imitation: Ramp
    demonstration_share: float

    def __post_init__(self) -> None:
        if not 0.0 <= self.demonstration_share < 1.0:
            raise ValueError(f"demonstration_share is {self.demonstration_share}; it must be in [0, 1)")
