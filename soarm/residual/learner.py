"""How `ResidualTD3BC` is set up: its parameters."""

from __future__ import annotations

import dataclasses
from typing import Literal

from soarm.quantities import Count, NotNegative, Positive, PositiveShare, ShareBelowOne, Whole
from soarm.residual.objective import Ramp


@dataclasses.dataclass(frozen=True)
class LearnerParams:
    """How `ResidualTD3BC` learns.

    Attributes:
        critic_lr: Adam's learning rate for the critics.
        actor_lr: And for the actor: it must not outrun the critics.
        batch_size: Transitions of an update; 256 as in ResFiT and RLPD, demonstrations included.
        buffer_size: Transitions remembered; as many as the default budget has, so that nothing is forgotten.
        gamma: Discount per control step; 0.99 leaves a third of the value after 3.7 s, as long as a good episode (ResFiT).
        n_steps: Steps of reward before the critic takes over; a sparse reward travels that much faster. ResFiT takes 3 to 5;
            20 were right sooner and misled the actor with the noise of what was explored (docs/notebook.md, row d).
        tau: Share of the networks that enters their targets at each update (TD3's 0.005).
        train_freq: Steps of all environments together between two calls to learn.
        gradient_steps: Updates at each call.
        overlap: Whether they run while the environments step, on a second core. If not they take turns with the steps; every
            number is the same, so this is for machines with one core, and for profilers and debuggers.
        policy_delay: Critic updates per actor update (TD3's 2), so that the actor follows values with less error.
        target_policy_noise: Smoothing noise of the target policy, in units of the bound (TD3's 0.2).
        target_noise_clip: Its limit (TD3's 0.5).
        value_min: Least return there can be; targets are clamped. The sparse reward gives 0 or 1, once, so no value lies
            beyond, and an over-estimate cannot feed on itself.
        value_max: Greatest return there can be.
        warmup_updates: Critic updates between the prefill and the first actor update: an actor that maximises untrained
            critics would unlearn the base (ResFiT: 10,000; DAWN calls it the cold start).
        q_floor: Least normaliser of the actor's policy term: while rewards are rare mean |Q| is near 0, and a bare quotient
            (TD3+BC's) would blow up the critics' noise.
        max_grad_norm: Gradients of critics and of the actor are clipped to this norm (ResFiT, DICE-RL: 1).
        penalty: beta, the pull to the base. High while the critics know little, then low; in units of the bound squared, so a
            wider bound needs more of it for the same degrees. Without BC terms success falls to nothing before it rises
            (docs/results.md, `no_penalty`).
        imitation: beta_d, the pull to demonstrated corrections; falls, because the demonstrator is a start and no ceiling.
        demonstration_share: Share of demonstrated transitions in a batch (RLPD and ResFiT: half); 0 goes without
            demonstrations.
        critic_loss_reduction: How the heads' errors make a loss: `each` squared, then summed, so that heads learn
            independently; or the `mean` of their sizes, squared (ResFiT's code), which pulls every head by the error of all.
        actor_q_reduction: The heads in the actor's Q term: each `in_turn`; the `first` alone (TD3); or the `mean` of all
            (REDQ), which costs as many heads as there are.
        q_term_on: The steps whose value the actor raises: the policy's own (DICE-RL), or the demonstrated ones too (TD3+BC).
        critic_action: The action of a past step in the critics' input: the `executed` one, clipped as the arm clips it, or the
            `requested` one (ResFiT). Targets and actor are clipped either way.
        bootstrap_on_timeout: Whether the value of an episode goes on where the time limit cuts it. If not it ends there
            (ResFiT), and depends on a clock that no observation holds.
    """

    critic_lr: PositiveShare
    actor_lr: PositiveShare
    batch_size: Count
    buffer_size: Count
    gamma: PositiveShare
    n_steps: Count
    tau: PositiveShare
    train_freq: Count
    gradient_steps: Whole
    overlap: bool
    policy_delay: Count
    target_policy_noise: NotNegative
    target_noise_clip: NotNegative
    value_min: float
    value_max: float
    warmup_updates: Whole
    q_floor: Positive
    max_grad_norm: Positive
    penalty: Ramp
    imitation: Ramp
    demonstration_share: ShareBelowOne
    critic_loss_reduction: Literal["each", "mean"]
    actor_q_reduction: Literal["in_turn", "first", "mean"]
    q_term_on: Literal["own", "all"]
    critic_action: Literal["executed", "requested"]
    bootstrap_on_timeout: bool

    def __post_init__(self) -> None:
        if not self.value_min < self.value_max:
            raise ValueError(f"value_min is {self.value_min}; it must be below value_max ({self.value_max})")
